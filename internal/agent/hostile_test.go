package agent

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// strangers is how many idle connections a test opens where it may.
const strangers = 10_000

// descriptors makes room for n connections in this process, and returns for how many there is.
func descriptors(t *testing.T, n int) int {
	t.Helper()
	const others = 200
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if want := uint64(n + others); l.Cur < want {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: want, Max: max(l.Max, want)})
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	}
	if room := int(l.Cur) - others; room < n {
		t.Logf("%d connections, not %d: RLIMIT_NOFILE is %d and may not be raised", room, n, l.Cur)
		return room
	}
	return n
}

// from connects to an agent from an address of loopback.
func (p *process) from(ctx context.Context, host string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}, Timeout: 5 * time.Second}
	return d.DialContext(ctx, "tcp", p.addr)
}

// TestTenThousandStrangers holds idle connections open, from other addresses and from the
// controller's own, and goes on opening more; a controller must get in at once, the agent's memory
// must not grow with the strangers, and its log must tell of all of them in a few lines.
func TestTenThousandStrangers(t *testing.T) {
	if testing.Short() {
		t.Skip("opens ten thousand connections")
	}
	p := listenApart(t)
	p.serves(t, 2*time.Second)
	before := p.memory(t, "VmRSS")
	n := descriptors(t, strangers)
	conns := make([]net.Conn, n)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	began := time.Now()
	for i := range conns {
		var err error
		if conns[i], err = p.from(t.Context(), fmt.Sprintf("127.0.0.%d", 2+i%8)); err != nil {
			t.Fatalf("stranger %d: %v", i, err)
		}
	}
	t.Logf("%d connections in %v", n, time.Since(began))
	p.serves(t, 2*time.Second)

	// More of them, as fast as they are crowded out, among them some of our own address.
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	for i := range 4 {
		flood.Go(func() {
			for ctx.Err() == nil {
				if c, err := p.from(ctx, fmt.Sprintf("127.0.0.%d", 1+i)); err == nil {
					defer c.Close()
				}
				time.Sleep(500 * time.Microsecond)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	for range 3 {
		p.serves(t, 2*time.Second)
	}
	stop()
	flood.Wait()

	grown := p.memory(t, "VmHWM") - before
	t.Logf("memory %d KiB before, %d KiB more at most", before>>10, grown>>10)
	if grown > 128<<20 {
		t.Errorf("the agent's memory grew by %d bytes", grown)
	}
	p.stop()
	if !strings.Contains(p.said(), " crowded out") {
		t.Errorf("the log does not say that strangers were crowded out:\n%s", p.said())
	}
	if lines := strings.Count(p.said(), "\n"); lines > 100 {
		t.Errorf("%d lines about strangers", lines)
	}
	told := 0
	for line := range strings.Lines(p.said()) {
		var many int
		if _, err := fmt.Sscanf(line, "and %d more refused", &many); err == nil {
			told += many
		} else if strings.Contains(line, ": refused: ") {
			told++
		}
	}
	if told < n-lobbyRoom {
		t.Errorf("the log tells of %d strangers, there were %d:\n%s", told, n, p.said())
	}
}

// TestHalfOpenConnections opens connections that will say nothing more, and keeps them: they must
// be dropped in the time of a handshake and told as what they were.
func TestHalfOpenConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the handshake's timeout")
	}
	t.Parallel()
	p := listenApart(t)
	hello := []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3} // the beginning of a ClientHello
	var conns []net.Conn
	for i := range lobbyRoom / 2 {
		c, err := p.from(t.Context(), "127.0.0.2")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, err = c.Write(hello)
		}
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	p.serves(t, patience)
	end := time.Now().Add(handshakeTimeout + 3*time.Second)
	for _, c := range conns {
		_ = c.SetReadDeadline(end)
		if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Fatalf("a silent connection is kept: %v", err)
		}
	}
	p.waitFor(t, ": refused: silent", patience)

	// One that has shut its sending side down, with a session.
	config, err := p.key.TLS()
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.Dial("tcp", p.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.serves(t, patience)
}

// TestRandomBytes sends noise of many lengths, to the door and past it. It must cost
// a connection each, and nothing else.
func TestRandomBytes(t *testing.T) {
	p := listenApart(t)
	p.serves(t, patience)
	before := p.memory(t, "VmRSS")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	noise := func() []byte {
		b := make([]byte, 1<<r.IntN(17))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if r.IntN(2) == 0 && len(b) > 5 { // past the record's header
			copy(b, []byte{0x16, 3, 1})
			binary.BigEndian.PutUint16(b[3:], uint16(min(len(b)-5, 16<<10)))
		}
		return b
	}
	for range 200 {
		c, err := p.from(t.Context(), "127.0.0.3")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(noise()) // the agent may hang up in the middle
		// Until it has hung up: more at once than its lobby holds would crowd each other out.
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
			t.Fatalf("noise is not refused within %v", patience)
		}
		c.Close()
	}
	config, err := p.key.TLS()
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		c, err := tls.Dial("tcp", p.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		b := noise()
		if r.IntN(2) == 0 && len(b) > 4 { // a frame of the right length
			binary.BigEndian.PutUint32(b, uint32(len(b)-4))
		}
		_, _ = c.Write(b)
		c.Close()
	}
	p.serves(t, patience)
	if grown := p.memory(t, "VmHWM") - before; grown > 128<<20 {
		t.Errorf("the agent's memory grew by %d bytes", grown)
	}
	p.waitFor(t, ": refused: bad handshake", patience)
}

// TestFloodAfterAuthentication is somebody with the key who writes without end and reads nothing,
// or asks for what would take much memory.
func TestFloodAfterAuthentication(t *testing.T) {
	p := listenApart(t)
	p.serves(t, patience)
	before := p.memory(t, "VmRSS")
	open := func() *Client {
		t.Helper()
		c, _, err := DialWait(t.Context(), p.addr, p.key, Introduction{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	for range 3 {
		c := open()
		n, err := 0, error(nil)
		for ; err == nil && n < 100_000; n++ {
			err = writeFrame(c.conn, request{Method: "hello"}, maxRequest)
		}
		if err == nil || os.IsTimeout(err) {
			t.Errorf("%d calls that wait for no answer are taken: %v", n, err)
		}
		_ = c.Close()
		p.waitFor(t, "a call before the last one was answered", patience)
		p.forget()
	}
	many := []byte(`{"flows":[` + strings.Repeat("{},", maxRequest/3-50) + `{}]}`)
	c := open()
	for range 5 {
		err := c.call(t.Context(), "prepare", rawParams(many), new(any))
		if err == nil || !strings.Contains(err.Error(), "objects, this agent takes") {
			t.Errorf("%d flows: %v", maxRequest/3, err)
		}
	}
	_ = c.Close()
	p.serves(t, patience)
	grown := p.memory(t, "VmHWM") - before
	t.Logf("memory %d KiB before, %d KiB more at most", before>>10, grown>>10)
	if grown > 128<<20 {
		t.Errorf("the agent's memory grew by %d bytes", grown)
	}
}

// rawParams are params that are JSON already.
type rawParams []byte

func (p rawParams) MarshalJSON() ([]byte, error) { return p, nil }
