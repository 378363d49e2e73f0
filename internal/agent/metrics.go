package agent

import (
	"context"
	"errors"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/openmetrics"
)

// totals are what an agent counts of itself, guarded by the listener's mu.
type totals struct {
	sessions uint64            // begun
	refused  map[string]uint64 // by cause
	carried  load.Tally        // by sessions that are over
}

// handshakeCauses are those of connections that did not come as far as to be a session's.
var handshakeCauses = []string{causeCrowdedOut, causeSilent, causeHungUp, causeCredentials, causeHandshake}

// refuse counts and logs a connection that was refused.
func (a *Listener) refuse(cause, format string, args ...any) {
	a.mu.Lock()
	if a.totals.refused == nil {
		a.totals.refused = map[string]uint64{}
	}
	a.totals.refused[cause]++
	a.mu.Unlock()
	a.strays.say(cause, format, args...)
}

// ServeMetrics answers GET /metrics over l, which it owns, until ctx ends. It asks nobody who
// they are, and is bounded as the agent itself is: [lobbyRoom] connections, the oldest makes room.
// Version is the program's.
func (a *Listener) ServeMetrics(ctx context.Context, l net.Listener, version string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		var e openmetrics.Text
		a.expose(&e, version)
		w.Header().Set("Content-Type", openmetrics.ContentType)
		_, _ = w.Write(e.Bytes()) // who asked may be gone
	})
	const short = 5 * time.Second
	s := &http.Server{
		Handler: mux, ReadTimeout: short, WriteTimeout: short, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 8 << 10, ErrorLog: log.New(io.Discard, "", 0), // a stranger's noise
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(&crowd{Listener: l}); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// crowd is a listener of bounded room, see [lobby].
type crowd struct {
	net.Listener
	lobby lobby
}

func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := c.lobby.enter(conn)
	return &crowded{Conn: conn, leave: sync.OnceFunc(func() { c.lobby.leave(g) })}, nil
}

type crowded struct {
	net.Conn
	leave func()
}

func (c *crowded) Close() error {
	c.leave()
	return c.Conn.Close()
}

// expose writes everything that the agent tells of itself.
func (a *Listener) expose(e *openmetrics.Text, version string) {
	defer e.End()
	e.Begin("stackmeter_build", "info", "", "The program that runs.")
	e.Sample(1, "version", version, "go", runtime.Version())
	a.mu.Lock()
	defer a.mu.Unlock()
	e.Begin("stackmeter_agent_sessions", "counter", "", "Sessions that have begun.")
	e.Sample(float64(a.totals.sessions))
	e.Begin("stackmeter_agent_sessions_refused", "counter", "", "Sessions of controllers with credentials that were not let in.")
	e.Sample(float64(a.totals.refused[causeBusy]), "cause", causeBusy)
	e.Begin("stackmeter_agent_handshakes_failed", "counter", "", "Connections that were closed before they had shown credentials.")
	for _, cause := range handshakeCauses {
		e.Sample(float64(a.totals.refused[cause]), "cause", cause)
	}
	exposeLimits(e, a.Options.Limits)
	e.Begin("stackmeter_agent_sessions_in_progress", "gauge", "", "Sessions that are being served: one or none.")
	carried := a.totals.carried
	if a.serving == nil {
		e.Sample(0)
	} else {
		e.Sample(1)
		a.serving.expose(e, &carried)
	}
	exposeCarried(e, carried)
}

func exposeLimits(e *openmetrics.Text, l Limits) {
	e.Begin("stackmeter_agent_limit_flows", "gauge", "", "Flows of one load, at most.")
	e.Sample(float64(l.Flows))
	e.Begin("stackmeter_agent_limit_load_seconds", "gauge", "seconds", "Length of one load, at most.")
	e.Sample(l.Lifetime.Seconds())
	e.Begin("stackmeter_agent_limit_memory_bytes", "gauge", "bytes", "Message and socket buffers of one load, at most.")
	e.Sample(float64(l.Memory))
	rate := l.BitsPerSecond / 8
	if rate == 0 {
		rate = math.Inf(1)
	}
	e.Begin("stackmeter_agent_limit_sent_bytes_per_second", "gauge", "bytes_per_second", "What one load may send, at most.")
	e.Sample(rate)
}

// exposeCarried writes what loads have carried since the agent began.
func exposeCarried(e *openmetrics.Text, t load.Tally) {
	for _, c := range []struct {
		name, unit, help string
		value            uint64
	}{
		{"received_bytes", "bytes", "Payload received by loads.", t.Received},
		{"received_messages", "messages", "Calls that returned payload.", t.ReceivedMessages},
		{"sent_bytes", "bytes", "Payload sent by loads.", t.Sent},
		{"sent_messages", "messages", "Calls that took payload.", t.SentMessages},
		{"transactions", "transactions", "Transactions that ended.", t.Transactions},
		{"received_datagrams", "datagrams", "Datagrams received by loads.", t.Datagrams},
	} {
		e.Begin("stackmeter_load_"+c.name, "counter", c.unit, c.help)
		e.Sample(float64(c.value))
	}
}

// expose writes of the session and its load, and adds what it has carried.
func (m *monitor) expose(e *openmetrics.Text, carried *load.Tally) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.Begin("stackmeter_agent_session", "info", "", "The session that is being served.")
	e.Sample(1, "run", m.run, "from", m.from)
	e.Begin("stackmeter_agent_session_start_seconds", "gauge", "seconds", "When it began, seconds since 1970.")
	e.Sample(float64(m.since.UnixMilli()) / 1e3)
	carried.Add(m.carried)
	if m.table == nil {
		return
	}
	e.Begin("stackmeter_load", "info", "", "The load that is prepared or runs.")
	e.Sample(1, "role", string(m.spec.Role), "workload", m.spec.Workload, "engine", m.spec.Engine, "model", string(m.spec.Model))
	states := map[load.State]int{}
	var now load.Tally
	for i := range m.table.Len() {
		slot := m.table.Slot(i)
		state, _ := slot.State()
		states[state]++
		now.Add(slot.Read())
	}
	carried.Add(now)
	e.Begin("stackmeter_load_flows", "gauge", "", "Flows of the load, by state.")
	for _, s := range []load.State{load.Starting, load.Connected, load.Loaded, load.Ended} {
		e.Sample(float64(states[s]), "state", s.String())
	}
	e.Begin("stackmeter_load_lost_datagrams", "gauge", "datagrams", "Datagrams of the load that have not come; one that comes late is taken off.")
	e.Sample(float64(now.Lost))
}
