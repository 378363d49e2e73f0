package scenario

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
)

// narrow is the MTU that the path is reduced to, in bytes.
const narrow = 1340

// TestPathGetsNarrow reduces the MTU of a link behind the router while bytes are on
// their way: with routers that tell, and with a link that drops in silence.
func TestPathGetsNarrow(t *testing.T) {
	for i, tech := range techniques {
		if i > 0 && os.Getenv("USTACK_ALL") == "" {
			break
		}
		for _, version := range []int{4, 6} {
			t.Run(tech.name+"/told over "+name[version], func(t *testing.T) {
				r := network(t).stack(t, tech.t, nil, nil)
				k, s := r.connect(version, true)
				r.narrowed(k, s, func() { r.must(r.router.SetMTU("near", narrow)) })
				n := r.st.Counters()
				if n["TcpExtTCPTimeouts"] > 1 {
					t.Errorf("%d timeouts though the router told", n["TcpExtTCPTimeouts"])
				}
				// Another connection knows from the beginning.
				before := r.st.Counters()["TcpRetransSegs"]
				k, s = r.connect(version, false)
				r.narrowed(k, s, func() {})
				if again := r.st.Counters()["TcpRetransSegs"] - before; again > 20 { // a probe of the tail may be
					t.Errorf("%d segments of a later connection were sent again", again)
				}
			})
		}
	}
	for _, version := range []int{4, 6} {
		t.Run("silent over "+name[version], func(t *testing.T) {
			r := network(t).stack(t, ustack.Techniques{}, nil, nil)
			k, s := r.connect(version, true)
			// A veth drops what is longer than its other end takes, and tells nobody.
			r.narrowed(k, s, func() { r.must(r.kernel.SetMTU("far", narrow)) })
			if n := r.st.Counters()["UstackMTUShortened"]; n != 1 {
				t.Errorf("segments were made shorter %d times", n)
			}
			// Bytes enough find out how long they may be.
			k, s = r.connect(version, true)
			go func() { _, _ = io.Copy(io.Discard, k) }()
			for end := time.Now().Add(20 * time.Second); r.st.Counters()["TcpExtTCPMTUPSuccess"] == 0; {
				_, err := s.Write(make([]byte, 1<<20))
				r.must(err)
				if time.Now().After(end) {
					t.Fatal("no longer segment passed")
				}
			}
		})
	}
}

var name = map[int]string{4: "IPv4", 6: "IPv6"}

// narrowed has the stack send 4 MB, and calls f after the first.
func (r *rig) narrowed(k *net.TCPConn, s *ustack.TCPConn, f func()) {
	r.t.Helper()
	want := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{9}).Read(want)
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(k)
		got <- b
	}()
	_, err := s.Write(want[:1<<20])
	r.must(err)
	f()
	_, err = s.Write(want[1<<20:])
	r.must(err, s.CloseWrite())
	if b := <-got; !bytes.Equal(b, want) {
		r.t.Errorf("%d of %d bytes came", len(b), len(want))
	}
}

// TestFragments sends datagrams and pings through the router that fit no packet, each
// way, over a path that is narrower than the stack's link.
func TestFragments(t *testing.T) {
	r := network(t).stack(t, ustack.Techniques{}, nil, nil)
	r.must(r.router.SetMTU("near", 1400), r.kernel.SetMTU("far", 1400))
	for _, version := range []int{4, 6} {
		server, err := r.st.ListenPacket("udp", net.JoinHostPort(stackAt[version], "53"))
		r.must(err)
		var c net.Conn
		r.must(r.kernel.Do(func() (err error) {
			c, err = net.Dial("udp", net.JoinHostPort(stackAt[version], "53"))
			return err
		}))
		for _, n := range []int{1300, 1440, 1452, 1453, 3000, 20_000, 65_507} {
			want := make([]byte, n)
			_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(want)
			b := make([]byte, 1<<16)
			// IPv6 routers do not fragment: the first may be lost, and be told of.
			for end := time.Now().Add(20 * time.Second); ; {
				r.must(c.SetDeadline(time.Now().Add(300*time.Millisecond)), server.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
				_, err := c.Write(want)
				r.must(err)
				k, from, err := server.ReadFrom(b)
				if err == nil {
					if !bytes.Equal(b[:k], want) {
						t.Fatalf("%s: %d of %d bytes came to the stack", name[version], k, n)
					}
					_, err = server.WriteTo(b[:k], from)
					r.must(err)
					if k, err = c.Read(b); err == nil {
						if !bytes.Equal(b[:k], want) {
							t.Fatalf("%s: %d of %d bytes came back", name[version], k, n)
						}
						break
					}
				}
				if time.Now().After(end) {
					t.Fatalf("%s: %d bytes: %v", name[version], n, err)
				}
			}
		}
		_, _ = server.Close(), c.Close()
		r.ping(version, 8000)
	}
	if n := r.st.Counters(); n["IpFragOKs"] == 0 || n["IpReasmOKs"] == 0 {
		t.Errorf("%v", n)
	}
}

// ping has the kernel ping the stack with n bytes.
func (r *rig) ping(version, n int) {
	r.t.Helper()
	network, request, reply := "udp4", byte(8), byte(0)
	if version == 6 {
		network, request, reply = "udp6", 128, 129
	}
	m := append([]byte{request, 0, 0, 0, 0, 0, 0, 1}, make([]byte, n)...)
	var c net.PacketConn
	r.must(r.kernel.Sysctl("ipv4/ping_group_range", "0 0"), r.kernel.Do(func() (err error) {
		c, err = pingSocket(network)
		return err
	}))
	defer c.Close()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(stackAt[version]), 0))
	b := make([]byte, 1<<16)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		r.must(c.SetDeadline(time.Now().Add(300 * time.Millisecond)))
		_, err := c.WriteTo(m, to)
		r.must(err)
		if k, _, err := c.ReadFrom(b); err == nil && k == len(m) && b[0] == reply {
			return
		}
	}
	r.t.Errorf("%s: a ping of %d bytes was not answered", name[version], n)
}
