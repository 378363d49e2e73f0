package knob

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// rss is a NIC's RSS indirection table (Documentation/networking/scaling.rst).
type rss struct{ nic string }

// RSS is the table of the receive queue that each hash of a flow leads to. A value is the
// queues of its entries in order, repeated to fill it, with A-B for a rising row and Q*N for N
// entries of one queue: "0-3", "2,3", "0*96,1*32". The canonical form is the shortest that repeats. It
// acts in the calling thread's network namespace; a NIC without a table is a *host.NotSupportedError.
func RSS(nic string) Knob { return &rss{nic} }

func (r *rss) Info() Info {
	return Info{
		Kind: "rss", Key: r.nic, Name: "rss", Target: r.nic, Mechanism: "ETHTOOL_SRXFHINDIR",
		InNetNS: true, Doc: "receive queues that the NIC's hash of a flow leads to",
	}
}

// maxRSSEntries is more than any driver's table has.
const maxRSSEntries = 1 << 16

// ParseRSS reads the entries of a value, without repetition.
func ParseRSS(v string) ([]uint32, error) {
	var out []uint32
	for part := range strings.SplitSeq(v, ",") {
		part = strings.TrimSpace(part)
		queue, times, repeated := strings.Cut(part, "*")
		first, last, rising := strings.Cut(queue, "-")
		a, err := strconv.ParseUint(first, 10, 16)
		b, n := a, uint64(1)
		if err == nil && rising {
			b, err = strconv.ParseUint(last, 10, 16)
		}
		if err == nil && repeated {
			n, err = strconv.ParseUint(times, 10, 17)
		}
		if err != nil || b < a || n == 0 || rising && repeated || uint64(len(out))+(b-a)+n > maxRSSEntries {
			return nil, fmt.Errorf("%q is no queue, no rising row such as 0-3, and no 0*96", part)
		}
		for q := a; q <= b; q++ {
			out = append(out, slices.Repeat([]uint32{uint32(q)}, int(n))...)
		}
	}
	return out, nil
}

// formatRSS is the canonical form of a table.
func formatRSS(table []uint32) string {
	period := 1
	for ; period < len(table); period++ {
		if slices.Equal(table[period:], table[:len(table)-period]) {
			break
		}
	}
	table = table[:period]
	var parts []string
	for i := 0; i < len(table); {
		same, row := 1, 1
		for i+same < len(table) && table[i+same] == table[i] {
			same++
		}
		for i+row < len(table) && table[i+row] == table[i]+uint32(row) {
			row++
		}
		switch {
		case same > 1:
			parts = append(parts, fmt.Sprintf("%d*%d", table[i], same))
			i += same
		case row > 2:
			parts = append(parts, fmt.Sprintf("%d-%d", table[i], table[i+row-1]))
			i += row
		default:
			parts = append(parts, fmt.Sprint(table[i]))
			i++
		}
	}
	return strings.Join(parts, ",")
}

// fill repeats a value's entries over a table of size entries.
func (r *rss) fill(v string, size int) ([]uint32, error) {
	row, err := ParseRSS(v)
	if err != nil {
		return nil, fmt.Errorf("rss of %s: %w", r.nic, err)
	}
	if len(row) > size {
		return nil, fmt.Errorf("rss of %s: %q has %d entries, the table %d", r.nic, v, len(row), size)
	}
	out := make([]uint32, size)
	for i := range out {
		out[i] = row[i%len(row)]
	}
	return out, nil
}

func (r *rss) Canonical(v string) (string, error) {
	now, err := r.table()
	if err != nil {
		return "", err
	}
	want, err := r.fill(v, len(now))
	if err != nil {
		return "", err
	}
	return formatRSS(want), nil
}

func (r *rss) table() ([]uint32, error) {
	t, err := sysx.RSSIndirection(r.nic)
	if err != nil {
		return nil, err
	}
	if len(t) == 0 {
		return nil, &host.NotSupportedError{What: "rss of " + r.nic, Reason: "its table has no entries", Mend: "leave it out for this NIC"}
	}
	return t, nil
}

func (r *rss) Read() (string, error) {
	t, err := r.table()
	if err != nil {
		return "", err
	}
	return formatRSS(t), nil
}

func (r *rss) Write(v string) error {
	now, err := r.table()
	if err != nil {
		return err
	}
	want, err := r.fill(v, len(now))
	if err != nil {
		return err
	}
	return sysx.SetRSSIndirection(r.nic, want)
}

// Command is empty where ethtool(8) has no words for the table.
func (r *rss) Command(v string) string {
	now, err := r.table()
	if err != nil {
		return ""
	}
	table, err := r.fill(v, len(now))
	if err != nil {
		return ""
	}
	if words := rssWords(table); words != "" {
		return fmt.Sprintf("ethtool -X %s %s", shellWord(r.nic), words)
	}
	return ""
}

// rssWords are the arguments with which ethtool -X writes a table: equal shares for rows that rise
// by one and are repeated, weights for rising queues (fill_indir_table in ethtool's rss.c).
func rssWords(table []uint32) string {
	row, _ := ParseRSS(formatRSS(table))
	switch {
	case isRow(row) && row[0] == 0:
		return fmt.Sprintf("equal %d", len(row))
	case isRow(row):
		return fmt.Sprintf("start %d equal %d", row[0], len(row))
	case slices.IsSorted(table):
		weights := make([]int, table[len(table)-1]+1)
		for _, q := range table {
			weights[q]++
		}
		return "weight " + strings.Trim(fmt.Sprint(weights), "[]")
	}
	return ""
}

// isRow tells whether entries rise by one.
func isRow(row []uint32) bool {
	for i := range row {
		if row[i] != row[0]+uint32(i) {
			return false
		}
	}
	return true
}
