package synthetic

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// Pairs of CPUs: what a pair gives, of what one CPU for both gives. The CPUs 0 to 3 are of one
// package, 4 to 7 of another.
const (
	PairNear = 0.8 // two CPUs of a package
	PairFar  = 0.6 // of two packages
)

// PairsPlan is the plan of [Pairs], resolved, as a manifest holds it.
const PairsPlan = `{"name":"cpu-pairs","title":"Interrupt and process over all pairs of CPUs (synthetic)","defaults":{"message_size":"8192","nics":"2"},
"experiments":[{"name":"pairs","title":"Pairs of CPUs"}]}`

// Pairs makes the trials of one experiment over the pairs of cpus CPUs. Flat ones give all the
// same.
func Pairs(o Options, cpus int, flat bool) []trial.Trial {
	if o.Replicates == 0 {
		o.Replicates = 6
	}
	if o.Noise == 0 {
		o.Noise = 0.01
	}
	g := &generator{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0x70616972)), clock: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	for rep := 1; rep <= o.Replicates; rep++ {
		for irq := range cpus {
			for process := range cpus {
				scaled := 6e9
				switch {
				case flat || irq == process:
				case irq/4 == process/4:
					scaled *= PairNear
				default:
					scaled *= PairFar
				}
				g.add("pairs", rep, scaled, map[string]string{"irq_cpu": fmt.Sprint(irq), "process_cpu": fmt.Sprint(process)})
			}
		}
	}
	return g.trials
}
