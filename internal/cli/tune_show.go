package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/tune"
)

func newTuneList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list [SETTING ...]",
		Short:   "List the settings that there are, with what the kernel says of them",
		Example: "  stackmeter tune list\n  stackmeter tune list rx-usecs net.core.busy_poll",
		RunE: func(c *cobra.Command, args []string) error {
			all, err := named(args)
			if err != nil {
				return usage(err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), all)
			}
			tellCatalogue(c.OutOrStdout(), all)
			return nil
		},
		ValidArgsFunction: completeSettings,
	}
	jsonFlag(c, &asJSON)
	return c
}

func completeSettings(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, d := range tune.Catalogue() {
		names = append(names, d.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// named are the settings of those names; all where there are none.
func named(names []string) ([]*tune.Definition, error) {
	if len(names) == 0 {
		return tune.Catalogue(), nil
	}
	var out []*tune.Definition
	for _, n := range names {
		d, err := tune.Find(n)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func tellCatalogue(w io.Writer, all []*tune.Definition) {
	var last tune.Scope
	for _, s := range []tune.Scope{tune.NIC, tune.Host, tune.CPU, tune.Process, tune.Cgroup} {
		for _, d := range all {
			if d.Scope != s {
				continue
			}
			if s != last {
				fmt.Fprintf(w, "%s:\n", s)
			}
			last = s
			fmt.Fprintf(w, "  %s\n      %s\n      value: %s; %s\n", d.Name, d.Doc, d.Form, d.Source)
		}
	}
}

// shownReading is a setting with its value, for JSON.
type shownReading struct {
	Name         string     `json:"name"`
	Scope        tune.Scope `json:"scope"`
	Target       string     `json:"target"`
	Value        string     `json:"value,omitempty"`
	NotSupported string     `json:"not_supported,omitempty"` // why this machine can't have it, and the mend
	Error        string     `json:"error,omitempty"`
	Candidates   []string   `json:"candidates,omitempty"` // worth trying
}

func newTuneShow() *cobra.Command {
	var h handed
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "show [SETTING ...]",
		Short: "Show the values in force",
		Long: `Show the values in force of the machine and of what is named with --nic, --cpus,
--process and --cgroup (without --nic: of all NICs). Nothing is changed.`,
		Example: "  stackmeter tune show --nic eth1\n  stackmeter tune show rx-ring rx-usecs --all",
		RunE: func(c *cobra.Command, args []string) error {
			m, err := h.machine(true)
			if err != nil {
				return err
			}
			if len(h.nics) == 0 {
				var nics []host.NIC
				if err := m.Root.CheckNICs(); err != nil {
					fmt.Fprintln(c.ErrOrStderr(), "warning: NICs are left out:", err)
				} else if nics, err = m.Root.NICs(); err != nil {
					return err
				}
				for _, n := range nics {
					m.NICs = append(m.NICs, n.Name)
				}
			}
			wanted, err := named(args)
			if err != nil {
				return usage(err)
			}
			rs := readings(m, wanted)
			if asJSON {
				return writeJSON(c.OutOrStdout(), rs)
			}
			return tellReadings(c.OutOrStdout(), rs, all || len(args) > 0)
		},
		ValidArgsFunction: completeSettings,
	}
	h.register(c.Flags())
	c.Flags().BoolVar(&all, "all", false, "show also what this machine can't have, and why")
	jsonFlag(c, &asJSON)
	return c
}

func readings(m *tune.Machine, wanted []*tune.Definition) []shownReading {
	out := []shownReading{}
	for _, i := range m.Items() {
		if !slices.ContainsFunc(wanted, func(d *tune.Definition) bool { return d.Name == i.Name }) {
			continue
		}
		r := i.Reading()
		s := shownReading{Name: i.Name, Scope: i.Scope, Target: i.Target, Value: r.Value}
		switch {
		case r.Err == nil:
			s.Candidates = i.Candidates()
		case host.IsNotSupported(r.Err):
			s.NotSupported, s.Value = r.Err.Error(), ""
		default:
			s.Error, s.Value = r.Err.Error(), ""
		}
		out = append(out, s)
	}
	return out
}

func tellReadings(w io.Writer, rs []shownReading, all bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	lacking := 0
	for _, r := range rs {
		switch {
		case r.Error != "":
			fmt.Fprintf(tw, "%s\t%s\terror: %s\n", r.Target, r.Name, r.Error)
		case r.NotSupported == "":
			fmt.Fprintf(tw, "%s\t%s\t%s\n", r.Target, r.Name, shown(r.Value))
		case all:
			fmt.Fprintf(tw, "%s\t%s\t- %s\n", r.Target, r.Name, r.NotSupported)
		default:
			lacking++
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if lacking > 0 {
		fmt.Fprintf(w, "%d more that this machine can't have: --all tells why\n", lacking)
	}
	return tellKept(w)
}

// tellKept says which profiles are in force.
func tellKept(w io.Writer) error {
	dir, err := knob.Dir(host.Live())
	if err != nil {
		return err
	}
	all, err := knob.KeptIn(dir)
	for _, k := range all {
		fmt.Fprintf(w, "in force since %s: %s (%d changes)\n", k.At.Local().Format("2006-01-02 15:04:05"), strings.TrimSpace(k.Name), len(k.Changes))
	}
	return err
}
