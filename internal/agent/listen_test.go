package agent

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// listening is an agent that serves controllers on loopback.
type listening struct {
	addr string
	key  Key
	stop func() // ends the agent
	mu   sync.Mutex
	log  []string
}

func listen(t *testing.T) *listening { return listenWith(t, &Listener{Options: defaults()}) }

// listenWith completes the agent.
func listenWith(t *testing.T, serve *Listener) *listening {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listenOn(t, l, serve)
}

// listenAs is an agent with credentials of its own.
func listenAs(t *testing.T, c Credentials) *listening {
	t.Helper()
	return listenWith(t, &Listener{Credentials: c, Options: defaults()})
}

func listenOn(t *testing.T, l net.Listener, serve *Listener) *listening {
	t.Helper()
	a := &listening{addr: l.Addr().String(), key: NewKey()}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	if serve.Credentials == nil {
		serve.Credentials = a.key
	}
	serve.Log = func(format string, args ...any) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.log = append(a.log, fmt.Sprintf(format, args...))
	}
	go func() { ended <- serve.Serve(ctx, l) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(3 * time.Second):
			t.Error("the agent does not end")
		}
	})
	t.Cleanup(a.stop)
	return a
}

// said waits for a line of the log.
func (a *listening) said(t *testing.T, what string) {
	t.Helper()
	a.saidWithin(t, what, 5*time.Second)
}

func (a *listening) saidWithin(t *testing.T, what string, within time.Duration) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		a.mu.Lock()
		log := strings.Join(a.log, "\n")
		a.mu.Unlock()
		if strings.Contains(log, what) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the agent does not say %q:\n%s", what, log)
		}
	}
}

// serves wants a controller with the key to be served within a time.
func (a *listening) serves(t *testing.T, within time.Duration) {
	t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var c *Client
		if c, err = Dial(t.Context(), a.addr, a.key); err != nil {
			continue
		}
		_, err = c.Hello(t.Context(), false)
		if closed := c.Close(); err == nil && closed == nil {
			return
		}
	}
	t.Fatalf("the agent serves nobody any more: %v", err)
}

// open is a connection of somebody who holds the key.
func (a *listening) open(t *testing.T) net.Conn {
	t.Helper()
	config, err := a.key.TLS()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", a.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestWrongKey(t *testing.T) {
	a := listen(t)
	if _, err := Dial(t.Context(), a.addr, NewKey()); err == nil || !strings.Contains(err.Error(), "with the same key") {
		t.Errorf("a wrong key: %v", err)
	}
	a.said(t, "refused")
	// A controller that does not look whose agent it speaks to, with a certificate of its own.
	other, err := NewKey().TLS()
	if err != nil {
		t.Fatal(err)
	}
	other.VerifyConnection = nil
	if conn, err := tls.Dial("tcp", a.addr, other); err == nil {
		_ = writeFrame(conn, request{Method: "hello"}, maxRequest)
		var r response
		if err := readFrame(conn, &r, maxResponse); err == nil {
			t.Error("an agent answered a controller without the key")
		}
		conn.Close()
	}
	a.said(t, errWrongKey.Error())
	a.serves(t, time.Second)
}

func TestNoisyConnections(t *testing.T) {
	a := listen(t)
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	raw := func(b []byte) {
		t.Helper()
		conn, err := net.Dial("tcp", a.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(b)
		conn.Close()
	}
	raw(nil)
	raw(noise)
	raw([]byte{0x16, 3, 1, 0xff, 0xff}) // half a TLS record
	raw([]byte("GET / HTTP/1.1\r\n\r\n"))

	oversize := binary.BigEndian.AppendUint32(nil, maxRequest+1)
	for name, b := range map[string][]byte{
		"noise": noise, "oversize": oversize, "cut off": {0, 0, 0, 9, '{'}, "no JSON": {0, 0, 0, 2, '{', '{'}, "empty": {0, 0, 0, 0},
	} {
		conn := a.open(t)
		// The agent may hang up on the first bytes, before the rest is written.
		if _, err := conn.Write(b); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "cut off" {
			conn.Close()
		} else { // the agent hangs up
			_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
			if n, err := conn.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
				t.Errorf("%s: the agent answers or keeps the session: %v", name, err)
			}
			conn.Close()
		}
		a.serves(t, 2*time.Second)
	}
}

// TestAgentEndsWithASession ends the agent while a session is served and while another shakes hands.
func TestAgentEndsWithASession(t *testing.T) {
	a := listen(t)
	c, err := Dial(t.Context(), a.addr, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Hello(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	a.stop()
	if _, err := c.Hello(t.Context(), false); err == nil {
		t.Error("the session lives on without its agent")
	}
	_ = c.Close()
}

func TestDialNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := Dial(t.Context(), l.Addr().String(), NewKey()); err == nil || !strings.Contains(err.Error(), "is `stackmeter serve` running there") {
		t.Errorf("nobody listens: %v", err)
	}
}
