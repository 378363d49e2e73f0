package profile

import (
	"bytes"
	"testing"

	"github.com/stackmeter/stackmeter/internal/profile/sample"
	"github.com/stackmeter/stackmeter/internal/profile/symbol"
)

// BenchmarkFinish names and classifies the samples of a minute on two CPUs at 99 Hz,
// no two stacks of which are alike, reads the kernel's symbols, and writes pprof and
// folded stacks.
func BenchmarkFinish(b *testing.B) {
	for b.Loop() {
		names, err := symbol.ReadKernel()
		if err != nil {
			b.Skip(err)
		}
		var g gathered
		g.init()
		g.names = names
		var r sample.Records
		seed := uint64(1)
		for i := range 60 * 2 * sample.DefaultFrequency {
			s := sample.Sample{CPU: i % 2, PID: 1 + i%20, TID: 1}
			for range 30 {
				seed = seed*6364136223846793005 + 1442695040888963407
				s.Kernel = append(s.Kernel, 0xffffffff81000000+seed>>40)
			}
			r.Samples = append(r.Samples, s)
		}
		g.add(&r)
		p := &Profile{Sampling: g.finish(sample.DefaultFrequency)}
		var out bytes.Buffer
		if err := p.WritePprof(&out); err != nil {
			b.Fatal(err)
		}
		if err := p.Sampling.WriteFolded(&out); err != nil {
			b.Fatal(err)
		}
		p.Sampling.Tree()
		p.Sampling.ByFunction()
	}
}
