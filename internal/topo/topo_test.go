package topo_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackmeter/stackmeter/internal/fielddoc"
	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/topo/madeup"
)

var update = flag.Bool("update", false, "write the golden files and the generated part of doc/topo.md")

// captured is a virtual machine with two CPUs and a virtio NIC, as `stackmeter topo
// --capture` took it (Linux 6.18).
const captured = "testdata/vm-virtio-2cpu.tar.gz"

// qemu is a guest with two nodes, a PCI Express switch and a conventional bus: see
// testdata/README.md.
const qemu = "testdata/qemu-2-nodes.tar.gz"

func archive(t testing.TB, name string) *topo.Memory {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tree, err := topo.ReadArchive(f)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func read(t testing.TB, tree topo.Tree) *topo.Machine {
	t.Helper()
	m, err := topo.Read(tree)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func codes(m *topo.Machine) []string {
	var out []string
	for _, j := range m.Judgements {
		out = append(out, j.Severity+" "+j.Code+" "+j.NICs[0])
	}
	return out
}

// What is judged of each machine, and by the golden files how it is told.
func TestMachines(t *testing.T) {
	want := map[string][]string{
		"server-2-sockets": {
			"problem link-shared ens1f0np0",
			"problem irq-far-node ens2f0",
			"problem irq-shared-cpu ens1f0np0",
			"problem irq-shared-cpu ens2f0",
			"problem rps-over-rss ens1f0np0",
			"note link-trained-down ens5",
			"note few-queues ens5",
			"note few-queues eno1",
			"note rss-uneven eno1",
		},
		"amd-4-nodes": {
			"problem link-narrow enp65s0f0np0",
			"note node-unknown eno1",
			"note irq-shared-cpu enp65s0f0np0",
			"note few-queues enp65s0f0v0",
		},
		"arm-4-nodes": {"problem irq-far-node enp125s0f1", "note rfs-half-set enp125s0f1"},
		"old-pci-bus": {"problem bus-shared eth0", "problem irq-shared-cpu eth0", "note one-queue eth0", "note one-queue eth1", "note one-queue eth2"},
		"vm-vmware":   {"note irq-shared-cpu ens160"},
		"vm-ec2":      {"note few-queues ens5"},
		"vm-gce":      {"problem queues-over-cpus ens4"},
		"captured":    {"note one-queue eth0"},
		"qemu-2-nodes": {
			"problem irq-far-node eth0",
			"note irq-shared-cpu eth0",
			"note irq-shared-cpu eth0",
			"note irq-shared-cpu eth3",
			"note irq-shared-cpu eth4",
			"note one-queue eth2",
			"note one-queue eth3",
			"note one-queue eth4",
			"note one-queue eth5",
		},
	}
	machines := append(madeup.Machines(), madeup.Machine{Name: "captured", Tree: archive(t, captured)}, madeup.Machine{Name: "qemu-2-nodes", Tree: archive(t, qemu)})
	for _, x := range machines {
		t.Run(x.Name, func(t *testing.T) {
			m := read(t, x.Tree)
			if len(m.Warnings) > 0 {
				t.Errorf("warnings %+v", m.Warnings)
			}
			if got := codes(m); !slices.Equal(got, want[x.Name]) {
				t.Errorf("judgements:\n%q, want\n%q", got, want[x.Name])
			}
			for _, j := range m.Judgements {
				if j.Text == "" || len(j.Evidence) == 0 {
					t.Errorf("%s has no figures: %+v", j.Code, j)
				}
			}
			var b bytes.Buffer
			if err := m.WriteText(&b, x.Name == "captured"); err != nil {
				t.Fatal(err)
			}
			golden(t, x.Name+".txt", b.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got), -update writes it:\n%s", name, d)
	}
}

// asMetal is a guest's tree without what shows the hypervisor.
type asMetal struct{ topo.Tree }

func (a asMetal) ReadFile(name string) ([]byte, error) {
	switch name {
	case "proc/cpuinfo":
		return []byte("model name : x\n"), nil
	case "sys/class/dmi/id/product_name", "sys/class/dmi/id/sys_vendor":
		return []byte("metal\n"), nil
	}
	return a.Tree.ReadFile(name)
}

func (a asMetal) ReadDir(name string) ([]string, error) {
	l, err := a.Tree.ReadDir(name)
	if name == "sys/class/net" { // without the paravirtual ones
		l = slices.DeleteFunc(slices.Clone(l), func(s string) bool { return s == "eth0" || s == "eth1" })
	}
	return l, err
}

// Links and buses are found in a tree that a kernel made, not only in ours: the switch of the
// QEMU guest, as if it were real hardware.
func TestLinksOfKernelsTree(t *testing.T) {
	m := read(t, asMetal{archive(t, qemu)})
	var got []string
	for _, j := range m.Judgements {
		if j.Code == "link-shared" || j.Code == "bus-shared" || j.Code == "link-narrow" {
			got = append(got, fmt.Sprint(j.Severity, " ", j.Code, " ", j.NICs, j.PCI))
		}
	}
	want := []string{"problem bus-shared [eth2 eth3] []", "note link-shared [eth4 eth5] [0000:00:01.0 0000:01:00.0]"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A machine reads the same from memory, from an archive, from a directory, and its
// JSON reads back.
func TestFormsOfTree(t *testing.T) {
	for _, x := range madeup.Machines()[3:] { // the others have thousands of files
		want := read(t, x.Tree)
		var b bytes.Buffer
		if err := x.Tree.WriteArchive(&b); err != nil {
			t.Fatal(err)
		}
		packed := bytes.Clone(b.Bytes())
		again, err := topo.ReadArchive(&b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, read(t, again)); d != "" {
			t.Errorf("%s from an archive:\n%s", x.Name, d)
		}
		dir, err := topo.OpenDir(unpack(t, packed))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, read(t, dir)); d != "" {
			t.Errorf("%s from a directory:\n%s", x.Name, d)
		}
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
		j, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var back topo.Machine
		if err := json.Unmarshal(j, &back); err != nil {
			t.Fatal(err)
		}
		j2, err := json.Marshal(&back)
		if err != nil || !bytes.Equal(j, j2) {
			t.Errorf("%s: JSON changes when it is read and written: %v", x.Name, err)
		}
	}
}

// doc/topo.md tells every field of the JSON form, with the comment at its Go field.
func TestDocument(t *testing.T) {
	fielddoc.Check(t, "../..", "doc/topo.md", *update,
		fielddoc.Table{Title: "The fields of a machine", Type: reflect.TypeFor[topo.Machine]()},
		fielddoc.Table{Title: "The answers about a NIC in a capture: `stackmeter/nic/NAME.json`", Type: reflect.TypeFor[topo.Answers]()})
}
