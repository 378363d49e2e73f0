package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// first opens a session that keeps the agent busy.
func first(t *testing.T, a *listening, run string) *Client {
	t.Helper()
	c, hello, err := DialWait(t.Context(), a.addr, a.key, Introduction{Run: run}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if hello.Protocol != Protocol {
		t.Errorf("hello: %+v", hello)
	}
	return c
}

// TestBusyByName wants a second controller told who is served, and the first one undisturbed.
func TestBusyByName(t *testing.T) {
	a := listen(t)
	one := first(t, a, "night shift")
	two, err := Dial(t.Context(), a.addr, a.key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = two.Introduce(t.Context(), Introduction{Run: "day shift"})
	want := `busy with a session of run "night shift" from ` + one.conn.LocalAddr().String() + " since "
	if !IsBusy(err) || !strings.Contains(err.Error(), want) {
		t.Fatalf("a second controller: %v, want %q", err, want)
	}
	if since, err := time.Parse(time.TimeOnly, err.Error()[len(err.Error())-8:]); err != nil {
		t.Errorf("busy since %v: %v", since, err)
	}
	_ = two.Close()
	if _, err := one.Hello(t.Context(), false); err != nil {
		t.Errorf("the first controller is disturbed: %v", err)
	}
	_ = one.Close()
	a.said(t, `session of run "day shift" refused: busy with a session of run "night shift"`)
	a.said(t, `session of run "night shift" ended, no load prepared: all put back`)
	a.serves(t, time.Second)
}

// TestDialWait wants a controller to wait for another one's end, and to be told for whom.
func TestDialWait(t *testing.T) {
	t.Parallel()
	a := listen(t)
	one := first(t, a, "night shift")
	var told []string
	c, _, err := DialWait(t.Context(), a.addr, a.key, Introduction{Run: "day shift"}, func(busy error) {
		told = append(told, busy.Error())
		time.AfterFunc(800*time.Millisecond, func() { _ = one.Close() }) // it is refused again before
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(told) != 1 || !strings.Contains(told[0], `run "night shift"`) {
		t.Errorf("was told %q, want once", told)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDialWaitGivesUp wants the wait to end with its context, and to say for whom it was.
func TestDialWaitGivesUp(t *testing.T) {
	a := listen(t)
	first(t, a, "night shift")
	// It gives up once it has heard who has the agent, wherever in a try that is.
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	_, _, err := DialWait(ctx, a.addr, a.key, Introduction{}, func(error) {
		time.AfterFunc(rand.N(time.Second), func() { cancel(context.DeadlineExceeded) })
	})
	if !errors.Is(err, context.DeadlineExceeded) || !IsBusy(err) || !strings.Contains(err.Error(), "night shift") {
		t.Errorf("got %v", err)
	}
	// What is not busy is not waited for.
	if _, _, err := DialWait(t.Context(), a.addr, NewKey(), Introduction{}, nil); err == nil || IsBusy(err) {
		t.Errorf("with a wrong key: %v", err)
	}
}

// TestOneAfterTheOther wants no controller to be refused because the one before it, which has
// hung up, still has its workers ended.
func TestOneAfterTheOther(t *testing.T) {
	a := listen(t)
	receiver, _ := specs(8)
	for range 5 {
		c, err := Dial(t.Context(), a.addr, a.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Introduce(t.Context(), Introduction{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Prepare(t.Context(), receiver); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}
