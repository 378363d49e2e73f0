package wire

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stackmeter/stackmeter/memcopy"
)

func addr(s string) Addr { return AddrOf(netip.MustParseAddr(s)) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// synOfLinux is a SYN with the options that Linux sends, in its order.
const synOfLinux = `4500 003c 1c46 4000 4006 9cc2 0a00 0001 0a00 0002
	9c40 0050 11223344 00000000 a002 faf0 0000 0000
	0204 05b4 0402 080a 01020304 00000000 01 030307`

func TestParseSYN(t *testing.T) {
	b := unhex(t, synOfLinux)
	put16(b[10:], 0)
	put16(b[10:], memcopy.Checksum(b[:20]))
	var ip IP
	if f := ParseIP(&ip, b); f != OK {
		t.Fatal(f)
	}
	want := IP{Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), Proto: ProtoTCP, TTL: 64, DontFrag: true, HeaderLen: 20, Length: 60, ID: 0x1c46, UnfragmentLen: 20}
	if d := cmp.Diff(want, ip); d != "" {
		t.Error(d)
	}
	var h TCP
	if f := ParseTCP(&h, b[20:]); f != OK {
		t.Fatal(f)
	}
	wantTCP := TCP{SrcPort: 40000, DstPort: 80, Seq: 0x11223344, Flags: SYN, HeaderLen: 40, Window: 64240, Options: TCPOptions{MSS: 1460, WindowScale: 7, SACKPermitted: true, Timestamps: true, TSVal: 0x01020304}}
	if d := cmp.Diff(wantTCP, h); d != "" {
		t.Error(d)
	}
}

func TestTCPOptionsSurviveARoundTrip(t *testing.T) {
	for _, o := range []TCPOptions{
		{WindowScale: -1},
		{WindowScale: -1, Timestamps: true, TSVal: 1, TSEcr: 0xfffffffe},
		{MSS: 1460, WindowScale: 7, SACKPermitted: true, Timestamps: true, TSVal: 5},
		{MSS: 536, WindowScale: 0, SACKPermitted: true},
		{MSS: 8960, WindowScale: -1},
		{WindowScale: -1, Timestamps: true, Blocks: 3, SACK: [4]Block{{1, 2}, {3, 4}, {0xfffffff0, 5}}},
		{WindowScale: -1, Blocks: 4, SACK: [4]Block{{1, 2}, {3, 4}, {5, 6}, {7, 8}}},
	} {
		in := TCP{SrcPort: 1, DstPort: 2, Seq: 3, Ack: 4, Flags: ACK, Window: 5, HeaderLen: TCPLen + o.Len(), Options: o}
		if o.MSS != 0 {
			in.Flags = SYN
		}
		b := make([]byte, in.HeaderLen)
		in.Put(b)
		var out TCP
		if f := ParseTCP(&out, b); f != OK {
			t.Fatalf("%+v: %v", o, f)
		}
		if d := cmp.Diff(in, out); d != "" {
			t.Error(d)
		}
	}
}

func TestTCPOptionsOfOthers(t *testing.T) {
	header := "0001 0002 00000000 00000000 %s 10 0000 0000 0000"
	for _, c := range []struct {
		name, offset, options string
		want                  Fault
		check                 func(o *TCPOptions) bool
	}{
		{"unknown before timestamps", "a0", "fd06 01020304 080a 00000001 00000002 0101 0000", OK, func(o *TCPOptions) bool { return o.Timestamps && o.TSVal == 1 && o.TSEcr == 2 }},
		{"end stops", "60", "00ffffff", OK, nil},
		{"length 0", "60", "0800 0000", TCPOption, nil},
		{"length 1", "60", "0801 0000", TCPOption, nil},
		{"beyond the end", "60", "0101 080a", TCPOption, nil},
		{"kind at the very end", "60", "0101 0108", TCPOption, nil},
		{"timestamps of a wrong length are skipped", "60", "0804 0000", OK, func(o *TCPOptions) bool { return !o.Timestamps }},
		{"MSS outside of a SYN is skipped", "60", "0204 05b4", OK, func(o *TCPOptions) bool { return o.MSS == 0 }},
		{"an odd SACK is skipped", "60", "0504 0000", OK, func(o *TCPOptions) bool { return o.Blocks == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, strings.Replace(header, "%s", c.offset, 1)+c.options)
			var h TCP
			if f := ParseTCP(&h, b); f != c.want {
				t.Fatalf("fault %v, want %v", f, c.want)
			}
			if c.check != nil && !c.check(&h.Options) {
				t.Fatalf("options %+v", h.Options)
			}
		})
	}
}

