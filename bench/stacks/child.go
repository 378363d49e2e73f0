package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// Addresses of the link between the two ends.
const (
	peerAddr  = "10.9.0.1"
	stackAddr = "10.9.0.2"
	prefixLen = 24
	port      = 5001
)

// Names of the two ends of a veth pair, and of the TUN device.
const (
	peerNIC  = "peer0"
	stackNIC = "stack0"
)

// order tells a child what it is to do.
type order struct {
	entry
	Kind    kind
	Flows   int
	MTU     int
	Peer    int    // process whose namespace the kernel's end is in
	Profile string // file for a CPU profile; "": none
}

// counts are what a child has done so far.
type counts struct {
	Bytes, Transactions uint64
	Allocations         uint64 // objects of the heap
	Failed              string // why it can't go on
}

// tally is what the goroutines of a child add to.
type tally struct {
	bytes, transactions atomic.Uint64
	failed              atomic.Pointer[string]
}

func (t *tally) fail(err error) {
	s := err.Error()
	t.failed.CompareAndSwap(nil, &s)
}

func (t *tally) counts() counts {
	c := counts{Bytes: t.bytes.Load(), Transactions: t.transactions.Load()}
	if s := t.failed.Load(); s != nil {
		c.Failed = *s
	}
	return c
}

// child is an end of the link in a process and a network namespace of its own.
type child struct {
	role string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
}

// start starts a child, which waits for its order.
func start(ctx context.Context, role string, cpu int, env ...string) (*child, error) {
	cmd := selfexec.Command(ctx, role, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s in a network namespace: %w: run as root", role, err)
	}
	c := &child{role: role, cmd: cmd, in: in, out: bufio.NewScanner(out)}
	if cpu >= 0 {
		if err := pin(cmd.Process.Pid, cpu); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	return c, nil
}

// tell gives a child its order and returns when it is ready.
func (c *child) tell(o order) error {
	if err := json.NewEncoder(c.in).Encode(o); err != nil {
		return fmt.Errorf("%s: %w", c.role, err)
	}
	n, err := c.answer()
	if err == nil && n.Failed != "" {
		err = fmt.Errorf("%s: %s", c.role, n.Failed)
	}
	return err
}

// count asks a child what it has done.
func (c *child) count() (counts, error) {
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		return counts{}, fmt.Errorf("%s: %w", c.role, err)
	}
	n, err := c.answer()
	if err == nil && n.Failed != "" {
		err = fmt.Errorf("%s: %s", c.role, n.Failed)
	}
	return n, err
}

// answer reads a line of a child. A child that is stuck is killed.
func (c *child) answer() (n counts, err error) {
	stuck := time.AfterFunc(15*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer stuck.Stop()
	if !c.out.Scan() {
		return n, fmt.Errorf("%s: it ended or was stuck", c.role)
	}
	return n, json.Unmarshal(c.out.Bytes(), &n)
}

// stop ends a child.
func (c *child) stop() error {
	_ = c.in.Close()
	stuck := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer stuck.Stop()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", c.role, err)
	}
	return nil
}

// obey is the main function of a child: it takes the order, lets work begin it, and
// answers with counts whenever asked, until its input ends. work returns when all
// connections are there, or at once if the other end is to make them.
func obey(work func(o order) (count func() counts, done func(), err error)) int {
	in := bufio.NewScanner(os.Stdin)
	if !in.Scan() {
		return 0
	}
	out := json.NewEncoder(os.Stdout)
	var o order
	err := json.Unmarshal(in.Bytes(), &o)
	var count func() counts
	done := func() {}
	if err == nil {
		count, done, err = work(o)
	}
	if err != nil {
		_ = out.Encode(counts{Failed: err.Error()})
		return 0
	}
	defer done()
	_ = out.Encode(counts{})
	for in.Scan() {
		_ = out.Encode(count())
	}
	return 0
}
