package export

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// The units of the Go benchmark format. benchstat takes the direction from the
// Unit lines.
const (
	unitThroughput = "bit/s"
	unitServer     = "bit/s/cpu"         // scaled to the server's CPU time
	unitMachine    = "machine-bit/s/cpu" // scaled to the whole machine's
	unitDemand     = "ns/KiB"            // server's CPU time per KiB
)

// GoBench writes the trials with status ok in the Go benchmark format
// (golang.org/design/14313-benchmark-format): a line each, as
//
//	BenchmarkTCPStream/experiment=affinity/msg=4096/affinity=both 1 3.3e10 bit/s/cpu
//
// so that benchstat prints the paper's Table 1 with p-values:
//
//	benchstat -filter '/experiment:affinity /unpinned:scatter .unit:bit/s/cpu' -row /msg -col /affinity FILE
func GoBench(w io.Writer, d *result.Dir) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "goos: linux")
	for _, kv := range [][2]string{
		{"kernel", d.Manifest.Versions.Kernel}, {"rig", d.Manifest.Rig}, {"plan", d.Manifest.Plan.Name},
	} {
		if v := strings.Join(strings.Fields(kv[1]), " "); v != "" {
			fmt.Fprintf(b, "%s: %s\n", kv[0], v)
		}
	}
	for _, u := range []string{unitThroughput, unitServer, unitMachine} {
		fmt.Fprintf(b, "Unit %s better=higher\n", u)
	}
	fmt.Fprintf(b, "Unit %s better=lower\n", unitDemand)
	fs := factors(d)
	for i := range d.Trials {
		if t := &d.Trials[i]; t.Status == trial.OK {
			benchLine(b, t, fs)
		}
	}
	return b.Flush()
}

func benchLine(b *bufio.Writer, t *trial.Trial, factors []string) {
	b.WriteString("BenchmarkTCPStream/experiment=" + word(t.Experiment))
	for _, f := range factors {
		level, ok := t.Levels[f]
		if !ok {
			continue
		}
		name := word(f)
		if f == "message_size" {
			name = "msg"
		}
		b.WriteString("/" + name + "=" + word(level))
	}
	b.WriteString(" 1")
	for _, m := range []struct {
		v    float64
		unit string
	}{
		{t.ServerScaledToCPU, unitServer},
		{t.ScaledToCPU, unitMachine},
		{t.ThroughputBitsPerSecond, unitThroughput},
		{t.ServerServiceDemand, unitDemand},
	} {
		if m.v > 0 || m.unit == unitThroughput {
			fmt.Fprintf(b, " %g %s", m.v, m.unit)
		}
	}
	b.WriteByte('\n')
}

// word makes a text fit into a benchmark's name: no blanks, no slashes, and no
// ending that reads as a GOMAXPROCS suffix ("-8").
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '/' || r == '=' || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
	if i := strings.LastIndexByte(s, '-'); i >= 0 && i+1 < len(s) && !slices.ContainsFunc([]rune(s[i+1:]), func(r rune) bool { return r < '0' || r > '9' }) {
		s = s[:i] + "_" + s[i+1:]
	}
	return s
}
