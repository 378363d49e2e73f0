package host

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// vm is what matters of the tree of a virtual machine with two CPUs and one
// virtio NIC (Linux 6.18).
var vm = At("testdata/vm-amd-2cpu")

func TestFactsOfCapturedTree(t *testing.T) {
	f, err := vm.Facts()
	if err != nil {
		t.Fatal(err)
	}
	if f.CPUModel != "AMD EPYC" || !f.Virtualised || f.TickHz != 250 || f.IRQTimeAccounting != "no" ||
		f.MemoryBytes != 24684092<<10 || f.CPUsOnline.String() != "0-1" || len(f.CPUs) != 2 || f.Clocksource != "tsc" {
		t.Errorf("facts: %+v", f)
	}
	if len(f.NICs) != 1 {
		t.Fatalf("NICs: %+v", f.NICs)
	}
	n := f.NICs[0]
	if n.Name != "eth0" || n.Driver != "virtio_net" || n.Virtual || n.DefaultRoute != "eth0" || n.RxQueues != 1 || n.TxQueues != 1 {
		t.Errorf("NIC: %+v", n)
	}
	var irqs []string
	for _, q := range n.IRQs {
		irqs = append(irqs, q.Action)
		if q.Affinity.String() != "0-1" || len(q.Effective) != 1 {
			t.Errorf("interrupt: %+v", q)
		}
	}
	if want := []string{"virtio2-config", "virtio2-input.0", "virtio2-output.0"}; !slices.Equal(irqs, want) {
		t.Errorf("interrupts of the PCI device above virtio2: %v, want %v", irqs, want)
	}
}

func TestInterruptsWithCPUOffline(t *testing.T) {
	in, err := ParseInterrupts(strings.NewReader(`           CPU0       CPU2
  8:          1          3   IO-APIC   8-edge      rtc0
 16:          0          5   IO-APIC  16-fasteoi   ehci_hcd:usb1, eth1
NMI:          0          0   Non-maskable interrupts
`))
	if err != nil || len(in) != 2 {
		t.Fatalf("%+v, %v", in, err)
	}
	if _, has1 := in[0].Counts[1]; has1 || in[0].Counts[2] != 3 {
		t.Errorf("counts %v: the second column is CPU 2's", in[0].Counts)
	}
	if !slices.Equal(in[1].Actions, []string{"ehci_hcd:usb1", "eth1"}) {
		t.Errorf("actions %q", in[1].Actions)
	}
}

func TestCountersOfCapturedTree(t *testing.T) {
	c, err := vm.Counters()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"softnet.processed", "softnet.dropped", "softnet.time_squeeze", "Tcp.RetransSegs", "TcpExt.TCPRcvQDrop", "TcpExt.ListenDrops", "eth0.rx_packets", "eth0.tx_dropped"} {
		if _, ok := c[name]; !ok {
			t.Errorf("no counter %s", name)
		}
	}
	d := Difference(map[string]uint64{"a": 1, "b": 5}, map[string]uint64{"a": 3, "b": 4, "c": 1})
	if len(d) != 1 || d["a"] != 2 {
		t.Errorf("difference %v", d)
	}
}

