package agent

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestStrangersShakeHandsSlowly floods an agent that serves a session with handshakes, and wants it
// to do few of them, and another controller told all the same.
func TestStrangersShakeHandsSlowly(t *testing.T) {
	t.Parallel()
	p := listenApart(t)
	c, _, err := DialWait(t.Context(), p.addr, p.key, Introduction{Run: "measured"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	config, err := NewKey().TLS()
	if err != nil {
		t.Fatal(err)
	}
	config.VerifyConnection = nil
	ctx, stop := context.WithCancel(t.Context())
	var shaken atomic.Int64
	var flood sync.WaitGroup
	d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}, Config: config}
	began := time.Now()
	for range lobbyRoom / 2 {
		flood.Go(func() {
			for ctx.Err() == nil {
				conn, err := d.DialContext(ctx, "tcp", p.addr)
				if err == nil {
					shaken.Add(1)
					conn.Close()
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	for range 3 {
		told := ""
		wait, enough := context.WithTimeout(t.Context(), patience)
		_, _, err := DialWait(wait, p.addr, p.key, Introduction{}, func(busy error) {
			told = busy.Error()
			enough()
		})
		enough()
		if !strings.Contains(told, `run "measured"`) {
			t.Errorf("another controller is told %q: %v", told, err)
		}
	}
	if err := c.Release(t.Context()); err != nil {
		t.Errorf("the controller that is served: %v", err)
	}
	took := time.Since(began)
	stop()
	flood.Wait()
	most := int64(took/handshakeSpacing) + 1
	t.Logf("%d handshakes in %v", shaken.Load(), took)
	if n := shaken.Load(); n == 0 || n > most {
		t.Errorf("%d handshakes in %v, want at most %d", n, took, most)
	}
}
