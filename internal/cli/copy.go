package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/copylab"
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
			p := tui.NewProgress(c.ErrOrStderr(), false)
			r, err := copylab.Run(c.Context(), cfg, func(done, total int, what string) { p.Step(done, total, what, 0) })
			p.End()
			if err != nil {
				return err
			}
			if page != "" {
				if err := writeFile(page, func(w io.Writer) error { return copylab.WriteHTML(w, r) }); err != nil {
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
				return copylab.WriteText(out, r)
			}
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&asCSV, "csv", false, "print every figure as CSV")
	c.Flags().BoolVar(&asBench, "bench", false, "print every figure in the Go benchmark format")
	c.Flags().StringVar(&page, "html", "", "also write the tables, heat maps and curves to this `file`")
	c.Flags().StringVar(&where, "where", "", "measure only where something is best done: csum")
	c.Flags().IntVar(&cpu, "cpu", -1, "the CPU that copies; by default the quietest")
	c.Flags().IntVar(&peer, "peer", -1, "the other CPU, which writes and checksums; by default another")
	c.Flags().BoolVar(&cfg.Quick, "quick", false, "a third of the rounds, no copies above 1 MiB")
	c.Flags().BoolVar(&cfg.Force, "force", false, "report even if other work had the CPU")
	return c
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
