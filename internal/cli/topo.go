package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/topo"
)

type topoFlags struct {
	root, capture   string
	svg, html, into string
	queues, json    bool
}

func newTopo() *cobra.Command {
	f := &topoFlags{}
	c := &cobra.Command{
		Use:   "topo",
		Short: "Show the machine as its network stack sees it, and what stands in the way",
		Long: `Show CPUs with packages, caches and NUMA nodes; the PCI tree above the NICs with what
its links carry; each NIC with queues, NAPI instances, interrupts, RSS, RPS, RFS,
XPS, rings, coalescing and offloads; and judge what of it stands in the way, with
the figures behind each judgement. It only reads.

--capture takes all that topo reads, and nothing else, into a file that can be sent to
somebody; --root reads such a file, or a directory that it was unpacked to. A
capture holds names of interfaces and settings, and no address, host name,
serial number or key.`,
		Example: `  stackmeter topo
  stackmeter topo --json | jq '.judgements[] | {code, text}'
  stackmeter topo --svg lab1.svg --html lab1.html
  stackmeter topo --capture lab1.tar.gz
  stackmeter topo --root lab1.tar.gz --queues`,
		Args: argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.OutOrStdout(), c.ErrOrStderr()) },
	}
	jsonFlag(c, &f.json)
	c.Flags().BoolVar(&f.queues, "queues", false, "also a line for each queue and interrupt")
	c.Flags().StringVar(&f.root, "root", "", "read a captured machine, a `FILE` (.tar.gz) or directory, and not this one")
	c.Flags().StringVar(&f.svg, "svg", "", "also draw it to `FILE`")
	c.Flags().StringVar(&f.html, "html", "", "also write it as a page to `FILE`")
	c.Flags().StringVar(&f.into, "into", "", "also put it into `RESULT`, the directory of a study, and its report.html, in place of what the study stored")
	c.Flags().StringVar(&f.capture, "capture", "", "also write what was read to `FILE`.tar.gz")
	return c
}

func (f *topoFlags) run(stdout, stderr io.Writer) error {
	if f.capture != "" && f.root != "" {
		return usage(errors.New("--capture takes this machine, --root reads another: choose one"))
	}
	m, err := f.read(stderr)
	if err != nil {
		return err
	}
	if err := f.draw(m); err != nil {
		return err
	}
	if f.json {
		return writeJSON(stdout, m)
	}
	return m.WriteText(stdout, f.queues)
}

// draw writes the pictures that were asked for.
func (f *topoFlags) draw(m *topo.Machine) error {
	for _, to := range []struct {
		flag, name string
		write      func(io.Writer, *topo.Machine) error
	}{{"--svg", f.svg, report.TopoSVG}, {"--html", f.html, report.TopoHTML}} {
		if to.name == "" {
			continue
		}
		var b bytes.Buffer
		if err := to.write(&b, m); err != nil {
			return err
		}
		if err := result.WriteAtomically(to.name, b.Bytes()); err != nil {
			return usage(fmt.Errorf("%s: %w", to.flag, err))
		}
	}
	if f.into == "" {
		return nil
	}
	if _, err := report.WriteTopo(f.into, m); err != nil {
		return usage(fmt.Errorf("--into: %w", err))
	}
	return nil
}

func (f *topoFlags) read(stderr io.Writer) (*topo.Machine, error) {
	switch {
	case f.root != "":
		m, err := readMachine(f.root)
		if err != nil {
			return nil, usage(fmt.Errorf("--root: %w; make one with `stackmeter topo --capture FILE.tar.gz`", err))
		}
		return m, nil
	case f.capture != "":
		m, tree, err := topo.Capture()
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := tree.WriteArchive(&b); err != nil {
			return nil, err
		}
		if err := result.WriteAtomically(f.capture, b.Bytes()); err != nil {
			return nil, usage(fmt.Errorf("--capture: %w", err))
		}
		fmt.Fprintf(stderr, "captured: %s, %d bytes\n", f.capture, b.Len())
		return m, nil
	}
	return topo.Live()
}

// readMachine reads a captured tree, packed or unpacked.
func readMachine(name string) (*topo.Machine, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		d, err := topo.OpenDir(name)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return topo.Read(d)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	tree, err := topo.ReadArchive(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return topo.Read(tree)
}

// saveTopology adds this machine's topology to a result.
func saveTopology(dir string) error {
	m, err := topo.Live()
	if err != nil {
		return err
	}
	return report.SaveTopo(dir, m)
}
