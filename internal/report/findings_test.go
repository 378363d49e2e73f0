package report

import (
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/synthetic"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// TestScalingFindings wants no more claimed of scaling than the trials allow.
func TestScalingFindings(t *testing.T) {
	for name, c := range map[string]struct {
		o      synthetic.Options
		change func(*trial.Trial)
		want   string
	}{
		"a factor": {synthetic.Options{}, func(*trial.Trial) {}, "smp: 4 CPUs give 2."},
		"too few":  {synthetic.Options{Replicates: 3}, func(*trial.Trial) {}, "smp: too few replicates to tell what 4 CPUs give (2."},
		"no difference": {synthetic.Options{}, func(t *trial.Trial) {
			if t.Levels["cpus"] == "4" {
				t.ServerScaledToCPU /= synthetic.SMP["4"]
			}
		}, "smp: no difference seen between 4 CPUs and one ("},
		"confined": {synthetic.Options{}, func(t *trial.Trial) { t.CPU.Online = 4 }, "smp: scaling over CPUs can't be told"},
	} {
		t.Run(name, func(t *testing.T) {
			trials := synthetic.Trials(c.o)
			for i := range trials {
				c.change(&trials[i])
			}
			var smp []string
			for _, f := range findings(analysis.Analyze(trials, analysis.Options{Seed: 1})) {
				if strings.HasPrefix(f, "smp: ") {
					smp = append(smp, f)
				}
			}
			if len(smp) != 1 || !strings.HasPrefix(smp[0], c.want) {
				t.Errorf("findings %q, want one that begins with %q", smp, c.want)
			}
		})
	}
}
