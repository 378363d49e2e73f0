package symbol

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestKallsymsFindsTheFunctionAnAddressLiesIn(t *testing.T) {
	tab, err := ParseKallsyms(strings.NewReader(`ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 t tcp_v4_rcv
ffffffff81000200 D some_data
ffffffffc0001000 t veth_poll	[veth]
ffffffffc0002000 t bpf_prog_6deef7357e7b4530	[bpf]
ffffffff81000180 t tcp_v4_do_rcv
`))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[uint64]string{
		0xffffffff81000000: "_stext",
		0xffffffff8100017f: "tcp_v4_rcv",
		0xffffffff81000180: "tcp_v4_do_rcv",
		0xffffffff81000208: "tcp_v4_do_rcv", // data is no function
		0xffffffffc0001234: "veth_poll",
		0xffffffffc0002001: "bpf_prog_6deef7357e7b4530",
	} {
		if got, ok := tab.Find(addr); !ok || got != want {
			t.Errorf("%x: %v %v, want %v", addr, got, ok, want)
		}
	}
	if s, ok := tab.Find(0xffffffff80ffffff); ok {
		t.Errorf("an address before the first symbol is %v", s)
	}
}

func TestKallsymsWithoutAddresses(t *testing.T) {
	_, err := ParseKallsyms(strings.NewReader("0000000000000000 T _stext\n0000000000000000 t tcp_v4_rcv\n"))
	if !errors.Is(err, ErrHidden) {
		t.Errorf("error %v, want ErrHidden", err)
	}
	if _, err := ParseKallsyms(strings.NewReader("garbage\n")); err == nil {
		t.Error("garbage was accepted")
	}
}

func TestOwnFunctionsHaveTheirNames(t *testing.T) {
	p := NewProcesses()
	pc := uint64(reflect.ValueOf(TestOwnFunctionsHaveTheirNames).Pointer())
	s, ok := p.Find(os.Getpid(), pc+1)
	if !ok || !strings.HasSuffix(s, "symbol.TestOwnFunctionsHaveTheirNames") {
		t.Errorf("%x is %v %v", pc, s, ok)
	}
	if s, ok := p.Find(os.Getpid(), 1); ok {
		t.Errorf("address 1 is %v", s)
	}
	if s, ok := p.Find(1<<30, pc); ok {
		t.Errorf("a process that is not there has %v", s)
	}
}

func TestParseMaps(t *testing.T) {
	maps, err := ParseMaps(strings.NewReader(`00400000-00401000 r--p 00000000 fe:00 12 /usr/bin/x y
00401000-00a00000 r-xp 00001000 fe:00 12                     /usr/bin/netserver
7ffd1000-7ffd3000 r-xp 00000000 00:00 0                      [vdso]
7f000000-7f001000 rwxp 00000000 00:00 0
`))
	want := []Mapping{
		{0x401000, 0xa00000, 0x1000, "/usr/bin/netserver"},
		{0x7ffd1000, 0x7ffd3000, 0, "[vdso]"},
		{0x7f000000, 0x7f001000, 0, ""},
	}
	if err != nil || !reflect.DeepEqual(maps, want) {
		t.Errorf("%+v, %v", maps, err)
	}
}

func BenchmarkReadKernel(b *testing.B) {
	for b.Loop() {
		if _, err := ReadKernel(); err != nil {
			b.Skip(err)
		}
	}
}
