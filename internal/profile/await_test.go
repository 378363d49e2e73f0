package profile

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

func TestAwait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Await(ctx, os.Getpid(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	over := make(chan struct{})
	close(over)
	began := time.Now()
	if err := Await(t.Context(), os.Getpid(), over); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("ended before traffic: %v after %v", err, time.Since(began))
	}
	stream(t)
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Await(ctx, os.Getpid(), nil); err != nil {
		t.Errorf("a stream runs: %v", err)
	}
}

// TestAwaitLooksAtTheFamilyOnly has traffic in our own namespace, and a process in another one that
// is silent.
func TestAwaitLooksAtTheFamilyOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	pid, _ := namespaceWithDatagram(t)
	stream(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := Await(ctx, pid, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("others' traffic was taken for the load's: %v", err)
	}
}
