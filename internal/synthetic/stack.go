package synthetic

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// StackFactor is a technique of a stack with its effect on throughput scaled to CPU.
type StackFactor struct {
	Name, Without, With string
	Gain                float64 // as a share, over all levels of the others
}

// StackFactors are the factors of [Stack]; one is worth nothing and one does harm.
var StackFactors = []StackFactor{
	{"stack_gather", "1", "64", 0.8},
	{"stack_checksum", "arrival", "reader", 0.06},
	{"stack_copy", "rep-movsl", "best", 0.12},
	{"stack_align", "off", "on", 0},
	{"stack_buffers", "single", "recycled", 0.5},
	{"stack_locality", "spread", "shard", -0.1},
}

// StackTogether is by what share gather and buffers give more together than what they
// give apart multiplies to; no other two interact.
const StackTogether = 0.15

// StackPlan is the plan of [Stack], resolved, as a manifest holds it.
const StackPlan = `{"name":"stack","title":"The paper's proposals in a stack (synthetic)","defaults":{"message_size":"65536"},
"experiments":[{"name":"techniques","title":"What each technique is worth","effects":true,"half":true,
"factors":[
{"name":"stack_gather","levels":["1","64"]},{"name":"stack_checksum","levels":["arrival","reader"]},
{"name":"stack_copy","levels":["rep-movsl","best"]},{"name":"stack_align","levels":["off","on"]},
{"name":"stack_buffers","levels":["single","recycled"]},{"name":"stack_locality","levels":["spread","shard"]}]},
{"name":"copy","title":"Copy routines (Figures 5 and 6)","baseline":{"stack_copy":"rep-movsl"}}]}`

// Stack makes the trials of two experiments: a half fraction of six techniques (those
// cells in which an even number has its second level), and three copy routines by message
// size.
func Stack(o Options) []trial.Trial {
	if o.Replicates == 0 {
		o.Replicates = 6
	}
	if o.Noise == 0 {
		o.Noise = 0.01
	}
	g := &generator{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0x737461)), clock: time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)}
	gather := slices.IndexFunc(StackFactors, func(f StackFactor) bool { return f.Name == "stack_gather" })
	buffers := slices.IndexFunc(StackFactors, func(f StackFactor) bool { return f.Name == "stack_buffers" })
	for rep := 1; rep <= o.Replicates; rep++ {
		for cell := range 1 << len(StackFactors) {
			scaled, second := 2e9, 0
			levels := map[string]string{}
			for i, f := range StackFactors {
				levels[f.Name] = f.Without
				if cell>>i&1 == 1 {
					levels[f.Name] = f.With
					scaled *= 1 + f.Gain
					second++
				}
			}
			if cell>>gather&1 == cell>>buffers&1 {
				scaled *= 1 + StackTogether/2
			}
			if second%2 == 0 {
				g.add("techniques", rep, scaled, levels)
			}
		}
	}
	for rep := 1; rep <= o.Replicates; rep++ {
		for _, size := range []string{"1024", "8192", "65536"} {
			for i, routine := range []string{"rep-movsl", "int32", "best"} {
				g.add("copy", rep, 2e9*(1+0.1*float64(i)), map[string]string{"message_size": size, "stack_copy": routine})
			}
		}
	}
	return g.trials
}
