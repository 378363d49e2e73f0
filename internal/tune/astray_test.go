package tune

import (
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

func TestElsewhere(t *testing.T) {
	at := func(counts map[int]uint64) []host.Interrupt {
		return []host.Interrupt{{IRQ: 8, Counts: map[int]uint64{3: 1 << 40}}, {IRQ: 9, Counts: counts}}
	}
	before := at(map[int]uint64{0: 1000, 1: 50, 2: 7})
	for what, c := range map[string]struct {
		after map[int]uint64
		want  string
	}{
		"no traffic":            {map[int]uint64{0: 1000, 1: 50, 2: 7}, ""},
		"where it is allowed":   {map[int]uint64{0: 1000, 1: 5000, 2: 7}, ""},
		"some before it moved":  {map[int]uint64{0: 1008, 1: 5000, 2: 7}, ""},
		"still on the old CPUs": {map[int]uint64{0: 1009, 1: 50, 2: 70}, "0,2"},
		"a CPU came online":     {map[int]uint64{0: 1000, 1: 50, 2: 7, 3: 100}, "3"},
	} {
		if got := elsewhere(before, at(c.after), 9, host.CPUs(1)).String(); got != c.want {
			t.Errorf("%s: astray on CPUs %q, want %q", what, got, c.want)
		}
	}
	if got := elsewhere(before, nil, 9, host.CPUs(1)); len(got) > 0 {
		t.Errorf("of an interrupt that is gone: %v", got)
	}
}
