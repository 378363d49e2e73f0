package host

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxCPUs is the largest NR_CPUS of any architecture's Kconfig.
const maxCPUs = 8192

// CPUList is a set of CPU numbers, ascending and without repetition. Its text
// form is the kernel's list format, "0-3,8"; the empty set is "".
type CPUList []int

// CPUs makes a list of the given CPUs.
func CPUs(cpus ...int) CPUList {
	l := slices.Clone(cpus)
	slices.Sort(l)
	return slices.Compact(l)
}

// ParseCPUList reads the kernel's list format (bitmap_parselist in
// lib/bitmap-str.c, without its strides): "0-3,8", "" for none.
func ParseCPUList(s string) (CPUList, error) {
	var cpus CPUList
	s = strings.TrimSpace(s)
	if s == "" {
		return cpus, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err := cpuNumber(first)
		b := a
		if err == nil && isRange {
			b, err = cpuNumber(last)
		}
		if err == nil && b < a {
			err = fmt.Errorf("the range %q runs backwards", part)
		}
		if err != nil {
			return nil, fmt.Errorf("CPU list %q: %w", s, err)
		}
		for c := a; c <= b; c++ {
			cpus = append(cpus, c)
		}
		if len(cpus) > 2*maxCPUs {
			return nil, fmt.Errorf("CPU list %.40q: names more than %d CPUs", s, maxCPUs)
		}
	}
	return CPUs(cpus...), nil
}

func cpuNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no CPU number (write it like 0-3,8)", s)
	}
	if n >= maxCPUs {
		return 0, fmt.Errorf("CPU %d: Linux numbers CPUs from 0 to %d", n, maxCPUs-1)
	}
	return int(n), nil
}

// String is the kernel's list format.
func (l CPUList) String() string {
	var b strings.Builder
	for i := 0; i < len(l); {
		j := i
		for j+1 < len(l) && l[j+1] == l[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, l[i])
		if j > i {
			fmt.Fprintf(&b, "-%d", l[j])
		}
		i = j + 1
	}
	return b.String()
}

// Has reports whether cpu is in the list.
func (l CPUList) Has(cpu int) bool {
	_, ok := slices.BinarySearch(l, cpu)
	return ok
}

// Without is the CPUs of l that are not in other.
func (l CPUList) Without(other CPUList) CPUList {
	var rest CPUList
	for _, c := range l {
		if !other.Has(c) {
			rest = append(rest, c)
		}
	}
	return rest
}

// MarshalText makes the list format the JSON form.
func (l CPUList) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the list format.
func (l *CPUList) UnmarshalText(b []byte) error {
	v, err := ParseCPUList(string(b))
	if err == nil {
		*l = v
	}
	return err
}

// ParseCPUMask reads the kernel's mask format (bitmap_parse in
// lib/bitmap-str.c): groups of up to eight hexadecimal digits, the most significant
// first, with commas between: "ff,ffffffff".
func ParseCPUMask(s string) (CPUList, error) {
	s = strings.TrimSpace(s)
	groups := strings.Split(s, ",")
	if len(groups) > maxCPUs/32 {
		return nil, fmt.Errorf("CPU mask %.40q: names more than %d CPUs", s, maxCPUs)
	}
	var cpus CPUList
	for i, g := range slices.Backward(groups) {
		v, err := strconv.ParseUint(g, 16, 32)
		if err != nil {
			return nil, fmt.Errorf("CPU mask %q: %q is no group of up to 8 hexadecimal digits", s, g)
		}
		base := (len(groups) - 1 - i) * 32
		for b := range 32 {
			if v&(1<<b) != 0 {
				cpus = append(cpus, base+b)
			}
		}
	}
	return CPUs(cpus...), nil
}

// Mask is the kernel's mask format, without leading zero groups: "0" for none.
func (l CPUList) Mask() string {
	if len(l) == 0 {
		return "0"
	}
	groups := make([]uint32, l[len(l)-1]/32+1)
	for _, c := range l {
		groups[c/32] |= 1 << (c % 32)
	}
	var b strings.Builder
	for i, g := range slices.Backward(groups) {
		if i == len(groups)-1 {
			fmt.Fprintf(&b, "%x", g)
		} else {
			fmt.Fprintf(&b, ",%08x", g)
		}
	}
	return b.String()
}
