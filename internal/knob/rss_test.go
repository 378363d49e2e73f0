package knob

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ethtoolFill is what ethtool -X makes of its arguments (fill_indir_table in rss.c of ethtool 6).
func ethtoolFill(t *testing.T, args string, size int) []uint32 {
	t.Helper()
	out := make([]uint32, size)
	f := strings.Fields(args)
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	start := 0
	if f[0] == "start" {
		start, f = number(f[1]), f[2:]
	}
	switch f[0] {
	case "equal":
		for i := range out {
			out[i] = uint32(start + i%number(f[1]))
		}
	case "weight":
		sum := 0
		for _, w := range f[1:] {
			sum += number(w)
		}
		j, partial := -1, 0
		for i := range out {
			for i >= size*partial/sum {
				j++
				partial += number(f[1+j])
			}
			out[i] = uint32(start + j)
		}
	default:
		t.Fatalf("ethtool has no argument %q", f[0])
	}
	return out
}

// TestRSSTables writes tables of all sorts as values and reads them again, and holds the commands against
// what ethtool makes of them.
func TestRSSTables(t *testing.T) {
	for value, words := range map[string]string{
		"0-3": "equal 4", "0,1": "equal 2", "0": "equal 1", "2,3": "start 2 equal 2", "5": "start 5 equal 1",
		"0*96,1*32": "weight 96 32", "1*64,3*64": "weight 0 64 0 64", "1,0": "", "0*2,1": "", "0-3,7": "",
	} {
		table, err := (&rss{"eth1"}).fill(value, 128)
		if err != nil {
			t.Fatal(err)
		}
		if got := formatRSS(table); got != value {
			t.Errorf("%s is formed as %s", value, got)
		}
		got := rssWords(table)
		if got != words {
			t.Errorf("%s: ethtool -X eth1 %q, want %q", value, got, words)
		}
		if got != "" && !slices.Equal(ethtoolFill(t, got, 128), table) {
			t.Errorf("%s: ethtool makes %v of %q", value, ethtoolFill(t, got, 128), got)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		table := make([]uint32, 1+rng.IntN(40))
		for i := range table {
			table[i] = rng.Uint32N(1 + rng.Uint32N(5))
		}
		again, err := (&rss{"eth1"}).fill(formatRSS(table), len(table))
		if err != nil || !slices.Equal(again, table) {
			t.Fatalf("%v is formed as %q, which fills to %v, %v", table, formatRSS(table), again, err)
		}
		if words := rssWords(table); words != "" && !slices.Equal(ethtoolFill(t, words, len(table)), table) {
			t.Fatalf("%v: ethtool makes %v of %q", table, ethtoolFill(t, words, len(table)), words)
		}
	}
	for _, bad := range []string{"", "a", "3-1", "0*0", "0-3*2", "-1", "0,", "70000", "0*131071"} {
		if _, err := ParseRSS(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := (&rss{"eth1"}).fill("0-3", 2); err == nil {
		t.Error("more entries than the table has are taken")
	}
}
