package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/report"
)

func newProfileDiff() *cobra.Command {
	var asJSON bool
	var out string
	c := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "Put two configurations side by side, per byte carried (Table 2)",
		Long: `Compare what each stage and function costs per kilobyte carried, with intervals over
replicates: 4 profiles on each side give 95 %.

A side is a profile's directory or file, or the result of a study that was run with
--profile; of such a result DIR:factor=level,... takes a part.`,
		Example: `  stackmeter profile diff before after
  stackmeter profile diff RESULT:affinity=none RESULT:affinity=both --out DIR`,
		Args: argCheck(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, args []string) error {
			if err := report.CheckDiffDir(out); err != nil {
				return usage(fmt.Errorf("--out: %w", err))
			}
			var sides [2][]*profile.Profile
			var err error
			for i, a := range args {
				if sides[i], err = report.ReadProfiles(a); err != nil {
					return usage(err)
				}
			}
			return tellDiff(c.OutOrStdout(), sides[0], sides[1], report.Sides{Before: args[0], After: args[1]}, out, asJSON)
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&out, "out", "", "also write diff.json, a differential flame graph and report.html to `DIR`")
	return c
}

func tellDiff(w io.Writer, before, after []*profile.Profile, names report.Sides, dir string, asJSON bool) error {
	d, err := profile.Compare(before, after)
	if err != nil {
		return err
	}
	page := ""
	if dir != "" {
		if page, err = report.WriteProfileDiff(dir, d, before, after, names); err != nil {
			return err
		}
	}
	if asJSON {
		return writeJSON(w, d)
	}
	err = report.ProfileDiffText(w, d, names, textOptions(w))
	if page != "" {
		_, printErr := fmt.Fprintf(w, "\nfigures: %s\n", page)
		err = errors.Join(err, printErr)
	}
	return err
}
