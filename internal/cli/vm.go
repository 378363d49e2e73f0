package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig/vm"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// vmFlags say what machine to make.
type vmFlags struct {
	cpus, nodes     int
	memory          string
	bridges         []string
	kernel, modules string
	accel           string
}

func (f *vmFlags) register(fl *pflag.FlagSet, prefix string) {
	fl.IntVar(&f.cpus, prefix+"cpus", 4, "CPUs of the guest")
	fl.StringVar(&f.memory, prefix+"memory", "1GiB", "memory of the guest, e.g. 2GiB")
	fl.IntVar(&f.nodes, prefix+"nodes", 1, "NUMA nodes of the guest")
	fl.StringVar(&f.kernel, prefix+"kernel", "", "boot this `FILE`: a vmlinuz, or a Debian linux-image package (default: $"+vm.KernelVariable+", a package in the cache, this machine's own)")
	fl.StringVar(&f.modules, prefix+"modules", "", "`DIR` of the modules of that vmlinuz (default: /lib/modules/RELEASE)")
	fl.StringVar(&f.accel, prefix+"accel", "", "kvm or tcg (default: kvm where it is usable)")
}

// config is the machine without NICs.
func (f *vmFlags) config() (vm.Config, error) {
	memory, err := unit.ParseSize(f.memory)
	if err != nil {
		return vm.Config{}, fmt.Errorf("memory: %w", err)
	}
	c := vm.Config{CPUs: f.cpus, MemoryBytes: memory, Nodes: f.nodes, Kernel: f.kernel, Modules: f.modules, Accel: vm.Accel(f.accel)}
	for _, b := range f.bridges {
		name, node, _ := strings.Cut(b, ":")
		bus := vm.Bus{Name: name}
		if node != "" {
			if bus.Node, err = strconv.Atoi(node); err != nil {
				return c, fmt.Errorf("--bridge %s: want NAME or NAME:NODE", b)
			}
		}
		c.Bridges = append(c.Bridges, bus)
	}
	return c, nil
}

func newVM() *cobra.Command {
	var f vmFlags
	var nics, files []string
	var peers bool
	var out string
	c := &cobra.Command{
		Use:   "vm [flags] -- COMMAND...",
		Short: "Run a command of stackmeter in a virtual machine made to order",
		Long: `Boot a QEMU guest with the CPUs, NUMA nodes, PCI bridges and NICs asked for, run one
command of stackmeter in it as root, and end with its exit code. stackmeter itself is
the guest's init; no disk image is needed, only QEMU and a kernel with its modules.

Without KVM the guest's instructions are interpreted: what it does is real, its speeds
mean nothing. See doc/rigs.md.

A NIC is DRIVER[:QUEUES][@BRIDGE]; drivers are ` + strings.Join(vm.Drivers, ", ") + `
(e100 is Intel's 8255x). In the guest they are called nic0, nic1, ... With --peers each
is connected to a NIC of its own, peer0, peer1, ..., in the same guest.`,
		Example: `  stackmeter vm -- topo
  stackmeter vm --cpus 4 --nic virtio:4 --nic virtio:4 -- topo
  stackmeter vm --nodes 2 --bridge a:0 --bridge b:1 --nic e1000@a --nic e100@a --nic virtio:4@b -- topo --json
  stackmeter vm --nic virtio:4 --out found -- topo --out /result`,
		Args: argCheck(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := f.config()
			if err == nil {
				err = addNICs(&cfg, nics, peers)
			}
			if err != nil {
				return usage(err)
			}
			cmd := vm.Command{Args: args, Out: out, Stdout: c.OutOrStdout(), Stderr: c.ErrOrStderr(), Files: map[string][]byte{}}
			for _, file := range files {
				if err := addFile(cmd.Files, file); err != nil {
					return usage(err)
				}
			}
			o, err := vm.Run(c.Context(), cfg, cmd)
			switch {
			case host.IsNotSupported(err) || errors.Is(err, host.ErrInput):
				return usage(err)
			case err != nil:
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "guest: Linux %s on %s, up in %.1f s\n", o.Kernel, o.Accel, o.Boot.Seconds())
			if o.Accel == vm.TCG {
				fmt.Fprintln(c.ErrOrStderr(), vm.FunctionalOnly)
			}
			if o.Code != 0 {
				return &exitError{o.Code, errSaid}
			}
			return nil
		},
	}
	fl := c.Flags()
	f.register(fl, "")
	fl.StringArrayVar(&nics, "nic", nil, "a NIC: `DRIVER[:QUEUES][@BRIDGE]` (repeatable)")
	fl.StringArrayVar(&f.bridges, "bridge", nil, "a PCI bridge `NAME[:NODE]` for NICs to share (repeatable)")
	fl.BoolVar(&peers, "peers", false, "connect each NIC to a peer in the guest")
	fl.StringArrayVar(&files, "file", nil, "put the file `HERE:THERE` into the guest (repeatable)")
	fl.StringVar(&out, "out", "", "copy what the command leaves in "+vm.ResultDir+" to `DIR`")
	return c
}

// addNICs reads --nic.
func addNICs(cfg *vm.Config, nics []string, peers bool) error {
	for i, text := range nics {
		n := vm.NIC{Name: fmt.Sprintf("nic%d", i)}
		text, n.Bridge, _ = strings.Cut(text, "@")
		var queues string
		var ok bool
		if n.Driver, queues, ok = strings.Cut(text, ":"); ok {
			var err error
			if n.Queues, err = strconv.Atoi(queues); err != nil {
				return fmt.Errorf("--nic %s: %q is no number of queues", text, queues)
			}
		}
		if peers {
			n.Segment = i + 1
		}
		cfg.NICs = append(cfg.NICs, n)
	}
	if peers {
		for i := range nics {
			cfg.NICs = append(cfg.NICs, vm.NIC{Name: fmt.Sprintf("peer%d", i), Segment: i + 1})
		}
	}
	return nil
}

// addFile reads a file for the guest.
func addFile(files map[string][]byte, arg string) error {
	here, there, ok := strings.Cut(arg, ":")
	if !ok || !filepath.IsAbs(there) {
		return fmt.Errorf("--file %s: want HERE:THERE, and THERE to begin with /", arg)
	}
	b, err := os.ReadFile(here)
	if err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	files[there] = b
	return nil
}
