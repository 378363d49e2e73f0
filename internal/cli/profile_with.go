package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/study"
	"github.com/stackmeter/stackmeter/internal/tui"
)

// loadCommand is the program whose traffic is profiled: what stands after "--", or, of
// --with, this program itself.
func (f *profileFlags) loadCommand(args []string) ([]string, error) {
	words := strings.Fields(f.with)
	switch {
	case f.with == "" || len(words) == 0:
		return args, nil
	case len(args) > 0:
		return nil, errors.New("--with names the load already: leave the command out")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if words[0] == "run" {
		return append([]string{self}, words...), nil
	}
	return nil, nil
}

// plan is the plan that --with names, with its arguments; nil where it names none.
func (f *profileFlags) plan() []string {
	words := strings.Fields(f.with)
	if len(words) == 0 || words[0] == "run" {
		return nil
	}
	if words[0] == "study" {
		words = words[1:]
	}
	return words
}

// studyWithProfile runs a plan with each trial profiled.
func (f *profileFlags) studyWithProfile(ctx context.Context, plan []string, stdout, stderr io.Writer) error {
	for flag, set := range map[string]bool{"--frequency": f.frequency != defaultFrequency, "--passes": f.passes != nil, "--pid": f.pids != nil} {
		if set {
			return usage(fmt.Errorf("%s: the profiles of a plan's trials have all passes as they are", flag))
		}
	}
	d := study.DefaultProfile
	if f.durationSet {
		d = f.duration
	}
	args := append([]string{"study"}, plan...)
	args = append(args, "--profile="+d.String())
	if f.out != "" {
		args = append(args, "--out", f.out)
	}
	if f.json {
		args = append(args, "--json")
	}
	if f.quiet {
		args = append(args, "--quiet")
	}
	return &exitError{Run(ctx, args, stdout, stderr), errSaid}
}

// profileCommand profiles while a command runs, from when there is traffic and at most for
// the options' duration, and waits for its end. What it prints goes to stderr.
func (f *profileFlags) profileCommand(ctx context.Context, o profile.Options, command []string, stderr io.Writer, bar *tui.Progress) (*profile.Profile, error) {
	c := exec.Command(command[0], command[1:]...)
	c.Stdout, c.Stderr = stderr, stderr
	if err := c.Start(); err != nil {
		return nil, usage(fmt.Errorf("start the load: %w", err))
	}
	ended := make(chan struct{})
	var failed error
	go func() {
		failed = c.Wait()
		close(ended)
	}()
	defer func() {
		if ctx.Err() != nil {
			_ = c.Process.Signal(syscall.SIGTERM)
		}
		<-ended
	}()
	if err := profile.Await(ctx, c.Process.Pid, ended); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; nothing was loaded")
		}
		return nil, err
	}
	select {
	case <-ended:
		return nil, fmt.Errorf("%s ended before there was traffic to profile: %v", command[0], failed)
	default:
	}
	o.Until = ended
	p, err := profileWithProgress(ctx, o, bar)
	if err != nil {
		return nil, err
	}
	<-ended
	if failed != nil {
		return nil, fmt.Errorf("%s: %w", command[0], failed)
	}
	p.Load = strings.Join(append([]string{filepath.Base(command[0])}, command[1:]...), " ")
	return p, nil
}
