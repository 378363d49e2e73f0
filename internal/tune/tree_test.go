package tune

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// tree is a machine of two memory nodes with four CPUs each, built after the kernel's
// documentation: this is no capture. eth1 (node 1) has a mlx5's interrupts, eth2 (node 0) a virtio NIC's, eth3 the one of
// an e1000, eth4 shares its interrupt with a sound card.
func tree(t *testing.T) *Machine {
	t.Helper()
	dir := t.TempDir()
	file := func(path, text string) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, path string) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	// The journal asks who this process is.
	link(fmt.Sprintf("/proc/%d", os.Getpid()), fmt.Sprintf("proc/%d", os.Getpid()))
	link("/proc/sys/kernel/random/boot_id", "proc/sys/kernel/random/boot_id")
	file("proc/net/route", "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth3\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0")

	interrupts := "           CPU0       CPU1       CPU2       CPU3       CPU4       CPU5       CPU6       CPU7\n"
	irq := func(n int, chip, action string) {
		interrupts += fmt.Sprintf("%4d: %s   %s  %s\n", n, strings.Repeat("          0", 8), chip, action)
		file(fmt.Sprintf("proc/irq/%d/smp_affinity_list", n), "0-7")
		file(fmt.Sprintf("proc/irq/%d/effective_affinity_list", n), "0")
	}
	nic := func(name, device, node string, rx int, irqs ...int) {
		file("sys/devices/pci0000:00/"+device+"/numa_node", node)
		link("../../../devices/pci0000:00/"+device, "sys/class/net/"+name+"/device")
		for f, v := range map[string]string{"ifindex": fmt.Sprint(len(name) + irqs[0]), "mtu": "1500", "gro_flush_timeout": "0", "napi_defer_hard_irqs": "0", "tx_queue_len": "1000", "threaded": "0"} {
			file("sys/class/net/"+name+"/"+f, v)
		}
		for q := range rx {
			file(fmt.Sprintf("sys/class/net/%s/queues/rx-%d/rps_cpus", name, q), "00")
			file(fmt.Sprintf("sys/class/net/%s/queues/rx-%d/rps_flow_cnt", name, q), "0")
			file(fmt.Sprintf("sys/class/net/%s/queues/tx-%d/xps_cpus", name, q), "00")
		}
		for _, n := range irqs {
			file(fmt.Sprintf("sys/devices/pci0000:00/%s/msi_irqs/%d", device, n), "msix")
		}
	}
	nic("eth1", "0000:81:00.0", "1", 4, 40, 41, 42, 43, 44)
	irq(40, "PCI-MSIX-0000:81:00.0 0-edge", "mlx5_async0@pci:0000:81:00.0")
	for q := range 4 {
		irq(41+q, fmt.Sprintf("PCI-MSIX-0000:81:00.0 %d-edge", q+1), fmt.Sprintf("mlx5_comp%d@pci:0000:81:00.0", q))
	}
	nic("eth2", "0000:00:04.0", "0", 2, 50, 51, 52, 53, 54)
	for n, a := range []string{"config", "input.0", "output.0", "input.1", "output.1"} {
		irq(50+n, fmt.Sprintf("PCI-MSIX-0000:00:04.0 %d-edge", n), "virtio2-"+a)
	}
	nic("eth3", "0000:00:05.0", "-1", 1, 20)
	irq(20, "IO-APIC  20-fasteoi", "eth3")
	nic("eth4", "0000:00:06.0", "-1", 1, 16)
	irq(16, "IO-APIC  16-fasteoi", "snd_hda_intel, eth4")
	file("proc/interrupts", strings.TrimSuffix(interrupts, "\n"))

	file("sys/devices/system/cpu/online", "0-7")
	file("sys/devices/system/cpu/possible", "0-7")
	file("sys/devices/system/node/node0/cpulist", "0-3")
	file("sys/devices/system/node/node1/cpulist", "4-7")
	for c := range 8 {
		cpu := fmt.Sprintf("sys/devices/system/cpu/cpu%d/", c)
		file(cpu+"cpufreq/affected_cpus", fmt.Sprintf("%d %d", c&^1, c|1)) // in pairs
		file(cpu+"cpufreq/scaling_governor", "schedutil")
		file(cpu+"cpufreq/scaling_available_governors", "performance schedutil")
		for s, us := range []int{0, 2, 10, 133} {
			file(fmt.Sprintf("%scpuidle/state%d/latency", cpu, s), fmt.Sprint(us))
			file(fmt.Sprintf("%scpuidle/state%d/disable", cpu, s), "0")
		}
	}
	return &Machine{Root: host.At(dir), NICs: []string{"eth1", "eth2"}}
}

