package wire

import (
	"encoding/hex"
	"strings"
	"testing"
)

// FuzzParse holds every parser to what its caller relies on: no panic, and lengths
// and offsets within the packet.
func FuzzParse(f *testing.F) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(synOfLinux), ""))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(append([]byte{0x60, 0, 0, 0, 0, 8, 44, 64, 39: 1}, 17, 0, 0, 9, 0, 0, 0, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ip IP
		if ParseIP(&ip, b) == OK {
			if ip.HeaderLen > ip.Length || ip.Length > len(b) || ip.HeaderLen < IP4Len {
				t.Fatalf("lengths of %+v in %d bytes", ip, len(b))
			}
			if ip.IsFragment() && ip.FragOffset+ip.Length-ip.HeaderLen+ip.UnfragmentLen > 65535+IP6Len {
				t.Fatalf("fragment beyond any packet: %+v", ip)
			}
		}
		var h TCP
		if ParseTCP(&h, b) == OK && (h.HeaderLen > len(b) || int(h.Options.Blocks) > len(h.Options.SACK)) {
			t.Fatalf("%+v in %d bytes", h, len(b))
		}
		if u, f := ParseUDP(b); f == OK && (u.Length > len(b) || u.Length < UDPLen) {
			t.Fatalf("%+v in %d bytes", u, len(b))
		}
		_, _ = ParseEthernet(b)
		_, _ = ParseARP(b)
		_, _ = ParseICMP(b)
		_, _ = ParseNDP(b, 255)
		_, _ = ParseQuote(b)
		_, _ = ParseRouterAdvert(b, &Addr{0xfe, 0x80}, 255)
	})
}

// FuzzTCPOptions: what was read and is written again reads the same.
func FuzzTCPOptions(f *testing.F) {
	f.Add([]byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, true)
	f.Add([]byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7}, true)
	f.Add([]byte{1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4}, false)
	f.Fuzz(func(t *testing.T, b []byte, syn bool) {
		o := TCPOptions{WindowScale: -1}
		if len(b) > 40 || o.parse(b, syn) != OK || o.Len() > 40 {
			return
		}
		out := make([]byte, o.Len())
		o.put(out)
		again := TCPOptions{WindowScale: -1}
		if f := again.parse(out, syn); f != OK {
			t.Fatalf("%v of % x", f, out)
		}
		clear(o.SACK[o.Blocks:])
		clear(again.SACK[again.Blocks:])
		if o != again {
			t.Fatalf("%+v became %+v", o, again)
		}
	})
}
