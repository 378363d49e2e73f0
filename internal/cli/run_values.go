package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// value is a flag whose text is read by a function; what it read is kept by that.
type value struct {
	kind string // as the help names it
	text string // as given
	read func(string) error
}

func (v *value) String() string { return v.text }
func (v *value) Type() string   { return v.kind }

func (v *value) Set(s string) error {
	if err := v.read(s); err != nil {
		return err
	}
	v.text = s
	return nil
}

func sizeFlag(fl *pflag.FlagSet, to *int, name, usage string) {
	fl.Var(&value{kind: "SIZE", read: func(s string) error {
		n, err := unit.ParseSize(s)
		*to = int(n)
		return err
	}}, name, usage)
}

// timeFlag takes bare seconds too, as netperf's and iperf3's flags do.
func timeFlag(fl *pflag.FlagSet, to *time.Duration, name, short, usage string) {
	fl.VarP(&value{kind: "TIME", read: func(s string) (err error) {
		*to, err = unit.ParseSeconds(s)
		return err
	}}, name, short, usage)
}

func cpusFlag(fl *pflag.FlagSet, to *[]int, name, usage string) {
	fl.Var(&value{kind: "CPUS", read: func(s string) error {
		list, err := host.ParseCPUList(s)
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("CPU list %q: is empty; write it as 0,2-3", s)
		}
		*to = list
		return err
	}}, name, usage)
}

// shareFlag takes 95, 95% and 0.95.
func shareFlag(fl *pflag.FlagSet, to *float64, name, usage string) {
	fl.Var(&value{kind: "PERCENT", read: func(s string) (err error) {
		percent := s
		if v, bad := strconv.ParseFloat(s, 64); bad == nil && v >= 1 {
			percent += "%"
		}
		*to, err = unit.ParsePercent(percent)
		return err
	}}, name, usage)
}

func bitRateFlag(fl *pflag.FlagSet, to *uint64, name, usage string) {
	fl.Var(&value{kind: "RATE", read: func(s string) error {
		v, err := unit.ParseBitRate(s)
		*to = uint64(v)
		return err
	}}, name, usage)
}

// intFlag takes numbers as C writes them: 16, 0x10.
func intFlag(fl *pflag.FlagSet, to *int, name, usage string) {
	fl.Var(&value{kind: "N", read: func(s string) error {
		n, err := strconv.ParseInt(s, 0, 32)
		if err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
		*to = int(n)
		return nil
	}}, name, usage)
}

// flowRate is what a flow begins a second: so many messages, or so many bits of them.
type flowRate struct {
	perSecond float64
	bits      float64
}

// parseFlowRate reads "5000", "20k", "20k/s" as numbers a second and "1Gb/s" as bits.
func parseFlowRate(s string) (flowRate, error) {
	if strings.ContainsAny(s, "bB") {
		bits, err := unit.ParseBitRate(s)
		return flowRate{bits: bits}, err
	}
	num := strings.TrimSuffix(strings.TrimSpace(s), "/s")
	factor := 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "K": 1e3, "M": 1e6} {
		if rest, ok := strings.CutSuffix(num, suffix); ok {
			num, factor = rest, f
			break
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	if err != nil || !(v > 0) || v*factor > 1e8 {
		return flowRate{}, fmt.Errorf("rate %q: write messages or transactions a second (5000, 20k, up to 100M), or bits of a stream (700Mb/s, 1Gb/s)", s)
	}
	return flowRate{perSecond: v * factor}, nil
}
