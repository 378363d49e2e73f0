package profile

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestAwait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Await(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	over := make(chan struct{})
	close(over)
	began := time.Now()
	if err := Await(t.Context(), over); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("ended before traffic: %v after %v", err, time.Since(began))
	}
	stream(t)
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Await(ctx, nil); err != nil {
		t.Errorf("a stream runs: %v", err)
	}
}
