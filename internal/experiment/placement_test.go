package experiment

import (
	"slices"
	"strings"
	"testing"
)

func TestChooseByBus(t *testing.T) {
	for _, tc := range []struct {
		buses string // by NIC; "-": none
		n     int
		bus   Bus
		want  []int
		fault string
	}{
		{"a b c", 2, BusSeparate, []int{0, 1}, ""},
		{"a a b", 2, BusSeparate, []int{0, 2}, ""},
		{"a a b", 3, BusSeparate, nil, "2 are on PCI links or buses of their own, and 3 are needed"},
		{"a b b", 2, BusShared, []int{1, 2}, ""},
		{"a b b", 3, BusShared, []int{1, 2, 0}, ""},
		{"a b c", 2, BusShared, nil, "no two of the NICs given share"},
		{"a a", 1, BusShared, nil, "no two of the NICs given share"},
		{"a a", 3, BusShared, nil, "1 are on PCI links"},
		{"- - a", 2, BusShared, nil, "no two of the NICs given share"},
		{"- a b", 2, BusSeparate, []int{1, 2}, ""},
	} {
		buses := strings.Fields(tc.buses)
		for i := range buses {
			buses[i] = strings.Trim(buses[i], "-")
		}
		got, err := chooseByBus(buses, tc.n, tc.bus)
		if !slices.Equal(got, tc.want) || (err == nil) != (tc.fault == "") || err != nil && !strings.Contains(err.Error(), tc.fault) {
			t.Errorf("%s, %d %s: %v, %v; want %v %q", tc.buses, tc.n, tc.bus, got, err, tc.want, tc.fault)
		}
	}
}
