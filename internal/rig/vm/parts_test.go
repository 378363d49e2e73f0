package vm

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// The archive is one that cpio reads.
func TestArchive(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("there is no cpio to read it with")
	}
	var b bytes.Buffer
	a := newArchive(&b)
	a.console()
	a.bytes("deep/er/file", []byte("odd"))
	if err := a.file("copy", "/proc/self/exe"); err != nil {
		t.Fatal(err)
	}
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	list := exec.Command(cpio, "-t", "--quiet")
	list.Stdin = bytes.NewReader(b.Bytes())
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "dev\ndev/console\ndeep\ndeep/er\ndeep/er/file\ncopy\n"; string(out) != want {
		t.Errorf("cpio lists\n%swant\n%s", out, want)
	}
}

func TestArchiveBytes(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	a.bytes("f", []byte("abcde"))
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	want := "070701" + "00000001" + "000081ED" + strings.Repeat("00000000", 2) + "00000001" + "00000000" + "00000005" + strings.Repeat("00000000", 4) + "00000002" + "00000000" +
		"f\x00" + "abcde\x00\x00\x00"
	if !strings.HasPrefix(b.String(), want) {
		t.Errorf("archive begins %q, want %q", b.String()[:min(b.Len(), len(want))], want)
	}
}

func TestDecompress(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("module")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := decompress(&out, &packed, "a.ko.gz"); err != nil || out.String() != "module" {
		t.Errorf("gzip: %q, %v", out.String(), err)
	}
	for ext, program := range map[string]string{".xz": "xz", ".zst": "zstd"} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Logf("%s is not tried: there is no such program", program)
			continue
		}
		cmd := exec.Command(path, "-c")
		cmd.Stdin = strings.NewReader("module")
		b, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := decompress(&out, bytes.NewReader(b), "a.ko"+ext); err != nil || out.String() != "module" {
			t.Errorf("%s: %q, %v", program, out.String(), err)
		}
		if err := decompress(&out, strings.NewReader("garbage"), "a.ko"+ext); err == nil {
			t.Errorf("%s: garbage was accepted", program)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if err := decompress(&out, &packed, "a.ko.xz"); !host.IsNotSupported(err) {
		t.Errorf("without xz: %v, want what is missing and how to get it", err)
	}
}

// Modules come after what they need, and those that are built in not at all.
func TestModuleOrder(t *testing.T) {
	k, err := FindKernel("", "")
	if host.IsNotSupported(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	tree, err := openModules(k.Modules)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tree.load("virtio_net", "igb")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range got {
		names = append(names, m.name)
	}
	for after, before := range map[string]string{"virtio_net": "net_failover", "net_failover": "failover"} {
		if i, j := slices.Index(names, before), slices.Index(names, after); !tree.builtin[after] && !tree.builtin[before] && (i < 0 || i > j) {
			t.Errorf("%s is not before %s in %v", before, after, names)
		}
	}
	if _, err := tree.load("no_such_module"); !host.IsNotSupported(err) {
		t.Errorf("a module that is not there: %v", err)
	}
}

func TestKernelNotThere(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv(KernelVariable, "")
	if _, err := FindKernel("/no/such/vmlinuz", ""); !errors.Is(err, host.ErrInput) {
		t.Errorf("a kernel that is not there: %v", err)
	}
	text := filepath.Join(t.TempDir(), "linux-image-1.deb")
	if err := os.WriteFile(text, []byte("no package"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FindKernel(text, ""); err == nil || !strings.Contains(err.Error(), "no Debian package") {
		t.Errorf("a file that is no package: %v", err)
	}
}

func TestNormalize(t *testing.T) {
	for what, c := range map[string]Config{
		"too many nodes":   {CPUs: 2, Nodes: 3},
		"little memory":    {MemoryBytes: 1 << 20},
		"unknown driver":   {NICs: []NIC{{Name: "a", Driver: "tulip"}}},
		"queues of e1000":  {NICs: []NIC{{Name: "a", Driver: "e1000", Queues: 2}}},
		"unknown bridge":   {NICs: []NIC{{Name: "a", Bridge: "b"}}},
		"one name twice":   {NICs: []NIC{{Name: "a"}, {Name: "a"}}},
		"node of a bridge": {Bridges: []Bus{{Name: "b", Node: 1}}},
		"a bridge's name":  {Bridges: []Bus{{Name: "b,bus_nr=0"}}},
	} {
		if err := c.Normalize(); !errors.Is(err, host.ErrInput) {
			t.Errorf("%s: %v, want a refusal", what, err)
		}
	}
}

// TestTakePart writes what belongs below the directory and nothing else, whatever the guest sends.
func TestTakePart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	send := func(name string, offset int64, data string) error {
		b, err := json.Marshal(part{name, offset, []byte(data)})
		if err != nil {
			t.Fatal(err)
		}
		return takePart(dir, b)
	}
	for _, p := range []struct {
		offset int64
		data   string
	}{{0, "a long beginning"}, {0, "one\n"}, {4, "two\n"}} {
		if err := send("deep/trials.jsonl", p.offset, p.data); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "deep", "trials.jsonl")); err != nil || string(b) != "one\ntwo\n" {
		t.Errorf("%q, %v", b, err)
	}
	for _, name := range []string{"../out-of-it", "/out-of-it", "deep/../../out-of-it", ""} {
		if err := send(name, 0, "x"); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	if send("deep/trials.jsonl", -1, "x") == nil || takePart(dir, []byte("{")) == nil {
		t.Error("what is no part is taken")
	}
	if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) != 1 {
		t.Errorf("beside the directory: %v", entries)
	}
}
