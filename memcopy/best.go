package memcopy

// rule is one line of what Best knows: up to a length, take a routine, because.
type rule struct {
	upTo int // bytes, inclusive
	name string
	why  string
}

// Best returns the routine of a family for n bytes on this CPU, and why. [Copy],
// [Sum] and [Partial.CopyAdd] do the same.
//
// The rules were measured on an AMD Zen 5 server CPU and on an Intel Xeon with
// AVX-512, in loops over data in the caches; where a CPU is neither, the choice is
// the cautious one, and the reason says so. 'stackmeter copy' measures the machine
// at hand.
func Best(f Family, n int) (r Routine, why string) {
	for _, rule := range rulesFor(host, f) {
		if n <= rule.upTo {
			r, _ = Lookup(rule.name)
			return r, rule.why
		}
	}
	return Routine{}, ""
}
