package cli

import (
	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/probe/cpucheck"
	"github.com/stackmeter/stackmeter/internal/tui"
)

func newCPUCheck() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "cpucheck",
		Short: "Check this machine's sources of CPU time against a known load",
		Long: `Run busy loops of known CPU time (10, 50 and 90 % of a CPU; in step with the
timer tick and free-running) and print what each source of CPU time says of
them, and its error. Tick accounting can be blind to a load that is in step with
the tick; figures per CPU time are worth no more than their source.`,
		Example: "  stackmeter cpucheck\n  stackmeter cpucheck --json | jq '.cases[]'",
		Args:    argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			p := tui.NewProgress(c.ErrOrStderr(), false)
			r, err := cpucheck.Run(c.Context(), cpucheck.Config{}, func(done, total int, what string) { p.Step(done, total, what, 0) })
			p.End()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), r)
			}
			return r.WriteText(c.OutOrStdout())
		},
	}
	jsonFlag(c, &asJSON)
	return c
}