// on reads the places of a NIC's interrupts.
func on(t *testing.T, m *Machine, irqs ...int) string {
	t.Helper()
	var out []string
	for _, n := range irqs {
		b, err := os.ReadFile(filepath.Join(m.Root.Proc, "irq", fmt.Sprint(n), "smp_affinity_list"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimSpace(string(b)))
	}
	return strings.Join(out, " ")
}

func TestInterruptsArePlaced(t *testing.T) {
	for _, c := range []struct{ profile, cpus, eth1, eth2, reads1, reads2 string }{
		{"nic: {irq-affinity: spread}", "", "0-7 0 1 2 3", "0-7 4 4 5 5", "0 1 2 3", "4 5"},
		{"nic: {irq-affinity: spread}", "2-4", "0-7 2 3 4 2", "0-7 3 3 4 4", "2 3 4 2", "3 4"},
		{"nic: {irq-affinity: local}", "", "0-7 4 5 6 7", "0-7 0 0 1 1", "4 5 6 7", "0 1"},
		{"nic: {irq-affinity: 6}", "", "0-7 6 6 6 6", "0-7 6 6 6 6", "6", "6"},
		{"nic: {irq-affinity: 1-2}\nnics: {eth2: {irq-affinity: 0|3 5}}", "", "0-7 1-2 1-2 1-2 1-2", "0-7 0 3 5 5", "1-2", "0|3 5"},
	} {
		m := tree(t)
		var err error
		if m.CPUs, err = host.ParseCPUList(c.cpus); err != nil {
			t.Fatal(err)
		}
		if err := m.Validate(false, ""); err != nil {
			t.Fatal(err)
		}
		before := snapshot(m)
		dir := t.TempDir()
		o, err := Commit(t.Context(), m.Root, dir, "irq", parse(t, m, "version: 1\n"+c.profile))
		if err != nil || len(o.Changed) != 8 {
			t.Errorf("%s: %+v, %v", c.profile, o, err)
		}
		if got := on(t, m, 40, 41, 42, 43, 44); got != c.eth1 {
			t.Errorf("%s: eth1 at %s, want %s", c.profile, got, c.eth1)
		}
		if got := on(t, m, 50, 51, 52, 53, 54); got != c.eth2 {
			t.Errorf("%s: eth2 at %s, want %s", c.profile, got, c.eth2)
		}
		after := snapshot(m)
		if a, b := after["irq-affinity of eth1"], after["irq-affinity of eth2"]; a != c.reads1 || b != c.reads2 {
			t.Errorf("%s: reads %q and %q, want %q and %q", c.profile, a, b, c.reads1, c.reads2)
		}
		putBack(t, m.Root, dir)
		compare(t, c.profile, before, snapshot(m))
	}
}

func TestInterruptsThatAreNotTheNICsOwn(t *testing.T) {
	m := tree(t)
	m.NICs = []string{"eth4"}
	if _, _, err := Possible(parse(t, m, "version: 1\nnic: {irq-affinity: spread}"), false); !host.IsNotSupported(err) || !strings.Contains(err.Error(), "snd_hda_intel") {
		t.Errorf("a shared interrupt: %v", err)
	}
	m.NICs = []string{"eth3"}
	if err := m.Validate(false, "--force"); err == nil || !strings.Contains(err.Error(), "default route") {
		t.Errorf("the NIC of the default route: %v", err)
	}
	if err := m.Validate(true, "--force"); err != nil {
		t.Error(err)
	}
	i, err := m.Item("irq-affinity", "eth3")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(i.Candidates()), "[spread local]"; got != want {
		t.Errorf("candidates %s, want %s", got, want)
	}
}

// TestLinkInterruptIsLeft has an e1000e's interrupts, as seen in a virtual machine.
func TestLinkInterruptIsLeft(t *testing.T) {
	m := tree(t)
	for n, a := range map[int]string{50: "eth2-rx-0", 51: "eth2-tx-0", 52: "eth2"} {
		rename(t, m, n, a)
	}
	for _, n := range []int{53, 54} {
		rename(t, m, n, "")
	}
	qs, err := irqsByQueue(m, "eth2")
	if err != nil || len(qs) != 1 || len(qs[0]) != 2 || qs[0][0].IRQ != 50 || qs[0][1].IRQ != 51 {
		t.Errorf("queues of an e1000e: %+v, %v", qs, err)
	}
}

// rename gives an interrupt of a tree another name; "" takes it away.
func rename(t *testing.T, m *Machine, irq int, action string) {
	t.Helper()
	path := filepath.Join(m.Root.Proc, "interrupts")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for i, l := range lines {
		if strings.HasPrefix(strings.TrimSpace(l), fmt.Sprintf("%d:", irq)) {
			f := strings.Fields(l)
			lines[i] = strings.Join(append(f[:len(f)-1], action), " ")
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestQueuesOfInterruptNames(t *testing.T) {
	for action, want := range map[string]int{
		"eth1": 0, "eth1-TxRx-3": 3, "eth1-rx-0": 0, "i40e-eth1-TxRx-12": 12, "ice-eth1-TxRx-7": 7, "ice-0000:81:00.0:misc": -1,
		"virtio2-input.1": 1, "virtio2-config": -1, "mlx5_comp7@pci:0000:81:00.0": 7, "mlx5_async0@pci:0000:81:00.0": -1,
		"ena-mgmnt@pci:0000:00:05.0": -1, "eth1-Tx-Rx-2": 2, "bnxt-eth1-0": 0, "eth1:lsc": -1,
		"eth1-rxtx-3": 3, "eth1-event-4": -1,
	} {
		if got := queueOf(action, "eth1"); got != want {
			t.Errorf("%s is of queue %d, want %d", action, got, want)
		}
	}
}

func TestFrequencyAndIdleStates(t *testing.T) {
	m := tree(t)
	m.CPUs = host.CPUs(2, 3)
	before := snapshot(m)
	dir := t.TempDir()
	plan := parse(t, m, "version: 1\ncpu: {governor: performance, idle-latency: 10}")
	if _, _, err := Possible(plan, false); err != nil {
		t.Error(err)
	}
	if o, err := Commit(t.Context(), m.Root, dir, "cpu", plan); err != nil || len(o.Changed) != 4 {
		t.Errorf("%+v, %v", o, err)
	}
	after := snapshot(m)
	for k, want := range map[string]string{"governor of cpu2": "performance", "governor of cpu3": "performance", "idle-latency of cpu2": "10", "energy-preference of cpu2": after["energy-preference of cpu2"]} {
		if after[k] != want {
			t.Errorf("%s is %q, want %q", k, after[k], want)
		}
	}
	all := *m
	all.CPUs = host.CPUs(0, 1, 2, 3, 4, 5, 6, 7)
	for k, v := range snapshot(&all) {
		if strings.HasPrefix(k, "governor") && !strings.HasSuffix(k, "cpu2") && !strings.HasSuffix(k, "cpu3") && v != "schedutil" {
			t.Errorf("%s is %q: it was not handed over", k, v)
		}
	}
	putBack(t, m.Root, dir)
	compare(t, "putting back", before, snapshot(m))

	m.CPUs = host.CPUs(3)
	if _, _, err := Possible(parse(t, m, "version: 1\ncpu: {governor: performance}"), false); err == nil || !strings.Contains(err.Error(), "shares its frequency with CPU 2") {
		t.Errorf("half a pair: %v", err)
	}
	m.CPUs = host.CPUs(2, 3)
	if _, _, err := Possible(parse(t, m, "version: 1\ncpu: {governor: powersave}"), false); !host.IsNotSupported(err) || !strings.Contains(err.Error(), "choose from performance, schedutil") {
		t.Errorf("a governor that is not there: %v", err)
	}
	if _, err := (Item{mustFind(t, "energy-preference"), "cpu2", m}).Read(); !host.IsNotSupported(err) {
		t.Errorf("energy preference: %v", err)
	}
}

func mustFind(t *testing.T, name string) *Definition {
	t.Helper()
	d, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestScriptOfInterrupts runs the look-up of interrupts by name against the tree.
func TestScriptOfInterrupts(t *testing.T) {
	needTools(t, "awk", "sh")
	m := tree(t)
	text, err := Script("irq", parse(t, m, "version: 1\nnic: {irq-affinity: spread}"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "/proc/", m.Root.Proc+"/")), 0o755); err != nil {
		t.Fatal(err)
	}
	shellHere(t, path)
	if got := on(t, m, 40, 41, 42, 43, 44, 50, 51, 52, 53, 54); got != "0-7 0 1 2 3 0-7 4 4 5 5" {
		t.Errorf("the script placed them at %s", got)
	}
}
