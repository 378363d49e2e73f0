package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// program is one end of a tool, a process group of its own.
type program struct {
	cmd      *exec.Cmd
	line     string
	out, err bytes.Buffer
	ended    chan error
}

// start runs a command line of the shell in a namespace on the CPUs.
func (p *place) start(env []string, cpus, line string) (*program, error) {
	g := &program{cmd: exec.Command("taskset", "-c", cpus, "sh", "-c", "exec "+line), line: line, ended: make(chan error, 1)}
	g.cmd.Env = env
	g.cmd.Stdout, g.cmd.Stderr = &g.out, &g.err
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.cmd.WaitDelay = time.Second
	if err := p.inside(g.cmd.Start); err != nil {
		return nil, fmt.Errorf("%s: %w", line, err)
	}
	go func() { g.ended <- g.cmd.Wait() }()
	return g, nil
}

// wait gives the program time to end by itself.
func (g *program) wait(ctx context.Context, limit time.Duration) error {
	select {
	case err := <-g.ended:
		g.ended <- err
		if err != nil {
			return fmt.Errorf("%s: %w: %.500s %.500s", g.line, err, g.err.String(), g.out.String())
		}
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%s: still runs after %v", g.line, limit)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kill ends the whole group.
func (g *program) kill() {
	select {
	case err := <-g.ended:
		g.ended <- err
	default:
	}
	syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
	err := <-g.ended
	g.ended <- err
}