func TestIPRefusesTheMalformed(t *testing.T) {
	ip4 := func(change func(b []byte)) []byte {
		h := IP{Src: addr("192.0.2.1"), Dst: addr("192.0.2.2"), Proto: ProtoUDP, TTL: 64, HeaderLen: 20, Length: 28}
		b := make([]byte, 28)
		h.Put(b)
		change(b)
		put16(b[10:], 0)
		put16(b[10:], memcopy.Checksum(b[:20]))
		return b
	}
	ip6 := func(next byte, payload string, change func(b []byte)) []byte {
		p := unhex(t, payload)
		h := IP{Src: addr("2001:db8::1"), Dst: addr("2001:db8::2"), Proto: next, TTL: 64, HeaderLen: 40, Length: 40 + len(p)}
		b := make([]byte, 40, 40+len(p))
		h.Put(b)
		b = append(b, p...)
		if change != nil {
			change(b)
		}
		return b
	}
	sum := ip4(func([]byte) {})
	sum[8]++
	for _, c := range []struct {
		name string
		b    []byte
		want Fault
	}{
		{"good", ip4(func([]byte) {}), OK},
		{"19 bytes", make([]byte, 19), IPShort},
		{"version 5", ip4(func(b []byte) { b[0] = 0x55 }), IPVersion},
		{"header of 16 bytes", ip4(func(b []byte) { b[0] = 0x44 }), IPHeaderLength},
		{"header longer than packet", ip4(func(b []byte) { b[0] = 0x4f }), IPLength},
		{"longer than the frame", ip4(func(b []byte) { b[3] = 29 }), IPLength},
		{"bad sum", sum, IPChecksum},
		{"fragment beyond 64 KiB", ip4(func(b []byte) { put16(b[6:], 0x1fff) }), IPFragment},
		{"fragment of no bytes", ip4(func(b []byte) { put16(b[6:], 0x2000); b[3] = 20 }), IPFragment},
		{"inner fragment of odd length", ip4(func(b []byte) { put16(b[6:], 0x2000); b[3] = 27 }), IPFragment},
		{"good 6", ip6(ProtoUDP, "", nil), OK},
		{"39 bytes of 6", ip6(ProtoUDP, "", nil)[:39], IPShort},
		{"payload cut off", ip6(ProtoUDP, "0000", func(b []byte) { b[5] = 3 }), IPLength},
		{"mapped source", ip6(ProtoUDP, "", func(b []byte) { copy(b[8:], mapped[:]) }), IPSource},
		{"hop by hop cut off", ip6(0, "1101 0000 0000 0000", nil), IPExtension},
		{"routing with segments left", ip6(43, "1100 0001 0000 0000", nil), IPExtension},
		{"nine extensions", ip6(60, strings.Repeat("3c00 0000 0000 0000", 9), nil), IPExtension},
		{"two fragment headers", ip6(44, "2c00 0000 0000 0001 1100 0000 0000 0001", nil), IPExtension},
	} {
		var h IP
		if f := ParseIP(&h, c.b); f != c.want {
			t.Errorf("%s: %v, want %v", c.name, f, c.want)
		}
	}
	var h IP
	if f := ParseIP(&h, ip6(60, "2c00 0104 0000 0000 1100 0009 0000 0007 0102030405060708", nil)); f != OK ||
		h.FragOffset != 8 || !h.MoreFrags || h.ID != 7 || h.UnfragmentLen != 48 || h.NextAt != 40 || h.Proto != ProtoUDP || h.HeaderLen != 56 {
		t.Errorf("fragment behind options: %v %+v", f, h)
	}
}

func TestPseudoIsThatOfTheStandards(t *testing.T) {
	a4, b4 := addr("10.0.0.1"), addr("10.0.0.2")
	p := Pseudo(&a4, &b4, ProtoTCP, 40)
	var want memcopy.Partial
	want.Add([]byte{10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 40})
	if p.Fold() != want.Fold() {
		t.Errorf("IPv4: %#x, want %#x", p.Fold(), want.Fold())
	}
	a6, b6 := addr("2001:db8::1"), addr("fe80::2:3")
	p = Pseudo(&a6, &b6, ProtoTCP, 70000)
	want = memcopy.Partial{}
	want.Add(a6[:])
	want.Add(b6[:])
	want.Add([]byte{0, 1, 0x11, 0x70, 0, 0, 0, 6})
	if p.Fold() != want.Fold() {
		t.Errorf("IPv6: %#x, want %#x", p.Fold(), want.Fold())
	}
}

func TestLinkRoundTrips(t *testing.T) {
	eth := Ethernet{Dst: HW{1, 2, 3, 4, 5, 6}, Src: HW{7, 8, 9, 10, 11, 12}, Type: EtherIP6}
	b := make([]byte, 64)
	eth.Put(b)
	if got, f := ParseEthernet(b); f != OK || got != eth {
		t.Errorf("Ethernet: %v %+v", f, got)
	}
	arp := ARP{Op: ARPRequest, SenderHW: HW{1}, TargetHW: HW{2}, Sender: addr("10.0.0.1"), Target: addr("10.0.0.2")}
	arp.Put(b)
	if got, f := ParseARP(b); f != OK || got != arp {
		t.Errorf("ARP: %v %+v", f, got)
	}
	for _, kind := range []uint8{ICMP6Solicitation, ICMP6Advertisement} {
		n := NDP{Target: addr("fe80::1"), HW: HW{1, 2, 3}, HasHW: true}
		(&ICMP{Type: kind}).Put(b)
		n.Put(b, kind)
		if got, f := ParseNDP(b[:NDPLen], 255); f != OK || got != n {
			t.Errorf("NDP %d: %v %+v", kind, f, got)
		}
		if _, f := ParseNDP(b[:NDPLen], 254); f != NDPHopLimit {
			t.Errorf("NDP from beyond a router: %v", f)
		}
	}
	if got := SolicitedNode(new(addr("2001:db8::12:3456"))); got != addr("ff02::1:ff12:3456") {
		t.Errorf("solicited node %v", got)
	}
}

func TestQuoteFindsTheFlow(t *testing.T) {
	b := unhex(t, synOfLinux)
	q, f := ParseQuote(b[:28])
	want := Quote{Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), Proto: ProtoTCP, SrcPort: 40000, DstPort: 80, Seq: 0x11223344}
	if f != OK || q != want {
		t.Errorf("%v %+v", f, q)
	}
	if _, f := ParseQuote(b[:27]); f != ICMPQuote {
		t.Errorf("27 bytes: %v", f)
	}
}
