// Package symbol names code addresses: of the kernel by /proc/kallsyms, modules and
// BPF programs included, of processes by the symbol tables of the ELF files that they
// have mapped.
//
// It names functions, never lines. Inlined functions count as the function they are
// in. Without CAP_SYSLOG kallsyms shows every address as 0: [ReadKernel] then
// returns an error that says so.
package symbol

import (
	"cmp"
	"slices"
	"sort"
)

// entry is a function's first address.
type entry struct {
	start uint64
	name  string
}

// Table is functions by address.
type Table struct {
	entries []entry
}

// Find returns the function at or before an address.
func (t *Table) Find(addr uint64) (name string, ok bool) {
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].start > addr })
	if i == 0 {
		return "", false
	}
	return t.entries[i-1].name, true
}

// sort orders the entries; of several names for one address the first read stays.
func (t *Table) sort() {
	slices.SortStableFunc(t.entries, func(a, b entry) int { return cmp.Compare(a.start, b.start) })
	t.entries = slices.CompactFunc(t.entries, func(a, b entry) bool { return a.start == b.start })
}
