package memcopy

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestBestIsAvailable asks the rules for every combination of features and makers:
// what they name must exist, be of the family, run there, and be a true copy.
func TestBestIsAvailable(t *testing.T) {
	for has := X86; has < 1<<8; has++ {
		if has&X86 == 0 {
			continue
		}
		for _, vendor := range []string{"GenuineIntel", "AuthenticAMD", "CentaurHauls"} {
			for _, family := range []int{6, 0x19, 0x1a} {
				c := cpu{vendor: vendor, family: family, has: has}
				for _, f := range []Family{FamilyCopy, FamilyChecksum, FamilyFused} {
					last := 0
					for _, rule := range rulesFor(c, f) {
						r, ok := Lookup(rule.name)
						if !ok || r.Family != f || r.Needs&^has != 0 || !r.Lossless {
							t.Fatalf("%s family %#x with %v: %q for %s cannot be used", vendor, family, has, rule.name, f)
						}
						if rule.upTo <= last || rule.why == "" {
							t.Fatalf("%s with %v: rule for %q out of order or without a reason", vendor, has, rule.name)
						}
						last = rule.upTo
					}
					if last < 1<<40 {
						t.Fatalf("%s with %v: %s ends at %d bytes", vendor, has, f, last)
					}
				}
			}
		}
	}
}

// TestMissingFeatureMakesUnavailable builds the table of a CPU without AVX.
func TestMissingFeatureMakesUnavailable(t *testing.T) {
	kept := 0
	for _, r := range build(X86) {
		set := r.Copy != nil || r.Sum != nil || r.CopySum != nil
		if set != (r.Needs&^X86 == 0) {
			t.Errorf("%s needs %v and has a function: %v", r.Name, r.Needs, set)
		}
		if set {
			kept++
		}
	}
	if kept < 10 {
		t.Errorf("%d routines are left for a plain x86-64 CPU", kept)
	}
	saved := host
	defer func() { host = saved }()
	host = cpu{has: X86}
	r, _ := Lookup("fused-avx512")
	var un *UnavailableError
	if err := r.Check(); !errors.As(err, &un) || un.Missing != AVX512 || !strings.Contains(err.Error(), "fused-avx512 needs AVX-512") {
		t.Errorf("check of an unavailable routine: %v", err)
	}
}

// TestDirectStores holds MOVDIR64B to the system's word on the CPU: where it is
// missing the routine has no function and says what is missing; no plan takes it.
func TestDirectStores(t *testing.T) {
	r, ok := Lookup("movdir64b")
	if !ok {
		t.Fatal("not in the table")
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skipf("nothing to compare with: %v", err)
	}
	has := slices.Contains(strings.Fields(string(info)), "movdir64b")
	if r.Available() != has || (r.Copy != nil) != has || (r.Check() == nil) != has {
		t.Errorf("available %v, function %v, check %v; the kernel lists the feature: %v", r.Available(), r.Copy != nil, r.Check(), has)
	}
	if !has && !strings.Contains(r.Check().Error(), "MOVDIR64B") {
		t.Errorf("check says %q", r.Check())
	}
	for _, n := range []int{64, 1448, 1 << 20, 64 << 20} {
		if best, _ := Best(FamilyCopy, n); best.Needs&MOVDIR64B != 0 {
			t.Errorf("%d bytes are copied by %s", n, best.Name)
		}
	}
}

// TestEveryPlan runs the fast paths under each plan that this CPU can carry out.
func TestEveryPlan(t *testing.T) {
	saved := use
	defer func() { use = saved }()
	seen := map[plan]bool{}
	for _, has := range []Features{X86, X86 | AVX2, X86 | AVX2 | FSRM | ERMS, X86 | AVX2 | AVX512, X86 | AVX2 | AVX512 | VBMI | VNNI, X86 | AVX2 | AVX512 | VBMI | VNNI | FSRM} {
		for _, vendor := range []string{"GenuineIntel", "AuthenticAMD"} {
			use = planFor(cpu{vendor: vendor, family: zen5, has: has})
			if has&^host.has&^(FSRM|ERMS) != 0 || seen[use] {
				continue
			}
			seen[use] = true
			t.Run(fmt.Sprintf("%s/%v", vendor, has), checkPublic)
		}
	}
	if len(seen) == 0 {
		t.Fatal("no plan was tried")
	}
}

// TestCallsAreShort records the lengths of the assembly calls of a long copy, a sum
// and a fusion: the garbage collector waits for each.
func TestCallsAreShort(t *testing.T) {
	var calls []int
	src, dst := make([]byte, 1<<20+77), make([]byte, 1<<20+77)
	copier(func(_, _ *byte, n uintptr) { calls = append(calls, int(n)) })(dst[13:], src)
	summer(func(_ *byte, n uintptr) uint64 { calls = append(calls, int(n)); return 0 })(src)
	fuser(func(_, _ *byte, n uintptr) uint64 { calls = append(calls, int(n)); return 0 })(dst, src)
	total := 0
	for _, n := range calls {
		if n > chunk {
			t.Errorf("a call of %d bytes", n)
		}
		total += n
	}
	if total != 3*len(src)-13 {
		t.Errorf("calls of %d bytes together, want %d", total, 3*len(src)-13)
	}
}
