package cli_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/result"
)

// TestInterruptKeepsTrialsAndResumes presses Ctrl-C once and twice in the middle of
// a study, then goes on with it.
func TestInterruptKeepsTrialsAndResumes(t *testing.T) {
	needRoot(t)
	for _, times := range []int{1, 2} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "r")
			write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 6, "affinity: [none, both]"))
			p := prepare(t, dir, "study", "tiny.yaml", "--out", "r", "--seed", "7").start()
			until(t, "two trials", func() bool { return trials(out) >= 2 })
			for range times {
				if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			p.wait(1, 2*time.Second)
			asWas(t)
			if want := "go on with: stackmeter study --resume r"; !strings.Contains(p.stderr.String(), want) {
				t.Errorf("does not say %q:\n%s", want, p.stderr.String())
			}
			kept := trials(out)
			if kept < 2 || kept >= 12 {
				t.Errorf("%d trials were kept, want some", kept)
			}

			run(t, dir, 0, "study", "--resume", "r")
			asWas(t)
			d, err := result.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, tr := range d.Trials {
				key := fmt.Sprint(tr.Levels, tr.Replicate)
				if seen[key] {
					t.Errorf("trial %s was measured twice", key)
				}
				seen[key] = true
			}
			if len(seen) != 12 || d.Manifest.Seed != 7 {
				t.Errorf("%d trials with seed %d, want 12 with 7", len(seen), d.Manifest.Seed)
			}
		})
	}
}

// TestInterruptBeforeTheFirstTrial ends the program while it builds the rig.
func TestInterruptBeforeTheFirstTrial(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 6, "affinity: [none, both]"))
	for _, after := range []time.Duration{30, 60, 100, 150, 250} {
		p := prepare(t, dir, "study", "tiny.yaml").start()
		time.Sleep(after * time.Millisecond)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
		// Before the program has asked for the signal it has done nothing: then it dies of it.
		if code := p.cmd.ProcessState.ExitCode(); code != 1 && code != -1 {
			t.Errorf("after %d ms: exit code %d, want 1\n%s", after, code, p.stderr.String())
		}
		asWas(t)
	}
}
