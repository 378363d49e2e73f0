package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// WorkerRole is the role name under which a program must dispatch to
// [WorkerMain] (see package selfexec).
const WorkerRole = "worker"

// File descriptors that a worker inherits.
const (
	controlFD = 3
	tableFD   = 4
)

// connectTimeout bounds the making of all data connections of one worker.
const connectTimeout = 10 * time.Second

// command is a line from the pool to a worker; exactly one field is set.
type command struct {
	Prepare *prepare               `json:"prepare,omitempty"`
	Connect map[int]netip.AddrPort `json:"connect,omitempty"` // sender: flow -> destination; receiver: empty, accept
	Go      bool                   `json:"go,omitempty"`
	Abort   bool                   `json:"abort,omitempty"`
}

type prepare struct {
	Spec  Spec  `json:"spec"`
	Slots []int `json:"slots"` // slot of each flow of Spec
	Total int   `json:"total"` // slots in the table
}

// answer is a line from a worker to the pool, one for each command but Abort,
// and one with Ends when every flow has ended.
type answer struct {
	Error string         `json:"error,omitempty"`
	Ports map[int]uint16 `json:"ports,omitempty"`
	Ends  []End          `json:"ends,omitempty"`
}

// End is what is known of a flow when it has ended.
type End struct {
	ID     int        `json:"id"`
	Socket SocketInfo `json:"socket"`
	Error  string     `json:"error,omitempty"`
}

// WorkerMain is the main function of a worker process; it returns the exit
// code. The worker lives until the pool closes the control socket.
func WorkerMain() int {
	control := os.NewFile(controlFD, "control")
	w := &worker{out: json.NewEncoder(control)}
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
	mu    sync.Mutex // guards out
	out   *json.Encoder
	spec  Spec
	table *Table
	slots []*Slot
	lis   []Listener
	ends  []Transport
	start chan struct{}
	wg    sync.WaitGroup
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
		a.Ports, err = w.prepare(*c.Prepare)
	case c.Connect != nil:
		err = w.connect(c.Connect)
	case c.Go:
		w.reply(a)
		close(w.start)
		go w.finish()
		return
	case c.Abort:
		for _, t := range w.ends {
			t.Abort()
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

func (w *worker) prepare(p prepare) (map[int]uint16, error) {
	if err := p.Spec.Validate(); err != nil {
		return nil, err
	}
	table, err := mapTable(os.NewFile(tableFD, "counts"), p.Total)
	if err != nil {
		return nil, err
	}
	w.spec, w.table, w.start = p.Spec, table, make(chan struct{})
	// Whatever becomes of the pool, the load is bounded in time.
	time.AfterFunc(p.Spec.Lifetime, func() { os.Exit(3) })
	if cpu, all := sameCPU(p.Spec.Flows); all && cpu >= 0 {
		if err := pinProcess(cpu); err != nil {
			return nil, err
		}
	}
	engine := Engines[p.Spec.Engine]
	ports := map[int]uint16{}
	for i := range p.Spec.Flows {
		w.slots = append(w.slots, table.Slot(p.Slots[i]))
		if p.Spec.Role != Receive {
			continue
		}
		l, err := engine.Listen(&p.Spec.Flows[i])
		if err != nil {
			return nil, err
		}
		w.lis = append(w.lis, l)
		ports[p.Spec.Flows[i].ID] = l.Port()
	}
	return ports, nil
}

func (w *worker) connect(to map[int]netip.AddrPort) error {
	engine := Engines[w.spec.Engine]
	deadline := time.Now().Add(connectTimeout)
	for i := range w.spec.Flows {
		f := &w.spec.Flows[i]
		left := max(time.Until(deadline), time.Millisecond) // 0 would be for ever (SO_SNDTIMEO)
		var t Transport
		var err error
		if w.spec.Role == Receive {
			t, err = w.lis[i].Accept(f, left)
			w.lis[i].Close()
		} else {
			f.Remote = to[f.ID]
			t, err = engine.Dial(f, left)
		}
		if err != nil {
			return err
		}
		w.ends = append(w.ends, t)
	}
	var ready sync.WaitGroup
	errs := make([]error, len(w.ends))
	for i := range w.ends {
		ready.Add(1)
		w.wg.Add(1)
		go w.flow(i, &ready, &errs[i])
	}
	ready.Wait()
	return errors.Join(append(errs, w.stepBack())...)
}

// flow is the thread of one flow: it gets its place, waits for the start that
// is common to all, and runs the hot loop.
func (w *worker) flow(i int, ready *sync.WaitGroup, err *error) {
	defer w.wg.Done()
	runtime.LockOSThread() // never unlocked: the thread ends with the flow
	f, s, t := &w.spec.Flows[i], w.slots[i], w.ends[i]
	message := make([]byte, f.MessageBytes)
	for j := range message {
		message[j] = byte(j) // touch every page before the clock runs
	}
	*err = alone(f)
	s.setTID(unix.Gettid())
	s.setState(Connected)
	ready.Done()
	<-w.start
	s.setState(Loaded)
	workload := Workloads[w.spec.Workload]
	var errno unix.Errno
	if w.spec.Role == Send {
		errno = workload.Sender(t, message, s)
	} else {
		errno = workload.Receiver(t, message, s)
	}
	s.end(errno)
	if w.spec.Role == Send {
		t.Abort() // the receiver sees the end of the stream
	}
}

func (w *worker) finish() {
	w.wg.Wait()
	var a answer
	for i, t := range w.ends {
		e := End{ID: w.spec.Flows[i].ID, Socket: t.Info()}
		if _, errno := w.slots[i].State(); errno != 0 {
			e.Error = errno.Error()
		}
		t.Close()
		a.Ends = append(a.Ends, e)
	}
	w.reply(a)
}
