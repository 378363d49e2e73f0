package scenario

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/fault"
)

// scenarios are tried over IPv4 and IPv6, opened by either end. USTACK_ALL=1 in the
// environment tries all of them with every technique.
var scenarios = []struct {
	name   string
	bad    *fault.Config
	change func(*ustack.Config)
	run    func(r *rig, k *net.TCPConn, s *ustack.TCPConn)
	all    bool // with every technique, else only with the default ones
}{
	{name: "bulk both ways", all: true, run: func(r *rig, k *net.TCPConn, s *ustack.TCPConn) { r.bulk(k, s, 1<<20) }},
	{
		name: "losses", bad: &fault.Config{Seed: 3, Loss: 0.02, Reorder: 0.02, Jitter: time.Millisecond, Duplicate: 0.01, Corrupt: 0.01},
		run: losses, all: true,
	},
	{name: "half-close", all: true, run: halfClose},
	{name: "reset by the kernel", all: true, run: resetByKernel},
	{name: "reset by the stack", run: resetByStack},
	{name: "closed window of the stack", all: true, run: closedWindowOfStack},
	{name: "closed window of the kernel", run: closedWindowOfKernel},
	{name: "keep-alive", change: func(c *ustack.Config) { c.TCP.KeepAlive = 20 * time.Millisecond }, run: keepAlive},
	{name: "ecn", change: func(c *ustack.Config) { c.TCP.ECN = true }, run: ecn},
	{name: "nothing but the base", change: func(c *ustack.Config) {
		c.TCP.NoSACK, c.TCP.NoTimestamps, c.TCP.NoRACK, c.TCP.Congestion = true, true, true, ustack.NewReno
	}, run: base},
	{name: "paced", change: func(c *ustack.Config) { c.TCP.Pacing = true }, run: func(r *rig, k *net.TCPConn, s *ustack.TCPConn) { r.bulk(k, s, 1<<20) }},
}

func TestKernelAsPeer(t *testing.T) {
	net := network(t)
	for i, tech := range techniques {
		if testing.Short() && i > 2 {
			break
		}
		for _, sc := range scenarios {
			if i > 0 && !sc.all && os.Getenv("USTACK_ALL") == "" {
				continue
			}
			t.Run(tech.name+"/"+sc.name, func(t *testing.T) {
				r := net.stack(t, tech.t, sc.bad, sc.change)
				for _, version := range []int{4, 6} {
					k, s := r.connect(version, version == 4)
					sc.run(r, k, s)
				}
			})
		}
	}
}

// bulk sends n bytes each way at once and compares what came.
func (r *rig) bulk(k, s net.Conn, n int) {
	r.t.Helper()
	results := make(chan error, 4)
	send := func(c net.Conn, seed byte, sum *[32]byte) {
		h := sha256.New()
		_, err := io.Copy(io.MultiWriter(c, h), io.LimitReader(rand.NewChaCha8([32]byte{seed}), int64(n)))
		*sum = [32]byte(h.Sum(nil))
		results <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
	}
	receive := func(c net.Conn, sum *[32]byte) {
		h := sha256.New()
		_, err := io.Copy(h, c)
		*sum = [32]byte(h.Sum(nil))
		results <- err
	}
	var sent, came [2][32]byte
	go send(k, 1, &sent[0])
	go send(s, 2, &sent[1])
	go receive(s, &came[0])
	go receive(k, &came[1])
	r.must(<-results, <-results, <-results, <-results)
	if sent != came {
		r.t.Fatal("what came is not what was sent")
	}
}

func losses(r *rig, k *net.TCPConn, s *ustack.TCPConn) {
	const sackPermitted = 2 // TCPI_OPT_SACK
	if r.info(k).Options&sackPermitted == 0 {
		r.t.Error("SACK was not agreed on")
	}
	// Faults are drawn by frame, and how many frames there are depends on timing.
	for range 10 {
		r.bulk(k, s, 1<<19)
		n := r.st.Counters()
		if n["TcpRetransSegs"] > 0 && n["TcpExtTCPOFOQueue"] > 0 && n["UstackDrop-tcp-checksum"]+n["UstackDrop-ip-checksum"] > 0 {
			return
		}
	}
	r.t.Errorf("the link was not bad: %v", r.st.Counters())
}

