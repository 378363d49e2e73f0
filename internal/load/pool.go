package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// Pool is the worker processes of one host's part of a run. Its methods are
// called in order: Start, Connect, Go, Stop, Close; Close at any time.
type Pool struct {
	Table   *Table
	spec    Spec
	workers []*process
}

// process is one worker as the pool sees it.
type process struct {
	cmd     *exec.Cmd
	control *os.File
	enc     *json.Encoder
	answers chan answer // closed when the worker is gone
	flows   []int       // indexes into spec.Flows
	reader  sync.WaitGroup
}

// Start starts the workers in the namespaces of the calling process and, on the
// receiving side, listens. The program must dispatch [WorkerRole].
func Start(ctx context.Context, spec Spec) (_ *Pool, err error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	table, err := NewTable(len(spec.Flows))
	if err != nil {
		return nil, err
	}
	p := &Pool{Table: table, spec: spec}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	for _, flows := range group(spec) {
		w, err := startWorker(ctx, spec, table, flows)
		if err != nil {
			return nil, err
		}
		p.workers = append(p.workers, w)
	}
	return p, nil
}

// group splits the flows over workers: one a NIC, or one for all.
func group(spec Spec) [][]int {
	byKey := map[int][]int{}
	var keys []int
	for i, f := range spec.Flows {
		key := 0
		if spec.Model == Process {
			key = f.NIC
		}
		if byKey[key] == nil {
			keys = append(keys, key)
		}
		byKey[key] = append(byKey[key], i)
	}
	slices.Sort(keys)
	var out [][]int
	for _, k := range keys {
		out = append(out, byKey[k])
	}
	return out
}

func startWorker(ctx context.Context, spec Spec, table *Table, flows []int) (*process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket of a worker: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil { // ours goes through the netpoller
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	// A blocked flow holds a processor of Go's scheduler; two more are for the
	// control loop and timers. No collection and no preemption signals in the loop.
	cmd := selfexec.Command(ctx, WorkerRole,
		"GOMAXPROCS="+strconv.Itoa(len(flows)+2), "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	cmd.ExtraFiles = []*os.File{theirs, table.file}
	cmd.Stderr = os.Stderr
	// A terminal's Ctrl-C is for the controller alone, which stops the flows in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	w := &process{cmd: cmd, control: ours, enc: json.NewEncoder(ours), answers: make(chan answer, 4), flows: flows}
	w.reader.Add(1)
	go w.read()
	part := spec
	part.Flows = make([]FlowSpec, len(flows))
	for i, f := range flows {
		part.Flows[i] = spec.Flows[f]
	}
	if err := w.enc.Encode(command{Prepare: &prepare{Spec: part, Slots: flows, Total: table.Len()}}); err != nil {
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

// Ports waits until every receiver listens and returns the port of each flow.
// Senders have none.
func (p *Pool) Ports(ctx context.Context) (map[int]uint16, error) {
	ports := map[int]uint16{}
	for _, w := range p.workers {
		a, err := w.await(ctx)
		if err != nil {
			return nil, err
		}
		for id, port := range a.Ports {
			ports[id] = port
		}
	}
	return ports, nil
}

// Connect makes the data connections: senders dial the given address of each
// flow, receivers accept.
func (p *Pool) Connect(ctx context.Context, to map[int]netip.AddrPort) error {
	if to == nil {
		to = map[int]netip.AddrPort{-1: {}} // a receiver's: not nil, names no flow
	}
	return p.all(ctx, command{Connect: to})
}

// Go starts the hot loop of every flow.
func (p *Pool) Go(ctx context.Context) error { return p.all(ctx, command{Go: true}) }

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

// Stop asks every flow to end and returns how each did. Senders end after the
// message in hand; receivers at the end of their stream, so stop the senders
// first. Flows that have not ended after grace are aborted.
func (p *Pool) Stop(ctx context.Context, grace time.Duration) ([]End, error) {
	for i := range p.Table.Len() {
		p.Table.Slot(i).Stop()
	}
	if p.spec.Engine == "null" {
		grace = 0 // its receivers see no end of a stream
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
	}
	return ends, errors.Join(errs...)
}

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
