package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/probe/cpu"
	"github.com/stackmeter/stackmeter/internal/rig"
)

// bench is one veth pair between two network namespaces, with the CPU probe.
type bench struct {
	server, client *place
	probe          *cpu.Probe
	key            string  // file of the key of stackmeter's agents
	strangers      float64 // share of the CPUs that others may use
}

// place is one end: a namespace that lives as long as its holder.
type place struct {
	rig.NIC
	holder *exec.Cmd
	input  io.Closer // closing it ends the holder
	netns  string    // what /proc/PID/ns/net of its processes reads
}

func (p *place) pid() int { return p.holder.Process.Pid }

func newRig(ctx context.Context, tso bool) (_ *bench, err error) {
	link := rig.Plan(1)[0]
	r := &bench{}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.key, err = newKey(); err != nil {
		return nil, err
	}
	if r.server, err = newPlace(link.Server); err != nil {
		return nil, err
	}
	if r.client, err = newPlace(link.Client); err != nil {
		return nil, err
	}
	if err := rig.Veth(r.server.pid(), r.client.pid(), []rig.Link{link}); err != nil {
		return nil, err
	}
	for _, p := range []*place{r.server, r.client} {
		if err := p.inside(func() error { return p.prepare(tso) }); err != nil {
			return nil, fmt.Errorf("namespace of %s: %w", p.Name, err)
		}
	}
	r.probe, _, err = cpu.Open(ctx, cpu.Options{})
	return r, err
}

// newKey writes a key for stackmeter's agents to a file.
func newKey() (string, error) {
	f, err := os.CreateTemp("", "peers-*.key")
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintln(f, agent.NewKey())
	return f.Name(), errors.Join(err, f.Close())
}

func newPlace(nic rig.NIC) (*place, error) {
	p := &place{NIC: nic, holder: exec.Command("cat")}
	p.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	var err error
	if p.input, err = p.holder.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.holder.Start(); err != nil {
		return nil, fmt.Errorf("a network namespace: %w: run as root", err)
	}
	p.netns, err = os.Readlink(fmt.Sprintf("/proc/%d/ns/net", p.pid()))
	return p, err
}

// prepare gives all tools the same: cubic (through the route, since a
// namespace's sysctl may be refused), offloads, and ports enough for a
// connection per transaction.
func (p *place) prepare(tso bool) error {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, route := range routes {
		route.Congctl = "cubic"
		route.Flags = 0 // 'linkdown' may still be told, and is refused
		if err := netlink.RouteReplace(&route); err != nil {
			return fmt.Errorf("cubic on a route: %w", err)
		}
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	if err := e.Change(p.Name, map[string]bool{"tx-tcp-segmentation": tso, "tx-generic-segmentation": tso, "tx-udp-segmentation": tso}); err != nil {
		return fmt.Errorf("offloads: %w", err)
	}
	for name, value := range map[string]string{"ip_local_port_range": "1024 65535", "tcp_tw_reuse": "1"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

func (r *bench) close() {
	if r.probe != nil {
		r.probe.Close()
	}
	if r.key != "" {
		os.Remove(r.key)
	}
	for _, p := range []*place{r.server, r.client} {
		if p != nil && p.holder.Process != nil {
			p.input.Close()
			if err := p.holder.Wait(); err != nil {
				fmt.Fprintln(os.Stderr, "namespace's holder:", err)
			}
		}
	}
}

// inside runs f on a thread in the namespace.
func (p *place) inside(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		ns, err := netns.GetFromPid(p.pid())
		if err == nil {
			defer ns.Close()
			err = errors.Join(err, netns.Set(ns))
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}
