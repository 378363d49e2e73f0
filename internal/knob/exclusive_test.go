package knob

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

func TestExclusiveWaitsAndTellsForWhom(t *testing.T) {
	dir := t.TempDir()
	release, err := Exclusive(t.Context(), dir, func(int) { t.Error("waited for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	holder := 0
	if _, err := Exclusive(short, dir, func(pid int) { holder = pid }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v while it was held", err)
	}
	if holder != os.Getpid() {
		t.Errorf("said that process %d holds it, it is %d", holder, os.Getpid())
	}
	time.AfterFunc(50*time.Millisecond, release)
	again, err := Exclusive(t.Context(), dir, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	again()
}
