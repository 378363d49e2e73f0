package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/export"
	"github.com/stackmeter/stackmeter/internal/result"
)

func newExport() *cobra.Command {
	var format string
	var names, docs []string
	for _, f := range export.Formats() {
		names = append(names, f.Name)
		docs = append(docs, fmt.Sprintf("  %-9s %s", f.Name, f.Doc))
	}
	c := &cobra.Command{
		Use:   "export DIR",
		Short: "Print a result's trials for other programs",
		Long:  "Print the trials of a result for other programs to read. Formats:\n\n" + strings.Join(docs, "\n") + "\n\nJSON is what trials.jsonl in the result already is.",
		Example: `  stackmeter export results/today --format csv > trials.csv
  stackmeter export results/today --format gobench > today.txt && benchstat yesterday.txt today.txt`,
		Args: argCheck(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := export.Find(format)
			if err != nil {
				return usage(fmt.Errorf("--format: %w", err))
			}
			d, err := result.Open(args[0])
			if err != nil {
				return usage(err)
			}
			return f.Encode(c.OutOrStdout(), d)
		},
	}
	c.Flags().StringVar(&format, "format", "csv", "`FORMAT`: "+strings.Join(names, ", "))
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return c
}
