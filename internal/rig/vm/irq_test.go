package vm_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// counts are how often each interrupt of a NIC's queues came on each CPU.
func counts(t *testing.T, nic string) map[int]map[int]uint64 {
	t.Helper()
	mine, err := host.Live().NICIRQs(nic)
	if err != nil {
		t.Fatal(err)
	}
	all, err := host.Live().Interrupts()
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]map[int]uint64{}
	for _, i := range all {
		if slices.ContainsFunc(mine, func(m host.NICIRQ) bool { return m.IRQ == i.IRQ }) {
			out[i.IRQ] = i.Counts
		}
	}
	return out
}

// since is how often interrupts came on each CPU, of all that came 2 times or more: the first
// after a change of affinity still comes where the one before did.
func since(before, after map[int]map[int]uint64) (perCPU map[int]uint64) {
	perCPU = map[int]uint64{}
	for irq, c := range after {
		for cpu, n := range c {
			if d := n - before[irq][cpu]; d > 1 {
				perCPU[cpu] += d
			}
		}
	}
	return perCPU
}

// insidePlacement runs trials on NICs with interrupts: these must be counted where the trial
// put them. CPUs are taken off in insideHotplug, without a load: with one, guests on QEMU's TCG stand still at times.
func insidePlacement(t *testing.T) {
	p := &experiment.Plan{
		Name: "test", Defaults: experiment.Levels{"nics": "2", "unpinned": "as-found"}, Replicates: 1, MaxAttempts: 1, StrangerLimit: 1,
		Timing: experiment.Timing{RampUp: 200 * time.Millisecond, Window: 500 * time.Millisecond, Interval: 100 * time.Millisecond},
		Experiments: []experiment.Experiment{{
			Name:    "e",
			Factors: []experiment.FactorLevels{{Name: "affinity", Levels: []string{"both", "opposite"}}, {Name: "cpus", Levels: []string{"4"}}},
		}},
	}
	if err := p.Normalize(); err != nil {
		t.Fatal(err)
	}
	nics := []string{"srv0", "srv1"}
	before := affinities(t, nics...)
	b, err := experiment.VMBench(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	earlier := map[string]map[int]map[int]uint64{}
	note := func() {
		for _, nic := range nics {
			earlier[nic] = counts(t, nic)
		}
	}
	note()
	r := experiment.Runner{
		Plan: p, Schedule: experiment.Schedule(p, 1), Bench: b, Progress: func(experiment.Progress) {},
		Record: func(rec trial.Trial) error {
			cell := trial.Cell(rec.Levels)
			if rec.Status != trial.OK || rec.ThroughputBitsPerSecond == 0 {
				t.Errorf("%s: %s: %s", cell, rec.Status, rec.Error)
			}
			for i, nic := range nics {
				got := since(earlier[nic], counts(t, nic))
				var total uint64
				for _, n := range got {
					total += n
				}
				t.Logf("%s: %s: interrupts by CPU %v", cell, nic, got)
				// Until the trial places them they come where they came before; so do those
				// that hotplug moved.
				if total == 0 || got[i]*10 < total*8 {
					t.Errorf("%s: interrupts of %s by CPU: %v, wanted on CPU %d", cell, nic, got, i)
				}
			}
			note()
			return nil
		},
	}
	if err := r.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if after := affinities(t, nics...); !slices.Equal(after, before) {
		t.Errorf("affinities after the bench: %v, before: %v", after, before)
	}
}

// affinities are those of the NICs' interrupts, in order.
func affinities(t *testing.T, nics ...string) (out []string) {
	t.Helper()
	for _, nic := range nics {
		all, err := host.Live().NICIRQs(nic)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			cpus, _, err := host.Live().IRQAffinity(i.IRQ)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d=%v", i.IRQ, cpus))
		}
	}
	return out
}

// insideHotplug takes CPUs off and back on: what the kernel rewrote meanwhile is put back.
func insideHotplug(t *testing.T) {
	nics := []string{"srv0", "srv1", "vmx0"}
	root := host.Live()
	program(t, "tune", "set", "irq-affinity=3 2 1 0", "rps=2-3", "xps=3", "--nic", strings.Join(nics, ","))
	defer func() { program(t, "tune", "restore") }()
	before := affinities(t, nics...)
	rps := program(t, "tune", "show", "rps", "xps", "irq-affinity", "--json", "--nic", strings.Join(nics, ","))
	dir, err := knob.Dir(root)
	if err != nil {
		t.Fatal(err)
	}
	j, err := knob.NewJournal(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	set := knob.NewSet(root, j)
	if err := set.Put(t.Context(), knob.CPUsInUse(root), "0-1"); err != nil {
		t.Fatal(err)
	}
	online, err := root.CPUsOnline()
	if err != nil || online.String() != "0-1" {
		t.Errorf("CPUs online: %v, %v", online, err)
	}
	if during := affinities(t, nics...); slices.Equal(during, before) {
		t.Errorf("with two CPUs off the kernel left all affinities as they were: %v", during)
	}
	if err := set.Restore().Err(); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if after := affinities(t, nics...); !slices.Equal(after, before) {
		t.Errorf("affinities with all CPUs on again:\n%v\nbefore:\n%v", after, before)
	}
	if after := program(t, "tune", "show", "rps", "xps", "irq-affinity", "--json", "--nic", strings.Join(nics, ",")); after != rps {
		t.Errorf("settings with all CPUs on again:\n%s\nbefore:\n%s", after, rps)
	}
}

// insideEffective steers the interrupt of a NIC that has one to each CPU in turn: after traffic the
// kernel must say so, and count there.
func insideEffective(t *testing.T) {
	for _, nic := range []string{"old0", "pcie0"} {
		link, err := netlink.LinkByName(nic)
		if err != nil {
			t.Fatal(err)
		}
		for _, cpu := range []int{2, 1} {
			program(t, "tune", "set", fmt.Sprintf("irq-affinity=%d", cpu), "--nic", nic)
			got := chatter(t, nic, link)
			if got[cpu] == 0 || len(got) != 1 {
				t.Errorf("%s: interrupts by CPU after irq-affinity=%d: %v", nic, cpu, got)
			}
			program(t, "tune", "restore")
		}
	}
}

// chatter sends frames, each of which may make an interrupt when it is sent, until enough came to
// tell where they come, and returns how many came on each CPU.
func chatter(t *testing.T, nic string, link netlink.Link) (perCPU map[int]uint64) {
	t.Helper()
	addr, err := netlink.ParseAddr("198.19.0.1/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := netlink.AddrDel(link, addr); err != nil {
			t.Error(err)
		}
	}()
	// Multicast to the link needs no neighbour to answer; it leaves by the address that it is from.
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: addr.IP}, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := counts(t, nic)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		for range 10 {
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
		perCPU = since(before, counts(t, nic))
		for _, n := range perCPU {
			if n >= 10 {
				return perCPU
			}
		}
	}
	return perCPU
}
