package cli

import "github.com/spf13/cobra"

func newReport() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "report DIR",
		Short: "Make the tables and report.html of a result again",
		Long: `Derive every table and figure of a result directory again, from its trials
alone: prints the tables and writes report.html into the directory. A study that
is still running can be read too.`,
		Example: `  stackmeter report stackmeter-quick-20261122-161530
  stackmeter report results/before --json | jq .experiments[0].affinity`,
		Args: argCheck(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return tellResult(c.OutOrStdout(), args[0], asJSON)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}
