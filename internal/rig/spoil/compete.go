package spoil

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/selfexec"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Role is the name under which a program must dispatch to [Busy].
const Role = "competitor"

const (
	cpuVariable = "STACKMETER_COMPETITOR_CPU"
	// nice gives the competitor the weight of three ordinary tasks: the sender, the receiver and the
	// NAPI thread on its CPU have no more than it together.
	nice = -5
)

// Busy is the main function of the competing process: it spins on one CPU until its standard
// input ends, which it does with whoever started it.
func Busy() int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	cpu, err := strconv.Atoi(os.Getenv(cpuVariable))
	runtime.LockOSThread()
	if err == nil {
		err = sysx.SetAffinity(0, []int{cpu})
	}
	if err == nil {
		err = os.WriteFile("/proc/self/comm", []byte(Role), 0o644) // reports name it
	}
	if err == nil {
		err = unix.Setpriority(unix.PRIO_PROCESS, 0, nice)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "competitor:", err)
		return 1
	}
	var spins atomic.Uint64
	for {
		spins.Add(1)
	}
}

func (r *Rig) compete() error {
	if r.busy != nil {
		return nil
	}
	c := selfexec.Command(context.Background(), Role, cpuVariable+"="+strconv.Itoa(r.cpus[0]))
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	c.Stdin, c.Stderr = in, os.Stderr
	if err := c.Start(); err != nil {
		out.Close()
		return err
	}
	r.busy, r.leash = c, out
	return nil
}

func (r *Rig) rest() error {
	if r.busy == nil {
		return nil
	}
	err := r.leash.Close()
	_ = r.busy.Wait() // it says nothing
	r.busy, r.leash = nil, nil
	return err
}