func halfClose(r *rig, k *net.TCPConn, s *ustack.TCPConn) {
	r.halfClosed(k, s)
	k, s = r.connect(4, true)
	r.halfClosed(s, k)
}

// closer is either end.
type closer interface {
	net.Conn
	CloseWrite() error
}

// halfClosed has first ask and close its half before second answers.
func (r *rig) halfClosed(first, second closer) {
	r.t.Helper()
	_, err := first.Write([]byte("question"))
	r.must(err, first.CloseWrite())
	b, err := io.ReadAll(second)
	r.must(err)
	want := append(b, bytes.Repeat([]byte("answer"), 10_000)...)
	go func() {
		_, _ = second.Write(want)
		_ = second.CloseWrite()
	}()
	got, err := io.ReadAll(first)
	r.must(err)
	if !bytes.Equal(got, want) {
		r.t.Errorf("%d of %d bytes came after the half-close", len(got), len(want))
	}
}

func resetByKernel(r *rig, k *net.TCPConn, s *ustack.TCPConn) {
	r.must(k.SetLinger(0), k.Close())
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		r.t.Errorf("read: %v", err)
	}
	if _, err := s.Write(make([]byte, 1)); err == nil {
		r.t.Error("a write after the reset passed")
	}
}

func resetByStack(r *rig, k *net.TCPConn, s *ustack.TCPConn) {
	r.must(s.Abort())
	if _, err := k.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		r.t.Errorf("read: %v", err)
	}
}

// fill writes until nothing more is taken.
func fill(c net.Conn) (n int) {
	b := make([]byte, 64<<10)
	for {
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		k, err := c.Write(b)
		n += k
		if err != nil {
			_ = c.SetWriteDeadline(time.Time{})
			return n
		}
	}
}

// drained reads n bytes and what more there is until the end.
func (r *rig) drained(c net.Conn, n int) {
	r.t.Helper()
	got, err := io.Copy(io.Discard, c)
	if err != nil || int(got) != n {
		r.t.Errorf("%d of %d bytes came after the window opened: %v", got, n, err)
	}
}

func closedWindowOfStack(r *rig, k *net.TCPConn, s *ustack.TCPConn) {
	n := fill(k)
	r.must(k.CloseWrite())
	r.drained(s, n)
}

func closedWindowOfKernel(r *rig, k *net.TCPConn, s *ustack.TCPConn) {
	n := fill(s)
	for end := time.Now().Add(20 * time.Second); r.st.Counters()["TcpExtTCPWinProbe"] == 0 && s.Info().SendWindow == 0; {
		if time.Now().After(end) {
			r.t.Fatal("the closed window was not probed")
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.must(s.CloseWrite())
	r.drained(k, n)
}

func keepAlive(r *rig, k *net.TCPConn, s *ustack.TCPConn) {
	r.must(s.SetKeepAlive(20*time.Millisecond, 20*time.Millisecond, 1000))
	before := r.st.Counters()["TcpExtTCPKeepAlive"]
	for end := time.Now().Add(20 * time.Second); r.st.Counters()["TcpExtTCPKeepAlive"] < before+5; {
		if time.Now().After(end) {
			r.t.Fatalf("the kernel was not probed five times: %d, %+v", r.st.Counters()["TcpExtTCPKeepAlive"]-before, s.Info())
		}
		time.Sleep(5 * time.Millisecond)
	}
	_, err := s.Write([]byte("alive"))
	r.must(err)
	if n, err := k.Read(make([]byte, 10)); err != nil || n != 5 {
		r.t.Errorf("after five probes: %d bytes, %v", n, err)
	}
	// Now nobody answers.
	r.must(s.SetKeepAlive(20*time.Millisecond, 20*time.Millisecond, 3))
	r.forward("0")
	defer r.forward("1")
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
		r.t.Errorf("the kernel is gone: %v", err)
	}
}

func ecn(r *rig, k *net.TCPConn, s *ustack.TCPConn) {
	const optECN = 8 // TCPI_OPT_ECN
	if r.info(k).Options&optECN == 0 {
		r.t.Error("ECN was not agreed on")
	}
	r.bulk(k, s, 1<<18)
}

func base(r *rig, k *net.TCPConn, s *ustack.TCPConn) {
	if o := r.info(k).Options; o&3 != 0 {
		r.t.Errorf("timestamps or SACK were agreed on: %#x", o)
	}
	r.bulk(k, s, 1<<18)
}
