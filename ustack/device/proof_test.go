package device_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/devicetest"
	"github.com/stackmeter/stackmeter/ustack/device/fault"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

var faults = fault.Config{Seed: 7, Loss: 0.0005, Corrupt: 0.0005, Duplicate: 0.0005, Reorder: 0.0005, Jitter: time.Millisecond}

func TestProof(t *testing.T) {
	bytes := int64(8 << 20)
	if testing.Short() {
		bytes = 2 << 20
	}
	if s := os.Getenv("USTACK_PROOF_MB"); s != "" {
		mb, err := strconv.ParseInt(s, 10, 64)
		if err != nil || mb <= 0 {
			t.Fatalf("USTACK_PROOF_MB=%q: want a number of megabytes above 0", s)
		}
		bytes = mb * 1e6
	}
	t.Run("pipe", func(t *testing.T) {
		a, b, err := pipe.New(pipe.Config{Link: ustack.LinkEthernet})
		if err != nil {
			t.Fatal(err)
		}
		st := devicetest.Stack(t, fault.New(a, faults), ustack.Techniques{})
		peer, err := ustack.New(ustack.Config{Device: b, Addresses: []netip.Prefix{netip.MustParsePrefix(devicetest.Kernel4)}})
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		l, err := st.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		c, err := peer.Dial(t.Context(), "tcp", net.JoinHostPort(stack4, "80"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		prove(t, c, d, bytes)
		met(t, st, bytes, true)
	})
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			space := netns.New(t)
			d, _ := k.open(t, space)
			st := devicetest.Stack(t, fault.New(d, faults), ustack.Techniques{})
			kernel, stack := connect(t, space, st)
			prove(t, kernel, stack, bytes)
			met(t, st, bytes, !k.uncut)
		})
	}
}

// progress is how long a stream may stand still.
const progress = 60 * time.Second

// prove sends bytes each way at once and compares sums.
func prove(t *testing.T, peer, stack net.Conn, bytes int64) {
	t.Helper()
	began := time.Now()
	type sum struct {
		way string
		of  [sha256.Size]byte
		err error
	}
	sums := make(chan sum, 4)
	run := func(c net.Conn, out, in string, seed uint64) {
		go func() {
			h, err := send(c, bytes, seed)
			sums <- sum{out, [sha256.Size]byte(h.Sum(nil)), err}
		}()
		go func() {
			h, err := receive(c, bytes)
			sums <- sum{in, [sha256.Size]byte(h.Sum(nil)), err}
		}()
	}
	run(peer, "to the stack", "from the stack", 1)
	run(stack, "from the stack", "to the stack", 2)
	seen := map[string][sha256.Size]byte{}
	var errs []error
	for range 4 {
		s := <-sums
		if s.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.way, s.err))
			_, _ = peer.Close(), stack.Close() // the others end too
		}
		if other, ok := seen[s.way]; ok && other != s.of && len(errs) == 0 {
			errs = append(errs, fmt.Errorf("%s: sent and received are not the same", s.way))
		}
		seen[s.way] = s.of
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if seen["to the stack"] == seen["from the stack"] {
		t.Fatal("both ways carried the same")
	}
	took := time.Since(began)
	t.Logf("%.3g GB each way in %.1f s: %.2f Gb/s; SHA-256 to the stack %.8x, from it %.8x", float64(bytes)/1e9, took.Seconds(),
		2*8*float64(bytes)/1e9/took.Seconds(), seen["to the stack"], seen["from the stack"])
	if err := errors.Join(peer.Close(), stack.Close()); err != nil {
		t.Error(err)
	}
}

// met holds a long stream to having met faults: those that the stack tells.
func met(t *testing.T, st *ustack.Stack, bytes int64, corrupt bool) {
	t.Helper()
	n := st.Counters()
	lost, bad := n["TcpRetransSegs"], n["UstackDrop-tcp-checksum"]
	t.Logf("%d segments sent again, %d bad checksums, %d segments out of order", lost, bad, n["TcpExtTCPOFOQueue"])
	if bytes >= 1e9 && (lost == 0 || n["TcpExtTCPOFOQueue"] == 0 || corrupt && bad == 0) {
		t.Error("the faults were not met")
	}
}

// send writes a stream of which no block is like another.
func send(c net.Conn, bytes int64, seed uint64) (hash.Hash, error) {
	h := sha256.New()
	block := make([]byte, 64<<10)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(block)
	for n := uint64(0); bytes > 0; n++ {
		binary.LittleEndian.PutUint64(block, n)
		b := block[:min(bytes, int64(len(block)))]
		h.Write(b)
		_ = c.SetWriteDeadline(time.Now().Add(progress))
		k, err := c.Write(b)
		if bytes -= int64(k); err != nil {
			return h, fmt.Errorf("%d bytes before the end: %w", bytes, err)
		}
	}
	return h, c.(interface{ CloseWrite() error }).CloseWrite()
}

// receive reads a stream to its end.
func receive(c net.Conn, bytes int64) (hash.Hash, error) {
	h := sha256.New()
	buf := make([]byte, 64<<10)
	for {
		_ = c.SetReadDeadline(time.Now().Add(progress))
		n, err := c.Read(buf)
		h.Write(buf[:n])
		bytes -= int64(n)
		switch {
		case errors.Is(err, io.EOF) && bytes == 0:
			return h, nil
		case errors.Is(err, io.EOF):
			return h, fmt.Errorf("ended %d bytes before the end", bytes)
		case err != nil:
			return h, fmt.Errorf("%d bytes before the end: %w", bytes, err)
		}
	}
}
