package pmu

import (
	"fmt"
	"strconv"
	"strings"
)

// Format says which bits of which word of perf_event_attr a term goes to: sysfs's
// "config:0-7,32-35" (Documentation/ABI/testing/sysfs-bus-event_source-devices-format).
type Format struct {
	Word string   // config, config1, ...
	Bits [][2]int // first and last, in the order in which the value's bits fill them
}

// ParseFormat reads a file of a PMU's format directory.
func ParseFormat(s string) (Format, error) {
	s = strings.TrimSpace(s)
	word, list, ok := strings.Cut(s, ":")
	if !ok {
		return Format{}, fmt.Errorf("format %q: want WORD:BITS", s)
	}
	f := Format{Word: word}
	for _, part := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		lo, err1 := strconv.Atoi(from)
		hi, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || lo < 0 || hi > 63 || lo > hi {
			return Format{}, fmt.Errorf("format %q: %q is no range of bits", s, part)
		}
		f.Bits = append(f.Bits, [2]int{lo, hi})
	}
	return f, nil
}

// Formats are a PMU's terms by name.
type Formats map[string]Format

// Encode turns "event=0xf2,umask=0x3" into perf_event_attr.config.
func (f Formats) Encode(terms string) (config uint64, err error) {
	for _, t := range strings.Split(terms, ",") {
		name, text, ok := strings.Cut(t, "=")
		value, err := strconv.ParseUint(text, 0, 64)
		if !ok || err != nil {
			return 0, fmt.Errorf("term %q: want NAME=NUMBER", t)
		}
		format, known := f[name]
		switch {
		case !known:
			return 0, fmt.Errorf("term %s: this PMU has none of that name", name)
		case format.Word != "config":
			return 0, fmt.Errorf("term %s: lies in %s, which no event here needs", name, format.Word)
		}
		rest := value
		for _, b := range format.Bits {
			n := b[1] - b[0] + 1
			mask := ^uint64(0) >> (64 - n)
			config |= (rest & mask) << b[0]
			if n == 64 {
				rest = 0
			} else {
				rest >>= n
			}
		}
		if rest != 0 {
			return 0, fmt.Errorf("term %s: %#x does not fit its bits", name, value)
		}
	}
	return config, nil
}
