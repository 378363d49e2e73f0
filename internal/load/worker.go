package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// WorkerRole is the role name under which a program must dispatch to
// [WorkerMain] (see package selfexec).
const WorkerRole = "worker"

// File descriptors that a worker inherits.
const (
	controlFD  = 3
	tableFD    = 4
	handoverFD = 5 // of servers with a single port
)

// connectTimeout bounds the making of all data connections of one worker.
const connectTimeout = 10 * time.Second

// command is a line from the pool to a worker; exactly one field is set.
type command struct {
	Prepare *prepare       `json:"prepare,omitempty"`
	Connect map[int]string `json:"connect,omitempty"` // client: spec's ID -> the server's address; server: names no flow, accept
	Go      *start         `json:"go,omitempty"`
	Abort   bool           `json:"abort,omitempty"`
}

type prepare struct {
	Spec  Spec  `json:"spec"`
	Slots []int `json:"slots"` // slot of the first flow of each of Spec's flows
	Hists []int `json:"hists"` // histogram of each thread; empty: none is kept
	// Thread is the number of the first of its threads among those of the host.
	Thread int `json:"thread"`
	Flows  int `json:"flows"` // slots in the table
	Total  int `json:"total"` // histograms in the table
}

// start is when all flows begin.
type start struct {
	At int64 `json:"at"` // CLOCK_MONOTONIC nanoseconds; 0, or passed: at once
}

// answer is a line from a worker to the pool, one for each command but Abort,
// and one with Ends when every flow has ended.
type answer struct {
	Error     string         `json:"error,omitempty"`
	Addresses map[int]string `json:"addresses,omitempty"`
	Ends      []End          `json:"ends,omitempty"`
	Stacks    []StackInfo    `json:"stacks,omitempty"` // with Ends
}

// End is what is known of a flow when it has ended.
type End struct {
	ID     int        `json:"id"`
	Socket SocketInfo `json:"socket"`
	Error  string     `json:"error,omitempty"`
}

// WorkerMain is the main function of a worker process that knows some engines by
// name; it returns the exit code. The worker lives until the pool closes the control socket.
func WorkerMain(engines map[string]Engine) int {
	control := os.NewFile(controlFD, "control")
	w := &worker{engines: engines, out: json.NewEncoder(control)}
	go func() {
		// Read in a goroutine of its own, so that the pool's death ends the
		// worker in whatever phase it is.
		dec := json.NewDecoder(control)
		for {
			var c command
			if err := dec.Decode(&c); err != nil {
				if errors.Is(err, io.EOF) {
					os.Exit(0)
				}
				fmt.Fprintln(os.Stderr, "worker: control:", err)
				os.Exit(1)
			}
			w.handle(c)
		}
	}()
	select {}
}

type worker struct {
	engines map[string]Engine
	mu      sync.Mutex // guards out
	out     *json.Encoder
	prepare prepare
	engine  Engine
	stacked Stacked // the same, where it is a resident's; else nil
	table   *Table
	lis     []Listener
	flows   []*Flow
	start   chan struct{}
	at      int64 // of the start
	wg      sync.WaitGroup
	ended   sync.Once // the first thread has ended its flows
}

func (w *worker) reply(a answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.out.Encode(a); err != nil {
		os.Exit(1) // the pool is gone
	}
}

func (w *worker) handle(c command) {
	var a answer
	var err error
	switch {
	case c.Prepare != nil:
		a.Addresses, err = w.ready(*c.Prepare)
	case c.Connect != nil:
		err = w.connect(c.Connect)
	case c.Go != nil:
		w.reply(a)
		w.at = c.Go.At
		close(w.start)
		go w.finish()
		return
	case c.Abort:
		for _, f := range w.flows {
			f.Abort()
		}
		return
	default:
		err = errors.New("empty command")
	}
	if err != nil {
		a.Error = err.Error()
	}
	w.reply(a)
}

