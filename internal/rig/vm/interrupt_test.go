package vm_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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
	if err := growResult(); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("waiting")
	<-c
	fmt.Println("interrupted")
	return 9
}

// growResult writes a file of results in two goes.
func growResult() error {
	if err := os.MkdirAll(vm.ResultDir+"/deep", 0o755); err != nil {
		return err
	}
	f, err := os.Create(vm.ResultDir + "/deep/trials.jsonl")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString("one\n"); err != nil {
		return err
	}
	time.Sleep(1500 * time.Millisecond)
	_, err = f.WriteString("two\n")
	return err
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
// code come out. Its results come out while it runs.
func TestInterrupt(t *testing.T) {
	needGuest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	out := filepath.Join(t.TempDir(), "out")
	stdout := &firstLine{then: func() {
		go func() { // until all that the guest has is here
			for ctx.Err() == nil {
				if b, err := os.ReadFile(filepath.Join(out, "deep", "trials.jsonl")); err == nil && string(b) == "one\ntwo\n" {
					cancel()
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
	}}
	o, err := vm.Run(ctx, vm.Config{CPUs: 1}, vm.Command{Out: out, Env: []string{selfexec.Environment(waitRole)}, Stdout: stdout, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if o.Code != 9 || !strings.HasSuffix(stdout.String(), "interrupted\n") {
		t.Errorf("exit code %d after %q, want 9 after an interrupt", o.Code, stdout.String())
	}
}
