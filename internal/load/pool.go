package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/selfexec"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Pool is the worker processes of one host's part of a run. Its methods are
// called in order: Start, Connect, Go, Stop, Close; Close at any time.
type Pool struct {
	Table   *Table
	spec    Spec
	workers []*process
	stacks  []StackInfo
}

// process is one worker as the pool sees it.
type process struct {
	cmd     *exec.Cmd
	control *os.File
	enc     *json.Encoder
	answers chan answer // closed when the worker is gone
	reader  sync.WaitGroup
	// Where data connections are handed over: the socket to do it, and the flows whose
	// they are.
	handover *os.File
	flows    []FlowSpec
}

// Start starts the workers in the namespaces of the calling process and, on the
// receiving side, listens. The program must dispatch [WorkerRole].
func Start(ctx context.Context, spec Spec) (_ *Pool, err error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	parts, err := split(spec)
	if err != nil {
		return nil, err
	}
	table, err := NewTable(parts[0].prepare.Flows, parts[0].prepare.Total)
	if err != nil {
		return nil, err
	}
	p := &Pool{Table: table, spec: spec}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	for _, part := range parts {
		w, err := startWorker(ctx, part, table)
		if err != nil {
			return nil, err
		}
		p.workers = append(p.workers, w)
	}
	return p, nil
}

// part is what one worker does of a spec.
type part struct {
	prepare prepare
	flows   int
	threads int
}

// spareProcessors are for a worker's control loop and timers; each hot loop holds one more.
const spareProcessors = 2

// split spreads the flows over workers: one a NIC; or one for all, or as many as their
// descriptors need, which a process may have so many of. The threads of a host are shared among
// its workers, each of which has one at least.
func split(spec Spec) ([]part, error) {
	cpus, err := sysx.Affinity(0)
	if err != nil {
		return nil, err
	}
	most, err := filesOfProcess()
	if err != nil {
		return nil, err
	}
	if spec.Engine == Ustack { // its connections have no descriptors
		most = MaxFlows
	}
	var out []part
	byNIC := map[int]int{} // index in out
	slot := 0
	for _, f := range spec.Flows {
		at, ok := byNIC[f.NIC]
		if spec.Model != Process {
			at, ok = len(out)-1, len(out) > 0 && out[len(out)-1].flows+f.Flows() <= most
		}
		if !ok {
			at = len(out)
			byNIC[f.NIC] = at
			p := part{prepare: prepare{Spec: spec}}
			p.prepare.Spec.Flows = nil
			out = append(out, p)
		}
		p := &out[at]
		p.prepare.Spec.Flows = append(p.prepare.Spec.Flows, f)
		p.prepare.Slots = append(p.prepare.Slots, slot)
		p.flows += f.Flows()
		slot += f.Flows()
	}
	total, thread := 0, 0
	for i := range out {
		p := &out[i]
		p.prepare.Spec.Threads = share(spec.Threads, len(cpus), len(out), i)
		p.prepare.Thread = thread
		p.threads = threads(&p.prepare.Spec)
		thread += p.threads
		for range p.threads {
			if timed(&spec) {
				p.prepare.Hists = append(p.prepare.Hists, total)
				total++
			}
		}
	}
	for i := range out {
		out[i].prepare.Flows, out[i].prepare.Total = slot, total
	}
	return out, nil
}

// share is how many of a host's threads worker i of n has, at least one; asked of 0 is a
// thread for each CPU.
func share(asked, cpus, n, i int) int {
	if asked == 0 {
		asked = cpus
	}
	part := asked / n
	if i < asked%n {
		part++
	}
	return max(1, part)
}

// environment is what the Go runtime of the worker is told.
func (p *part) environment() []string {
	spec := &p.prepare.Spec
	if spec.Engine != Ustack {
		// No collection and no preemption signals in the loop.
		return []string{"GOMAXPROCS=" + strconv.Itoa(p.threads+spareProcessors), "GOGC=off", "GODEBUG=asyncpreemptoff=1"}
	}
	// As in any program that uses the stack, but not more processors than there is work for:
	// those that are idle look for some.
	n := p.threads + max(1, spec.Stack.Queues)
	if cpus := spec.ProcessCPUs(); len(cpus) > 0 {
		n = min(n, len(cpus))
	}
	return []string{"GOMAXPROCS=" + strconv.Itoa(min(n, runtime.NumCPU()))}
}

