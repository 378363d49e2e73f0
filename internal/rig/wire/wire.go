// Package wire makes a rig of NICs in software. Each link is a tap device in the server's network
// namespace and one in the client's, and between them a model of two NICs and their cable: what
// one kernel transmits is moved at the link's rate into a ring of bounded length in the other
// NIC, which interrupts, throttled as by the e1000's ITR, a CPU of its host: a thread that is
// pinned to that CPU then hands all frames of the ring to the kernel. So receive work runs on the CPU to
// which the interrupt is routed, the route can be chosen without any right (the threads are our
// own), and interrupts and frames are counted one by one.
//
// Three processes make it: one stands in for the hardware (DMA engines, cable, bus) and one for
// each host's interrupts, so that CPU time by process tells them apart. They share rings, routes,
// settings and counts in a memfd, and end with the process that made the rig, however that ends:
// each sees the end of a pipe. The taps go with them.
//
// What it is not: frames cross user space, which costs more CPU time than a NIC and its driver
// take; an interrupt is a wake-up of a thread, which the scheduler may delay; a bus that is full
// holds frames back where a NIC would at last drop them.
package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// Roles are the parts that a program which makes this rig must dispatch (package selfexec).
func Roles() map[string]func() int {
	return map[string]func() int{hardwareRole: hardwareMain, irqRole: irqMain}
}

const (
	hardwareRole = "wire-hardware"
	irqRole      = "wire-irq"
	sideVariable = "STACKMETER_WIRE_SIDE"
)

// Descriptors of the processes: the pipe whose end ends them, the memory, then taps.
const (
	pipeFD = 3 + iota
	memoryFD
	tapFD
)

// startTimeout is how long the processes have to stand ready.
const startTimeout = 20 * time.Second

// Rig is the NICs and the processes that make them. Its methods are not safe for concurrent use.
type Rig struct {
	memory *memory
	pipe   *os.File
	links  []rig.Link
	parts  [3]*exec.Cmd // the hardware, the server's interrupts, the client's
}

// Start makes the links between the network namespaces of two processes and brings them up. CPUs
// are those that interrupts may be routed to. The caller needs CAP_NET_ADMIN over both
// namespaces, and closes the rig.
func Start(serverPID, clientPID int, links []rig.Link, cpus []int) (r *Rig, err error) {
	r = &Rig{links: links}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
			r = nil
		}
	}()
	if r.memory, err = newMemory(len(links), cpus); err != nil {
		return r, err
	}
	var sides [2][]rig.NIC
	for _, l := range links {
		sides[Server] = append(sides[Server], l.Server)
		sides[Client] = append(sides[Client], l.Client)
	}
	var taps [2][]*os.File
	defer func() {
		for _, f := range append(taps[Server], taps[Client]...) {
			f.Close()
		}
	}()
	for side, pid := range []int{serverPID, clientPID} {
		if taps[side], err = openTaps(pid, sides[side]); err != nil {
			return r, err
		}
		if err := rig.Settle(pid, sides[side]); err != nil {
			return r, err
		}
	}
	end, pipe, err := os.Pipe()
	if err != nil {
		return r, err
	}
	defer end.Close()
	r.pipe = pipe
	all := append(append([]*os.File{end, r.memory.file}, taps[Server]...), taps[Client]...)
	if r.parts[0], err = r.part(hardwareRole, 2, all); err != nil {
		return r, err
	}
	for side := range taps {
		if r.parts[1+side], err = r.part(irqRole, len(cpus)+2, append([]*os.File{end, r.memory.file}, taps[side]...), sideVariable+"="+strconv.Itoa(side)); err != nil {
			return r, err
		}
	}
	return r, r.ready()
}

// part starts a process of the rig with so many processors for its goroutines.
func (r *Rig) part(role string, processors int, files []*os.File, env ...string) (*exec.Cmd, error) {
	// No collection and no preemption signals in the loops.
	env = append(env, "GOMAXPROCS="+strconv.Itoa(processors), "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	cmd := selfexec.Command(context.Background(), role, env...)
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C in a terminal is for the controller alone
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s of the rig: %w", role, err)
	}
	runtime.KeepAlive(files)
	return cmd, nil
}

// ready waits until all threads stand by.
func (r *Rig) ready() error {
	for end := time.Now().Add(startTimeout); ; time.Sleep(time.Millisecond) {
		if r.memory.ready() {
			return nil
		}
		if err := r.Lives(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the rig's processes were not ready in %v", startTimeout)
		}
	}
}

// Lives returns an error if a process of the rig has ended.
func (r *Rig) Lives() error {
	for _, p := range r.parts {
		if state := processState(p.Process.Pid); state == 'Z' || state == 0 {
			return fmt.Errorf("%s of the rig, process %d, has ended", p.Args[0], p.Process.Pid)
		}
	}
	return nil
}

// Hardware is the process that stands in for the NICs' and the cables' hardware.
func (r *Rig) Hardware() int { return r.parts[0].Process.Pid }

// RealTime reports whether the rig's threads run before all others of their CPUs, as hardware and
// interrupts do, which takes CAP_SYS_NICE. Else they run as soon as the scheduler lets them.
func (r *Rig) RealTime() bool { return r.memory.head.realTime.Load() == 1 }

// Interrupts is how an agent of a side reaches its NICs' interrupts.
func (r *Rig) Interrupts(s Side) Ref {
	ref := Ref{PID: r.parts[1+s].Process.Pid, Side: s}
	for _, l := range r.links {
		if s == Server {
			ref.NICs = append(ref.NICs, l.Server.Name)
		} else {
			ref.NICs = append(ref.NICs, l.Client.Name)
		}
	}
	return ref
}

// Close ends the processes; the taps go with them. It may be called twice.
func (r *Rig) Close() error {
	var errs []error
	if r.pipe != nil {
		errs = append(errs, r.pipe.Close())
		r.pipe = nil
	}
	for i, p := range r.parts {
		if p == nil {
			continue
		}
		kill := time.AfterFunc(startTimeout, func() { _ = p.Process.Kill() })
		if err := p.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("process %d of the rig: %w", p.Process.Pid, err))
		}
		kill.Stop()
		r.parts[i] = nil
	}
	if r.memory != nil {
		errs = append(errs, r.memory.close())
		r.memory = nil
	}
	return errors.Join(errs...)
}
