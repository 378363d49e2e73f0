package agent

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestIdleSessionEnds wants a controller that makes no call hung up on, in the time that its load
// gives it, and the log to say why and where.
func TestIdleSessionEnds(t *testing.T) {
	o := defaults()
	o.Idle = 300 * time.Millisecond
	for name, c := range map[string]struct {
		lifetime time.Duration // of a load; 0: none
		half     bool          // a frame
		where    string
	}{
		"no load":      {where: "no load prepared"},
		"half a frame": {half: true, where: "no load prepared"},
		"a load":       {lifetime: 500 * time.Millisecond, where: "the load prepared"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := listenWith(t, &Listener{Options: o})
			client := first(t, a, "slumber")
			if c.lifetime > 0 {
				receiver, _ := specs(1)
				receiver.Lifetime = c.lifetime
				if _, err := client.Prepare(t.Context(), receiver); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			if c.half {
				if _, err := client.conn.Write([]byte{0, 0, 0, 9, '{'}); err != nil {
					t.Fatal(err)
				}
			}
			_ = client.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := client.conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
				t.Errorf("the agent keeps the session: %v", err)
			}
			if d, want := time.Since(began), o.Idle+c.lifetime; d < want-50*time.Millisecond || d > want+5*time.Second {
				t.Errorf("ended after %v, want %v", d, want)
			}
			a.said(t, `session of run "slumber" ended, `+c.where+": the controller made no call for "+(o.Idle+c.lifetime).String())
			if err := client.Go(t.Context(), Start{}); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), a.addr) {
				t.Errorf("the next call: %v, want ErrGone of %s", err, a.addr)
			}
			a.serves(t, 2*time.Second)
		})
	}
}

// TestBusySessionIsNotIdle makes a call now and then, and one that takes longer than a
// session may be idle.
func TestBusySessionIsNotIdle(t *testing.T) {
	t.Parallel()
	o := defaults()
	o.Idle = 400 * time.Millisecond
	a := listenWith(t, &Listener{Options: o})
	c := first(t, a, "")
	for range 4 {
		time.Sleep(200 * time.Millisecond)
		if _, err := c.Clock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	receiver, _ := specs(1)
	receiver.Lifetime = time.Second
	if _, err := c.Prepare(t.Context(), receiver); err != nil {
		t.Fatal(err)
	}
	// Nobody comes, so the worker ends with its lifetime.
	began := time.Now()
	err := c.Connect(t.Context(), Connect{})
	if err == nil || errors.Is(err, ErrGone) || time.Since(began) < 900*time.Millisecond {
		t.Errorf("a call of a second: %v after %v", err, time.Since(began))
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