func startWorker(ctx context.Context, part part, table *Table) (*process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket of a worker: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil { // ours goes through the netpoller
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	cmd := selfexec.Command(ctx, WorkerRole, part.environment()...)
	cmd.ExtraFiles = []*os.File{theirs, table.file}
	w := &process{cmd: cmd, control: ours, enc: json.NewEncoder(ours), answers: make(chan answer, 4)}
	if singlePort(&part.prepare.Spec) {
		here, there, err := handover()
		if err != nil {
			ours.Close()
			return nil, err
		}
		defer there.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, there)
		w.handover, w.flows = here, part.prepare.Spec.Flows
	}
	cmd.Stderr = os.Stderr
	// A terminal's Ctrl-C is for the controller alone, which stops the flows in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		w.handover.Close() // of nil, an error and no more
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	w.reader.Add(1)
	go w.read()
	if err := w.enc.Encode(command{Prepare: &part.prepare}); err != nil {
		w.kill()
		return nil, fmt.Errorf("talk to a worker: %w", err)
	}
	return w, nil
}

func (w *process) read() {
	defer w.reader.Done()
	defer close(w.answers)
	dec := json.NewDecoder(w.control)
	for {
		var a answer
		if err := dec.Decode(&a); err != nil {
			return
		}
		w.answers <- a
	}
}

func (w *process) kill() {
	w.control.Close() // the worker ends at the end of its control stream
	w.handover.Close()
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
	for range w.answers { // let the reader go
	}
	w.reader.Wait()
}

func (w *process) await(ctx context.Context) (answer, error) {
	select {
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	case a, ok := <-w.answers:
		if !ok {
			return a, fmt.Errorf("worker %d is gone: %w", w.cmd.Process.Pid, io.ErrUnexpectedEOF)
		}
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	}
}

// Addresses waits until every server listens and returns the address that clients of
// each spec of flows must be given, by the spec's ID. Clients have none.
func (p *Pool) Addresses(ctx context.Context) (map[int]string, error) {
	addresses := map[int]string{}
	for _, w := range p.workers {
		a, err := w.await(ctx)
		if err != nil {
			return nil, err
		}
		maps.Copy(addresses, a.Addresses)
	}
	return addresses, nil
}

// Connect makes the data connections: clients connect to the given address of each
// spec of flows, servers accept.
func (p *Pool) Connect(ctx context.Context, to map[int]string) error {
	if to == nil {
		to = map[int]string{-1: ""} // a server's: not nil, names no flow
	}
	return p.all(ctx, command{Connect: to})
}

// Go starts the hot loop of every flow at a time of CLOCK_MONOTONIC (nanoseconds; 0: at
// once). It does not wait until then.
func (p *Pool) Go(ctx context.Context, at int64) error { return p.all(ctx, command{Go: &start{at}}) }

func (p *Pool) all(ctx context.Context, c command) error {
	for _, w := range p.workers {
		if err := w.enc.Encode(c); err != nil {
			return fmt.Errorf("worker %d is gone: %w", w.cmd.Process.Pid, err)
		}
	}
	for _, w := range p.workers {
		if _, err := w.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stop asks every flow to end and returns how each did. What sends ends after the
// message in hand; what receives at the end of its stream, so stop the end that
// [Workload.First] names first. Flows that have not ended after grace are aborted.
func (p *Pool) Stop(ctx context.Context, grace time.Duration) ([]End, error) {
	for i := range p.Table.Len() {
		p.Table.Slot(i).Stop()
	}
	if p.spec.Engine == "null" {
		grace = 0 // its servers see no end of a stream
	}
	var ends []End
	var errs []error
	soft, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	hard, cancelHard := context.WithTimeout(ctx, grace+time.Second)
	defer cancelHard()
	for _, w := range p.workers {
		a, err := w.await(soft)
		if errors.Is(err, context.DeadlineExceeded) {
			_ = w.enc.Encode(command{Abort: true})
			a, err = w.await(hard)
		}
		if err != nil {
			errs = append(errs, err)
		}
		ends = append(ends, a.Ends...)
		p.stacks = append(p.stacks, a.Stacks...)
	}
	return ends, errors.Join(errs...)
}

// Stacks are the user-space stacks of the workers as they told of them when they were stopped.
func (p *Pool) Stacks() []StackInfo { return p.stacks }

// Close kills what still runs and frees everything. The counts are gone with it.
func (p *Pool) Close() {
	for _, w := range p.workers {
		w.kill()
	}
	p.workers = nil
	if p.Table != nil {
		p.Table.Close()
		p.Table = nil
	}
}

// PIDs are the worker processes.
func (p *Pool) PIDs() []int {
	var pids []int
	for _, w := range p.workers {
		pids = append(pids, w.cmd.Process.Pid)
	}
	return pids
}