func TestDefaultRouteThroughBridge(t *testing.T) {
	r := At(t.TempDir())
	write := func(path, s string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	zero := strings.Repeat("0", 32)
	write(r.Proc+"/net/ipv6_route", zero+" 00 "+zero+" 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003 br0\n"+
		zero+" 00 "+zero+" 00 "+zero+" ffffffff 00000001 00000000 00200200 lo\n")
	write(r.NICDir("eth1")+"/ifindex", "2\n")
	write(r.NICDir("eth1")+"/upper_br0/ifindex", "3\n")
	write(r.NICDir("eth2")+"/ifindex", "4\n")
	write(r.NICDir("eth2")+"/mtu", "1500\n")
	write(r.NICDir("eth1")+"/mtu", "1500\n")
	if names, err := r.DefaultRoutes(); err != nil || !slices.Equal(names, []string{"br0"}) {
		t.Errorf("default routes %v, %v: a rejecting one is none", names, err)
	}
	if err := r.ValidateNIC("nic", "eth1", false, "--i-know"); err == nil || !strings.Contains(err.Error(), "through br0") || !strings.Contains(err.Error(), "--i-know") {
		t.Errorf("eth1: %v", err)
	}
	if err := r.ValidateNIC("nic", "eth1", true, ""); err != nil {
		t.Errorf("eth1 allowed: %v", err)
	}
	if err := r.ValidateNIC("nic", "eth2", false, ""); err != nil {
		t.Errorf("eth2: %v", err)
	}
	if err := r.ValidateNIC("nic", "eth9", false, ""); err == nil || !strings.Contains(err.Error(), "eth1, eth2") {
		t.Errorf("eth9: %v", err)
	}
}

func TestValidateCPUs(t *testing.T) {
	if err := vm.ValidateCPUs("cpus", CPUs(0, 1)); err != nil {
		t.Error(err)
	}
	if err := vm.ValidateCPUs("cpus", CPUs(1, 7)); err == nil || !strings.Contains(err.Error(), "cpus: CPU 7 is not online") {
		t.Errorf("CPU 7: %v", err)
	}
}

func TestTaskNameWithParentheses(t *testing.T) {
	got, err := parseStartTicks("7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0")
	if err != nil || got != 4711 {
		t.Errorf("%d, %v", got, err)
	}
	self, err := Live().Task(os.Getpid())
	if err != nil || !Live().Alive(self) {
		t.Errorf("own task %+v, %v", self, err)
	}
	self.StartTicks++
	if Live().Alive(self) {
		t.Error("a task of another start time is alive")
	}
}

func TestLiveFacts(t *testing.T) {
	f, err := Live().Facts()
	if err != nil {
		t.Fatal(err)
	}
	if len(f.CPUsOnline) != len(f.CPUs) || len(f.CPUs) == 0 || f.GoVersion != runtime.Version() || f.KernelRelease == "" || f.MemoryBytes == 0 {
		t.Errorf("%+v", f)
	}
}

func FuzzParsers(f *testing.F) {
	for _, name := range []string{"interrupts", "cpuinfo", "net/route", "net/ipv6_route", "net/softnet_stat", "net/snmp", "net/netstat", "net/dev"} {
		b, err := os.ReadFile(filepath.Join(vm.Proc, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if in, err := ParseInterrupts(bytes.NewReader(b)); err == nil {
			for _, i := range in {
				if i.IRQ < 0 {
					t.Errorf("interrupt %d", i.IRQ)
				}
			}
		}
		ParseRoute(bytes.NewReader(b))
		ParseRoute6(bytes.NewReader(b))
		ParseCPUInfo(bytes.NewReader(b))
		parseStartTicks(string(b))
		for _, parse := range []func(io.Reader, map[string]uint64) error{ParseSoftnet, ParseSNMP, ParseDev} {
			parse(bytes.NewReader(b), map[string]uint64{})
		}
	})
}

func FuzzCPUList(f *testing.F) {
	for _, s := range []string{"", "0", "0-3,8", "3,1-2", "ff,ffffffff", "8191", "5-2", "0-99999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) (CPUList, error){ParseCPUList, ParseCPUMask} {
			l, err := parse(s)
			if err != nil {
				continue
			}
			if !slices.IsSorted(l) || len(slices.Compact(slices.Clone(l))) != len(l) {
				t.Errorf("%q gives %v", s, l)
			}
			again, err := ParseCPUList(l.String())
			if err != nil || !slices.Equal(again, l) {
				t.Errorf("%q: list %q gives %v, %v", s, l, again, err)
			}
			again, err = ParseCPUMask(l.Mask())
			if err != nil || !slices.Equal(again, l) {
				t.Errorf("%q: mask %q gives %v, %v", s, l.Mask(), again, err)
			}
		}
	})
}
