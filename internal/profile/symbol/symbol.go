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

// Symbol is a function.
type Symbol struct {
	Name   string
	Module string // "" is the kernel proper; else the module, "bpf", or the ELF file's base name
}

// entry is a symbol's first address.
type entry struct {
	start uint64
	name  string
	// module is an index, since kallsyms has 120 thousand lines.
	module uint16
}

// Table finds the symbol at or before an address.
type Table struct {
	entries []entry
	modules []string
	end     uint64 // first address after the last symbol; 0: not known
}

// Len is the number of symbols.
func (t *Table) Len() int { return len(t.entries) }

// Find returns the symbol that addr lies in, and where it starts.
func (t *Table) Find(addr uint64) (s Symbol, start uint64, ok bool) {
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].start > addr })
	if i == 0 || t.end != 0 && addr >= t.end {
		return Symbol{}, 0, false
	}
	e := t.entries[i-1]
	return Symbol{e.name, t.modules[e.module]}, e.start, true
}

// sort orders the entries; of several names for one address the first read stays.
func (t *Table) sort() {
	slices.SortStableFunc(t.entries, func(a, b entry) int { return cmp.Compare(a.start, b.start) })
	t.entries = slices.CompactFunc(t.entries, func(a, b entry) bool { return a.start == b.start })
}
