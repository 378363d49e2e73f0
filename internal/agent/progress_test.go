package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// teller is an agent whose every call tells something of itself before it is answered.
func teller(t *testing.T, tell func(s *session) (any, error)) *Client {
	t.Helper()
	ours, theirs := net.Pipe()
	c := &conversation{conn: theirs}
	s := &session{link: link{conversation: c}}
	calls := make(chan request, 1)
	ended := make(chan struct{})
	go func() { _ = c.listen(calls) }()
	go func() {
		defer close(ended)
		for r := range calls {
			c.begin(r.Method)
			result, err := tell(s)
			raw, _ := json.Marshal(result)
			if err == nil {
				err = c.end(response{Result: raw})
			}
			if err != nil {
				theirs.Close()
			}
		}
	}()
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
		<-ended
	})
	client := NewClient("far", ours)
	client.patience = 100 * time.Millisecond
	return client
}

// TestProgressKeepsACallAlive makes a call that takes longer than the client is patient, and
// wants each frame of progress in its order and the answer after them.
func TestProgressKeepsACallAlive(t *testing.T) {
	synctest.Test(t, progressKeepsACallAlive)
}

func progressKeepsACallAlive(t *testing.T) {
	c := teller(t, func(s *session) (any, error) {
		for i := range 5 {
			time.Sleep(50 * time.Millisecond)
			if err := s.progress(i); err != nil {
				return nil, err
			}
		}
		return "done", nil
	})
	for range 2 { // the second call must not see the first one's frames
		var seen []int
		var result string
		err := c.callProgress(t.Context(), waiting{all: 10 * time.Second}, "measure", none{}, &result, func(raw json.RawMessage) error {
			var i int
			seen = append(seen, i)
			return json.Unmarshal(raw, &seen[len(seen)-1])
		})
		if err != nil || result != "done" || !slices.Equal(seen, []int{0, 1, 2, 3, 4}) {
			t.Fatalf("progress %v, answer %q, %v", seen, result, err)
		}
	}
}

// TestAgentHangsInACall stops telling in the middle, and wants that found in the time
// of silence, not at the call's end.
func TestAgentHangsInACall(t *testing.T) {
	synctest.Test(t, agentHangsInACall)
}

func agentHangsInACall(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	c := teller(t, func(s *session) (any, error) {
		err := s.progress("one")
		<-hang
		return nil, err
	})
	began := time.Now()
	err := c.callProgress(t.Context(), waiting{silence: 100 * time.Millisecond, all: time.Hour}, "measure", none{}, new(any), nil)
	if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), `no answer to the call "measure" within 200ms`) {
		t.Errorf("got %v, want ErrGone after the silence", err)
	}
	if d := time.Since(began); d != 200*time.Millisecond {
		t.Errorf("took %v", d)
	}
}

// TestEndlessProgress wants a call to end although its agent always tells something.
func TestEndlessProgress(t *testing.T) {
	synctest.Test(t, endlessProgress)
}

func endlessProgress(t *testing.T) {
	c := teller(t, func(s *session) (any, error) {
		for {
			time.Sleep(10 * time.Millisecond)
			if err := s.progress("still at it"); err != nil {
				return nil, err
			}
		}
	})
	err := c.callProgress(t.Context(), waiting{all: 200 * time.Millisecond}, "measure", none{}, new(any), nil)
	if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "within 300ms") {
		t.Errorf("got %v, want ErrGone after the time of all", err)
	}
}

// TestProgressIsRefused wants the taker's error, and the session over.
func TestProgressIsRefused(t *testing.T) {
	c := teller(t, func(s *session) (any, error) { return nil, s.progress("nonsense") })
	fault := errors.New("no such interval")
	err := c.callProgress(t.Context(), waiting{}, "measure", none{}, new(any), func(json.RawMessage) error { return fault })
	if !errors.Is(err, fault) {
		t.Errorf("got %v, want %v", err, fault)
	}
	if err := c.Go(t.Context(), Start{}); !errors.Is(err, ErrGone) {
		t.Errorf("the next call: %v, want ErrGone", err)
	}
}

// TestProgressOutsideACall wants it refused: the next call would take it for its own.
func TestProgressOutsideACall(t *testing.T) {
	s := &session{link: link{conversation: &conversation{}}}
	if err := s.progress(1); !errors.Is(err, errNoCall) {
		t.Errorf("got %v, want %v", err, errNoCall)
	}
}

// TestHastyController sends calls without waiting for answers, and wants to be hung up on.
func TestHastyController(t *testing.T) {
	ours, theirs := net.Pipe()
	end := make(chan error, 1)
	go func() { end <- Serve(context.Background(), theirs, defaults()) }()
	_ = ours.SetDeadline(time.Now().Add(5 * time.Second))
	var err error
	for n := 0; err == nil && n < 10; n++ {
		err = writeFrame(ours, request{Method: "hello"}, maxRequest)
	}
	if err == nil {
		t.Error("ten calls without an answer are taken")
	}
	ours.Close()
	if err := <-end; !errors.Is(err, errHasty) {
		t.Errorf("the session ended with %v, want %v", err, errHasty)
	}
}
