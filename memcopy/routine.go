package memcopy

import "unsafe"

// Family says what a routine does.
type Family string

// The three families.
const (
	FamilyCopy     Family = "copy"     // copies
	FamilyChecksum Family = "checksum" // sums without copying
	FamilyFused    Family = "fused"    // copies and sums in one pass
)

// Routine is one way to copy or sum. Exactly one of its three functions is set,
// the one of its family; none is where the routine is not available, so that it
// cannot be run on a CPU that lacks what it needs.
type Routine struct {
	Name   string // unique, kebab-case: "rep-movsb", "fused-avx2"
	Family Family
	Method string   // one line: what it does
	Needs  Features // none: portable Go

	NonTemporal bool // its stores go round the caches
	Lossless    bool // every bit pattern arrives as it was

	// Copy copies min(len(dst), len(src)) bytes and returns their number.
	Copy func(dst, src []byte) int
	// Sum sums b from an even offset.
	Sum func(b []byte) Partial
	// CopySum copies as Copy and returns the sum of what was copied.
	CopySum func(dst, src []byte) (int, Partial)
}

// Available reports whether the routine can run on this CPU.
func (r *Routine) Available() bool { return host.has&r.Needs == r.Needs }

// Check returns nil, or an [UnavailableError] that names what is missing.
func (r *Routine) Check() error {
	if r.Available() {
		return nil
	}
	return &UnavailableError{Routine: r.Name, Missing: r.Needs &^ host.has}
}

// Routines returns every routine known on this architecture, available or not, by
// family and in historical order.
func Routines() []Routine { return append([]Routine(nil), table...) }

// Lookup finds a routine by its name.
func Lookup(name string) (Routine, bool) {
	for _, r := range table {
		if r.Name == name {
			return r, true
		}
	}
	return Routine{}, false
}

// chunk is the longest single call of an assembly routine in bytes. At 1 GB/s, with
// a page fault every 4 KiB on top, it takes a quarter of a millisecond. It is a
// multiple of every alignment, and even, so that sums of chunks just add.
const chunk = 128 << 10

// overlap reports whether n bytes at a and at b have one in common.
func overlap(a, b *byte, n int) bool {
	d := uintptr(unsafe.Pointer(a)) - uintptr(unsafe.Pointer(b))
	return d < uintptr(n) || -d < uintptr(n)
}
