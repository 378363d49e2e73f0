package profile

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	pprof "github.com/google/pprof/profile"
)

// path is a stack's functions from root to leaf, below its process.
func (s *Sampling) path(x *Stack) []string {
	out := []string{x.Command}
	for i := len(x.Frames) - 1; i >= 0; i-- {
		out = append(out, s.Functions[x.Frames[i]])
	}
	return out
}

// WriteFolded writes one line a stack, from root to leaf with semicolons between, then
// its samples: what flame graph programs read. CPUs are added up.
func (s *Sampling) WriteFolded(w io.Writer) error {
	n := map[string]int{}
	for i := range s.Stacks {
		x := &s.Stacks[i]
		path := s.path(x)
		for j, f := range path {
			path[j] = strings.NewReplacer(";", ":", " ", "_", "\n", "_").Replace(f)
		}
		n[strings.Join(path, ";")] += x.Count
	}
	b := bufio.NewWriter(w)
	for _, k := range slices.Sorted(maps.Keys(n)) {
		fmt.Fprintf(b, "%s %d\n", k, n[k])
	}
	return b.Flush()
}

// WritePprof writes the samples as gzipped protobuf, for `go tool pprof`: samples and
// CPU time, with stage, context, CPU and command as labels (-tagfocus, -tagroot).
func (p *Profile) WritePprof(w io.Writer) error {
	s := p.Sampling
	per := s.perSample()
	out := &pprof.Profile{
		SampleType:    []*pprof.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType:    &pprof.ValueType{Type: "cpu", Unit: "nanoseconds"},
		Period:        int64(time.Second) / int64(max(s.Frequency, 1)),
		TimeNanos:     p.Started.UnixNano(),
		DurationNanos: int64(p.Seconds * 1e9),
		Comments:      []string{"stackmeter: " + p.Load},
	}
	if x := p.pass(PassSample); x != nil {
		out.DurationNanos = int64(x.Seconds * 1e9)
	}
	mapping := &pprof.Mapping{ID: 1, File: "[kernel and user]", HasFunctions: true}
	out.Mapping = []*pprof.Mapping{mapping}
	locations := make([]*pprof.Location, len(s.Functions))
	for i, name := range s.Functions {
		f := &pprof.Function{ID: uint64(i + 1), Name: name, SystemName: name}
		locations[i] = &pprof.Location{ID: uint64(i + 1), Mapping: mapping, Line: []pprof.Line{{Function: f}}}
		out.Function = append(out.Function, f)
	}
	out.Location = locations
	for i := range s.Stacks {
		x := &s.Stacks[i]
		y := &pprof.Sample{
			Value: []int64{int64(x.Count), int64(float64(x.Count) * per[x.CPU] * 1e9)},
			Label: map[string][]string{
				"stage": {string(x.Stage)}, "context": {string(x.Context)},
				"cpu": {fmt.Sprint(x.CPU)}, "command": {x.Command},
			},
		}
		for _, f := range x.Frames {
			y.Location = append(y.Location, locations[f])
		}
		out.Sample = append(out.Sample, y)
	}
	if err := out.CheckValid(); err != nil {
		return fmt.Errorf("pprof profile: %w", err)
	}
	z := gzip.NewWriter(w)
	if err := out.WriteUncompressed(z); err != nil {
		return err
	}
	return z.Close()
}
