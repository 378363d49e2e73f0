package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/copylab"
	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/internal/tui"
)

func newCopy() *cobra.Command {
	var (
		cfg       copylab.Config
		where     string
		asJSON    bool
		asCSV     bool
		asBench   bool
		page      string
		into      string
		cpu, peer int
	)
	c := &cobra.Command{
		Use:   "copy",
		Short: "Measure how this CPU copies and checksums memory (Tables 5 and 6)",
		Long: `Measure every way to copy, to checksum and to do both in one pass that stackmeter
knows, and print the paper's Table 5 (throughput by alignment) and Table 6 (cycles
of one copy of 1448 bytes), where in the memory hierarchy folding the checksum into
the copy pays, and whether it pays to checksum where the data is copied (section
2.3). Nothing of the machine is changed; one CPU is busy for some 15 seconds.`,
		Example: `  stackmeter copy                  # everything, about 15 seconds
  stackmeter copy --where csum     # only: checksum on which CPU?
  stackmeter copy --bench > new.txt && benchstat old.txt new.txt
  stackmeter copy --into DIR       # keep it, and show it in that result's report.html
  stackmeter copy --json | jq '.verdicts[].text'`,
		Args: argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			switch where {
			case "":
			case "csum":
				cfg.WhereOnly = true
			default:
				return usage(fmt.Errorf("--where %s: the only such question is csum", where))
			}
			if asJSON && asCSV || asJSON && asBench || asCSV && asBench {
				return usage(errors.New("--json, --csv and --bench are three forms of one output: choose one"))
			}
			if into != "" && cfg.WhereOnly {
				return usage(errors.New("--into keeps a whole report: leave out --where"))
			}
			cfg.Auto = cpu < 0
			if !cfg.Auto {
				cfg.CPU, cfg.Peer = cpu, peer
				if peer < 0 {
					cfg.Peer = cpu
				}
			} else if peer >= 0 {
				return usage(errors.New("--peer needs --cpu"))
			}
			for flag, n := range map[string]int{"--cpu": cpu, "--peer": peer} {
				if err := checkCPU(flag, n); err != nil {
					return usage(err)
				}
			}
			undo, err := prepare(into)
			if err != nil {
				return usage(err)
			}
			p := tui.NewProgress(c.ErrOrStderr(), false)
			r, err := copylab.Run(c.Context(), cfg, func(done, total int, what string) { p.Step(done, total, what, 0) })
			p.End()
			if err != nil {
				undo()
				return err
			}
			if page != "" {
				if err := writeFile(page, func(w io.Writer) error { return report.CopyHTML(w, r) }); err != nil {
					undo()
					return err
				}
			}
			made := ""
			if into != "" {
				if made, err = report.WriteCopy(into, r); err != nil {
					return err
				}
			}
			switch out := c.OutOrStdout(); {
			case asJSON:
				return writeJSON(out, r)
			case asCSV:
				return copylab.WriteCSV(out, r)
			case asBench:
				return copylab.WriteBench(out, r)
			default:
				return printCopy(out, r, made)
			}
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&asCSV, "csv", false, "print every figure as CSV")
	c.Flags().BoolVar(&asBench, "bench", false, "print every figure in the Go benchmark format")
	c.Flags().StringVar(&page, "html", "", "also write the tables, heat maps and curves to this `file`")
	c.Flags().StringVar(&into, "into", "", "keep the report as copy.json in `DIR`, a study's result or a new directory, and make its report.html")
	c.Flags().StringVar(&where, "where", "", "measure only where something is best done: csum")
	c.Flags().IntVar(&cpu, "cpu", -1, "the CPU that copies; by default the quietest")
	c.Flags().IntVar(&peer, "peer", -1, "the other CPU, which writes and checksums; by default another")
	c.Flags().BoolVar(&cfg.Quick, "quick", false, "a third of the rounds, no copies above 1 MiB")
	c.Flags().BoolVar(&cfg.Force, "force", false, "report even if other work had the CPU")
	return c
}

// prepare makes the directory of --into, if it names one, before time is spent on
// measuring. undo removes it again if it is new.
func prepare(dir string) (undo func(), err error) {
	undo = func() {}
	if dir == "" {
		return undo, nil
	}
	if err := report.CheckCopyDir(dir); err != nil {
		return undo, fmt.Errorf("--into: %w", err)
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		undo = func() { _ = os.Remove(dir) }
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return undo, fmt.Errorf("--into: %w", err)
	}
	return undo, nil
}

// printCopy prints what was measured and where its page is, if it has one.
func printCopy(w io.Writer, r copylab.Report, page string) error {
	if err := copylab.WriteText(w, r); err != nil || page == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "\nfigures: %s\n", page)
	return err
}

// writeFile writes a file whole, or says why not.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
