package vm_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/rig/vm"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// waitForInterrupt is a command that ends when it is interrupted.
func waitForInterrupt() int {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	fmt.Println("waiting")
	<-c
	fmt.Println("interrupted")
	return 9
}

// firstLine cancels when something is written.
type firstLine struct {
	bytes.Buffer
	then func()
}

func (f *firstLine) Write(p []byte) (int, error) {
	f.then()
	return f.Buffer.Write(p)
}

// TestInterrupt ends a guest by its context: the command may finish, its words and its exit
// code come out.
func TestInterrupt(t *testing.T) {
	needGuest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	stdout := &firstLine{then: cancel}
	o, err := vm.Run(ctx, vm.Config{CPUs: 1}, vm.Command{Env: []string{selfexec.Environment(waitRole)}, Stdout: stdout, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if o.Code != 9 || !strings.HasSuffix(stdout.String(), "interrupted\n") {
		t.Errorf("exit code %d after %q, want 9 after an interrupt", o.Code, stdout.String())
	}
}
