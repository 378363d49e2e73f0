package export

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/meter"
)

// RunGoBench writes a line for each window, so that `benchstat OLD NEW` compares two runs with
// as many samples as they had windows (--confidence repeats them):
//
//	BenchmarkTCPStream/flows=4/msg=65536 1 3.3e10 bit/s 1.1e10 bit/s/cpu ...
//
// A run that is not complete has a configuration line `incomplete:`, which keeps benchstat
// from putting it into one table with others.
func RunGoBench(w io.Writer, r *meter.Result) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "goos: linux")
	config := [][2]string{{"rig", r.Rig}}
	if len(r.Machines) > 0 {
		config = append(config, [2]string{"kernel", r.Machines[0].Kernel}, [2]string{"cpu", r.Machines[0].Model})
	}
	if !r.Complete {
		config = append(config, [2]string{"incomplete", "yes: " + r.Error})
	}
	for _, kv := range config {
		if v := strings.Join(strings.Fields(kv[1]), " "); v != "" {
			fmt.Fprintf(b, "%s: %s\n", kv[0], v)
		}
	}
	for _, u := range []string{"bit/s", "reverse-bit/s", "bit/s/cpu", "transactions/s", "transactions/s/cpu"} {
		fmt.Fprintf(b, "Unit %s better=higher\n", u)
	}
	for _, u := range []string{"ns/KiB", "p50-ns", "p99-ns", "p99.9-ns", "lost-share"} {
		fmt.Fprintf(b, "Unit %s better=lower\n", u)
	}
	name := benchName(&r.Config)
	for i := range r.Windows {
		f := &r.Windows[i].Figures
		fmt.Fprintf(b, "%s 1", name)
		put := func(v float64, unit string) {
			if v > 0 {
				fmt.Fprintf(b, " %g %s", v, unit)
			}
		}
		if r.Config.Answers() {
			fmt.Fprintf(b, " %g transactions/s", f.TransactionsPerSecond)
			put(f.TransactionsPerCPU, "transactions/s/cpu")
		} else {
			fmt.Fprintf(b, " %g bit/s", f.BitsPerSecond)
			put(f.ReverseBitsPerSecond, "reverse-bit/s")
			put(f.ScaledToCPU, "bit/s/cpu")
			put(f.ServiceDemand, "ns/KiB")
		}
		if l := f.Latency; l != nil {
			put(float64(l.P50), "p50-ns")
			put(float64(l.P99), "p99-ns")
			put(float64(l.P999), "p99.9-ns")
		}
		put(f.LostShare, "lost-share")
		b.WriteByte('\n')
	}
	return b.Flush()
}

// techniques are those of a user-space stack that were asked for.
func techniques(c *meter.Config) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(c.Stack.Techniques)) {
		all = append(all, name+":"+c.Stack.Techniques[name])
	}
	return strings.Join(all, ",")
}

// benchName is what was run: the workload, and options that are not the default.
func benchName(c *meter.Config) string {
	transport, pattern := strings.ToUpper(c.Transport()), c.Pattern()
	if c.Answers() {
		pattern = strings.ToUpper(pattern)
	} else if pattern != "" {
		pattern = strings.ToUpper(pattern[:1]) + pattern[1:]
	}
	name := fmt.Sprintf("Benchmark%s%s/flows=%d/msg=%d", transport, pattern, c.Flows, c.MessageBytes)
	for _, o := range []struct {
		key   string
		value any
		shown bool
	}{
		{"resp", c.Response, c.Answers() && c.Response != c.MessageBytes},
		{"pairs", max(c.RigPairs, len(c.Senders), len(c.Receivers)), max(c.RigPairs, len(c.Senders), len(c.Receivers)) > 1},
		{"burst", c.Burst, c.Burst > 1},
		{"rate", c.Rate, c.Rate > 0},
		{"model", c.Model, c.Model != meter.Auto},
		{"engine", c.Engine, c.Engine != "kernel"},
		{"ends", c.Stack.Ends, c.Stack.Ends != ""},
		{"device", c.Stack.Device, c.Stack.Device != ""},
		{"queues", c.Stack.Queues, c.Stack.Queues > 1},
		{"offload", "off", c.Stack.NoOffload},
		{"techniques", techniques(c), len(c.Stack.Techniques) > 0},
		{"send", c.SendMethod, c.SendMethod != ""},
		{"receive", c.ReceiveMethod, c.ReceiveMethod != ""},
		{"segment", c.SegmentBytes, c.SegmentBytes > 0},
		{"gro", c.GRO, c.GRO},
		{"batch", c.Batch, c.Batch > 1},
		{"congestion", c.Congestion, c.Congestion != ""},
		{"nodelay", c.NoDelay, c.NoDelay},
	} {
		if o.shown {
			name += "/" + o.key + "=" + word(fmt.Sprint(o.value))
		}
	}
	return name
}
