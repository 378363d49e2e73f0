package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/internal/trial"
)

type settings struct{ tids []int }

func (s *session) hello(ctx context.Context, _ none) (Hello, error) {
	cpus, err := sysx.Affinity(0)
	return Hello{Protocol: Protocol, PID: os.Getpid(), CPUs: cpus, Host: []byte("{}")}, err
}

func (s *session) configure(ctx context.Context, c Configure) (Configured, error) {
	for i := 1; i < 2; i++ {
		v := "0"
		for _, k := range c.CPUs {
			if k == i {
				v = "1"
			}
		}
		if c.CPUs != nil {
			os.WriteFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/online", i), []byte(v), 0)
		}
	}
	for _, n := range c.NICs {
		l, err := netlink.LinkByName(n.Name)
		if err != nil {
			return Configured{}, err
		}
		if err := netlink.LinkSetMTU(l, n.MTU); err != nil {
			return Configured{}, err
		}
		e, err := ethtool.NewEthtool()
		if err != nil {
			return Configured{}, err
		}
		f := map[string]bool{}
		for k, v := range n.Features {
			f[map[string]string{"gro": "rx-gro", "tso": "tx-tcp-segmentation", "gso": "tx-generic-segmentation"}[k]] = v
		}
		if err := e.Change(n.Name, f); err != nil {
			return Configured{}, fmt.Errorf("%v: %w", f, err)
		}
		e.Close()
		if err := os.WriteFile("/sys/class/net/"+n.Name+"/threaded", []byte("1"), 0); err != nil {
			return Configured{}, err
		}
	}
	return Configured{}, nil
}

func napis(nic string) (out []int) {
	m, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, f := range m {
		b, _ := os.ReadFile(f)
		if strings.HasPrefix(string(b), "napi/"+nic+"-") {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			out = append(out, n)
		}
	}
	return out
}

func (s *session) place(ctx context.Context, p Place) (Placed, error) {
	var out Placed
	var errs []error
	for nic, cpu := range p.IRQ {
		for _, pid := range napis(nic) {
			errs = append(errs, sysx.SetAffinity(pid, []int{cpu}))
			out.NICWork = append(out.NICWork, pid)
			out.Knobs = append(out.Knobs, trial.Knob{Name: "irq-affinity", Target: nic, Value: fmt.Sprint(cpu), Mechanism: "threaded-napi"})
		}
	}
	links, _ := netlink.LinkList()
	for _, l := range links {
		if _, ok := p.IRQ[l.Attrs().Name]; ok {
			continue
		}
		for _, pid := range napis(l.Attrs().Name) {
			out.NICWork = append(out.NICWork, pid)
			all := []int{0, 1}
			sysx.SetAffinity(pid, all)
		}
	}
	if p.Scatter != nil {
		var tids []int
		for _, n := range p.Scatter.NICs {
			tids = append(tids, napis(n)...)
		}
		if p.Scatter.Flows {
			for i := range s.pool.Table.Len() {
				tids = append(tids, s.pool.Table.Slot(i).TID())
			}
		}
		s.scatter = startScatter(tids, p.Scatter.CPUs, p.Scatter.Period)
	}
	return out, errors.Join(errs...)
}

func (s *session) unplace() error                       { return nil }
func (s *session) restore() error                       { return nil }
func (s *session) counters() (map[string]uint64, error) { return nil, nil }
func (s *session) confirm(*Measured) error              { return nil }
