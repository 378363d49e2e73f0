package topo_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/topo/madeup"
)

// spoilt is a tree some of whose files have other contents or can't be read.
type spoilt struct {
	topo.Tree
	content map[string]string
	err     map[string]error
}

func (s spoilt) ReadFile(name string) ([]byte, error) {
	for suffix, err := range s.err {
		if strings.HasSuffix(name, suffix) {
			return nil, &fs.PathError{Op: "read", Path: name, Err: err}
		}
	}
	for suffix, c := range s.content {
		if strings.HasSuffix(name, suffix) {
			return []byte(c), nil
		}
	}
	return s.Tree.ReadFile(name)
}

// Every file that makes no sense is named with what is wrong; the rest is told.
func TestMalformed(t *testing.T) {
	for suffix, c := range map[string]struct{ content, says string }{
		"ens1f0np0/mtu":                                {"many", `"many" is no number`},
		"ens1f0np0/ifindex":                            {"-3", "NIC ens1f0np0 has no index and is left out"},
		"queues/rx-0/rps_cpus":                         {"zz", `CPU mask "zz"`},
		"0000:19:00.0/current_link_speed":              {"fast", `"fast" is no link speed`},
		"0000:19:00.0/max_link_speed":                  {"-1 GT/s", "is no link speed"},
		"0000:19:00.0/numa_node":                       {"9999999999", "too large"},
		"0000:19:00.0/class":                           {"ethernet", "is no number"},
		"node0/distance":                               {"10 near", `"near" is no distance`},
		"node0/meminfo":                                {"Node 0 MemTotal: lots kB", "gives no size"},
		"node0/cpulist":                                {"5-2", "runs backwards"},
		"cpu0/cache/index0/size":                       {"big", "is no size of a cache"},
		"cpu0/topology/core_id":                        {"x", "is no number"},
		"proc/interrupts":                              {"nonsense\n", "is no CPU"},
		"proc/irq/41/effective_affinity_list":          {"0-", "is no CPU number"},
		"stackmeter/nic/ens1f0np0.json":                {"{", "no answers about a NIC"},
		"cpu3/topology/thread_siblings_list":           {"0-99999", "CPU"},
		"sys/net/core/rps_sock_flow_entries":           {"\x00\xff", "is no number"},
		"0000:1a:00.0/net/ens2f0/queues/tx-3/xps_cpus": {"123456789", "CPU mask"},
	} {
		m, err := topo.Read(spoilt{Tree: madeup.Machines()[0].Tree, content: map[string]string{suffix: c.content}})
		if err != nil {
			t.Errorf("%s: %v", suffix, err)
			continue
		}
		ok := false
		for _, w := range m.Warnings {
			ok = ok || strings.HasSuffix(w.Path, suffix) && strings.Contains(w.Text, c.says)
		}
		if !ok {
			t.Errorf("%s = %q: warnings %+v, want %q", suffix, c.content, m.Warnings, c.says)
		}
		if len(m.NICs) < 5 || len(m.CPUs) != 64 {
			t.Errorf("%s: %d NICs, %d CPUs are left", suffix, len(m.NICs), len(m.CPUs))
		}
		var b bytes.Buffer
		if err := m.WriteText(&b, true); err != nil || !strings.Contains(b.String(), c.says) {
			t.Errorf("%s: the text doesn't tell: %v", suffix, err)
		}
	}
}

// A file that can't be read is told, unless that is the kernel's way to say 'not here'.
func TestUnreadable(t *testing.T) {
	tree := spoilt{Tree: madeup.Machines()[0].Tree, err: map[string]error{"ens1f0np0/speed": errors.New("disk on fire"), "ens2f0/speed": fs.ErrPermission}}
	m := read(t, tree)
	if len(m.Warnings) != 1 || m.Warnings[0].Text != "disk on fire" {
		t.Errorf("warnings %+v", m.Warnings)
	}
}

// What is no tree is refused, with the reason.
func TestNoTree(t *testing.T) {
	if _, err := topo.Read(&topo.Memory{}); err == nil || !strings.Contains(err.Error(), "names no CPU") {
		t.Errorf("an empty tree: %v", err)
	}
	if _, err := topo.OpenDir(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no captured tree") {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := topo.ReadArchive(strings.NewReader("PK")); err == nil || !strings.Contains(err.Error(), "gzip") {
		t.Errorf("a zip file: %v", err)
	}
	var b bytes.Buffer
	other := &topo.Memory{}
	other.Write("home/notes", "x")
	if err := other.WriteArchive(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := topo.ReadArchive(&b); err == nil || !strings.Contains(err.Error(), "no captured tree") {
		t.Errorf("another archive: %v", err)
	}
}

// A link that leads out of a captured tree is not followed, neither to a file nor to a
// directory.
func TestLinksOutOfTree(t *testing.T) {
	tree := madeup.Machines()[4].Tree
	tree.Link("sys/class/net/evil", "../../../../../../etc")
	tree.Link("sys/class/net/worse", "/etc")
	m := read(t, tree)
	for _, n := range m.NICs {
		if n.Name == "evil" || n.Name == "worse" {
			t.Errorf("NIC %+v", n)
		}
	}
	if len(m.Warnings) != 1 || m.Warnings[0].Path != "sys/class/net/evil" {
		t.Errorf("warnings %+v", m.Warnings)
	}
}

// FuzzTree sets arbitrary content into every file of a kind, in turn.
func FuzzTree(f *testing.F) {
	suffixes := []string{
		"/mtu", "/ifindex", "rps_cpus", "current_link_speed", "current_link_width", "max_link_width", "numa_node", "/class", "distance", "meminfo", "cpulist",
		"/size", "/level", "shared_cpu_list", "core_id", "thread_siblings_list", "proc/interrupts", "effective_affinity_list", ".json", "cpu/online", "cpuinfo", "/speed",
	}
	for i := range suffixes {
		for _, s := range []string{"", "0", "-1", "18446744073709551615", "16.0 GT/s PCIe", "0-3,8", "ff,ffffffff", "\x00", `{"ethtool":{"rss_indirection":[4294967295]},"queues":[{"type":"","id":-1}],"napis":[{"id":1,"pid":1}]}`, "     CPU0\n 41: 1 x\n"} {
			f.Add(uint8(i), s)
		}
	}
	tree := madeup.Machines()[5].Tree
	f.Fuzz(func(t *testing.T, i uint8, content string) {
		m, err := topo.Read(spoilt{Tree: tree, content: map[string]string{suffixes[int(i)%len(suffixes)]: content}})
		if err != nil {
			return
		}
		if err := m.WriteText(io.Discard, true); err != nil {
			t.Error(err)
		}
		for _, j := range m.Judgements {
			if strings.Contains(j.Text, "%!") {
				t.Errorf("%s", j.Text)
			}
		}
	})
}

// FuzzArchive reads arbitrary bytes as an archive.
func FuzzArchive(f *testing.F) {
	b, err := os.ReadFile(captured)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if tree, err := topo.ReadArchive(bytes.NewReader(b)); err == nil {
			if m, err := topo.Read(tree); err == nil {
				_ = fmt.Sprint(m)
			}
		}
	})
}
