package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestSilentAgent calls agents that take the call and answer nothing, half an
// answer, or no JSON. Each call must end in bounded time and say that the agent is gone; the
// next one at once.
func TestSilentAgent(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   string
	}{
		"nothing":   {"", `no answer to the call "hello" within 100ms`},
		"half":      {"\x00\x00\x00\x10{", `no answer to the call "hello" within 100ms`},
		"no answer": {"\x00\x00\x00\x01}", "invalid character"},
		"too long":  {"\xff\xff\xff\xff", "the limit is"},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { theirs.Close() })
			go func() { // ends when either end of the pipe is closed
				_, _ = theirs.Read(make([]byte, 1<<10))
				_, _ = io.WriteString(theirs, c.answer)
			}()
			client := NewClient("far", ours)
			client.patience = 100 * time.Millisecond
			began := time.Now()
			_, err := client.Hello(t.Context(), false)
			if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "far: ") {
				t.Errorf("got %v, want ErrGone with %q", err, c.want)
			}
			if err := client.Go(t.Context(), Start{}); !errors.Is(err, ErrGone) {
				t.Errorf("the next call: %v, want ErrGone", err)
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestMeasureIsGivenItsWindow wants the patience for an answer to begin when the
// window has closed.
func TestMeasureIsGivenItsWindow(t *testing.T) {
	synctest.Test(t, measureIsGivenItsWindow)
}

func measureIsGivenItsWindow(t *testing.T) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	go func() {
		var r request
		if readFrame(theirs, &r, maxRequest) == nil {
			time.Sleep(300 * time.Millisecond)
			_ = writeFrame(theirs, response{Result: []byte("{}")}, maxResponse)
		}
	}()
	client := NewClient("far", ours)
	client.patience = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := client.Measure(ctx, Measure{Window: load.Window{Length: time.Second}}, nil); err != nil {
		t.Error(err)
	}
}
