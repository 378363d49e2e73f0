package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
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
		docs = append(docs, fmt.Sprintf("  %-11s %s", f.Name, f.Doc))
	}
	var runDocs []string
	for _, f := range export.RunFormats() {
		runDocs = append(runDocs, fmt.Sprintf("  %-11s %s", f.Name, f.Doc))
	}
	c := &cobra.Command{
		Use:   "export DIR | FILE.json",
		Short: "Print a result for other programs",
		Long: "Print the trials of a study's result for other programs to read. Formats:\n\n" + strings.Join(docs, "\n") +
			"\n\nJSON is what trials.jsonl in the result already is. Of the JSON of `stackmeter run`:\n\n" + strings.Join(runDocs, "\n"),
		Example: `  stackmeter export results/today --format csv > trials.csv
  stackmeter export results/today --format gobench > today.txt && benchstat yesterday.txt today.txt
  stackmeter export run.json --format iperf3 | jq .end.sum_received`,
		Args: argCheck(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if i, err := os.Stat(args[0]); err == nil && i.Mode().IsRegular() {
				return exportRun(c.OutOrStdout(), args[0], format)
			}
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
	for _, name := range append(runFormatNames(), textFormat) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	c.Flags().StringVar(&format, "format", "csv", "`FORMAT`: "+strings.Join(names, ", "))
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// exportRun prints the JSON of a run in another format, or for people.
func exportRun(w io.Writer, name, format string) error {
	r, err := readRun(name)
	if err != nil {
		return usage(err)
	}
	o := runOutput{format: format}
	if format != textFormat {
		if _, err := export.FindRun(format); err != nil {
			return usage(fmt.Errorf("--format: %w", err))
		}
	}
	return o.print(w, r)
}
