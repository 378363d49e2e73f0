package tune

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// onOff is the form of switches.
func onOff(v string) (string, error) {
	if v != "on" && v != "off" {
		return "", fmt.Errorf("%q is neither on nor off", v)
	}
	return v, nil
}

// number is the form of whole numbers from low to high.
func number(low, high uint64) func(string) (string, error) {
	return func(v string) (string, error) {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil || n < low || n > high {
			return "", fmt.Errorf("%q is no whole number from %d to %d", v, low, high)
		}
		return strconv.FormatUint(n, 10), nil
	}
}

// numbers is the form of n whole numbers that don't fall.
func numbers(n int) func(string) (string, error) {
	return func(v string) (string, error) {
		f := strings.Fields(v)
		if len(f) != n {
			return "", fmt.Errorf("%q has %d numbers", v, len(f))
		}
		last := uint64(0)
		for i, s := range f {
			x, err := strconv.ParseUint(s, 10, 63)
			if err != nil || x < last {
				return "", fmt.Errorf("%q is no whole number from %d up", s, last)
			}
			f[i], last = strconv.FormatUint(x, 10), x
		}
		return strings.Join(f, " "), nil
	}
}

var wordForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// word is the form of names.
func word(v string) (string, error) {
	if !wordForm.MatchString(v) {
		return "", fmt.Errorf("%q is no name of letters, digits, - and _", v)
	}
	return v, nil
}

// cpuLists is the form of places: one of words, or CPU lists divided by blanks, one a
// queue.
func cpuLists(words ...string) func(string) (string, error) {
	return func(v string) (string, error) {
		if slices.Contains(words, v) {
			return v, nil
		}
		f := strings.Fields(v)
		if len(f) == 0 {
			return "", fmt.Errorf("no CPU given")
		}
		for i, part := range f {
			each := strings.Split(part, "|")
			for j, s := range each {
				if s == "off" && slices.Contains(words, "off") {
					continue
				}
				l, err := host.ParseCPUList(s)
				if err == nil && len(l) == 0 {
					err = fmt.Errorf("no CPU given")
				}
				if err != nil {
					return "", err
				}
				each[j] = l.String()
			}
			f[i] = fold(each, "|")
		}
		return fold(f, " "), nil
	}
}

// fold joins values, or gives the only one where all are the same.
func fold(values []string, by string) string {
	if len(values) > 0 && len(slices.Compact(slices.Clone(values))) == 1 {
		return values[0]
	}
	return strings.Join(values, by)
}