// ready validates and, on the server, listens.
func (w *worker) ready(p prepare) (map[int]string, error) {
	if err := p.Spec.Validate(); err != nil {
		return nil, err
	}
	engine, ok := w.engines[p.Spec.Engine]
	if !ok {
		return nil, fmt.Errorf("engine %q: unknown, want one of %v", p.Spec.Engine, names(w.engines))
	}
	table, err := mapTable(os.NewFile(tableFD, "counts"), p.Flows, p.Total)
	if err != nil {
		return nil, err
	}
	w.prepare, w.engine, w.table, w.start = p, engine, table, make(chan struct{})
	// Whatever becomes of the pool, the load is bounded in time.
	time.AfterFunc(p.Spec.Lifetime, func() { os.Exit(3) })
	if r, ok := engine.(Resident); ok {
		if err := w.settle(r); err != nil {
			return nil, err
		}
	} else if err := w.take(); err != nil {
		return nil, err
	}
	addresses := map[int]string{}
	if p.Spec.Role == Client {
		return nil, nil
	}
	for i := range p.Spec.Flows {
		l, err := w.engine.Listen(&p.Spec.Flows[i])
		if err != nil {
			return nil, err
		}
		w.lis = append(w.lis, l)
		addresses[p.Spec.Flows[i].ID] = l.Address()
	}
	if singlePort(&p.Spec) {
		go w.adopt()
	}
	return addresses, nil
}

// take takes CPUs and descriptors for flows that have threads.
func (w *worker) take() error {
	spec := &w.prepare.Spec
	if cpu, all := sameCPU(spec); all && cpu >= 0 {
		if err := pinProcess([]int{cpu}); err != nil {
			return err
		}
	}
	return allowFiles(spec.FlowCount())
}

// settle readies a resident engine on its CPUs.
func (w *worker) settle(r Resident) error {
	spec := &w.prepare.Spec
	if cpus := spec.ProcessCPUs(); len(cpus) > 0 {
		if err := pinProcess(cpus); err != nil {
			return err
		}
	}
	stacked, err := r.Begin(spec)
	if err != nil {
		return err
	}
	w.engine, w.stacked = stacked, stacked
	return nil
}

// connect makes the data connections of all flows and starts their threads.
func (w *worker) connect(to map[int]string) error {
	spec := &w.prepare.Spec
	deadline := time.Now().Add(connectTimeout + time.Duration(spec.FlowCount())*time.Millisecond)
	o := DialOptions{Polled: polls(spec), Numbered: !answers(spec), Reopens: spec.Workload == "crr"}
	for i := range spec.Flows {
		f := &spec.Flows[i]
		got := make([]Transport, f.Flows())
		for k := range got {
			o.Timeout = max(time.Until(deadline), time.Millisecond) // 0 would be for ever (SO_SNDTIMEO)
			id, t := f.ID+k, Transport(nil)
			var err error
			if spec.Role == Server {
				id, t, err = w.lis[i].Accept(o)
			} else {
				t, err = w.engine.Dial(f, id, to[f.ID], o)
			}
			if err != nil {
				return fmt.Errorf("flow %d: %w", id, err)
			}
			if id < f.ID || id >= f.ID+len(got) || got[id-f.ID] != nil {
				t.Close()
				return fmt.Errorf("a data connection says that it is flow %d, which is not awaited", id)
			}
			got[id-f.ID] = t
		}
		if !o.Reopens && w.lis != nil {
			w.lis[i].Close()
		}
		for k, t := range got {
			w.flows = append(w.flows, newFlow(f, f.ID+k, spec, t, w.table.Slot(w.prepare.Slots[i]+k)))
		}
	}
	return w.thread()
}

func (w *worker) finish() {
	w.wg.Wait()
	if w.prepare.Spec.Workload == "crr" { // the others' are closed once all have connected
		for _, l := range w.lis {
			l.Close()
		}
	}
	var a answer
	for _, f := range w.flows {
		e := End{ID: f.id, Socket: f.Info()}
		if _, errno := f.State(); errno != 0 {
			e.Error = errno.Error()
		}
		f.Close()
		a.Ends = append(a.Ends, e)
	}
	if w.stacked != nil {
		a.Stacks = w.stacked.Stacks()
	}
	w.reply(a)
}
