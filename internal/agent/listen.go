package agent

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"sync"
	"time"
)

// defaultIdle is how long a controller may make no call.
const defaultIdle = 2 * time.Minute

// Listener is an agent that serves controllers over the network, one session at
// a time. Strangers may hold [lobbyRoom] connections for [handshakeTimeout] each, no more.
type Listener struct {
	Credentials Credentials
	Options     Options // Idle 0: two minutes
	// Log takes one line about each connection, a summary where there are many.
	Log func(format string, args ...any)

	vanish time.Duration // 0: vanishTimeout
	lobby  lobby
	door   door
	strays *quota // lines about the refused
	guests *quota // lines about sessions

	mu      sync.Mutex
	serving *monitor // the session that is being served; nil: none
	totals  totals
}

// Serve accepts controllers until ctx ends. It owns l.
func (a *Listener) Serve(ctx context.Context, l net.Listener) error {
	config, err := a.Credentials.TLS()
	if err != nil {
		return err
	}
	a.door.turn = make(chan struct{}, 1)
	a.strays, a.guests = newQuota(a.Log, "refused", 20), newQuota(a.Log, "lines about sessions", 100)
	defer a.guests.end()
	defer a.strays.end()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			a.strays.say("accept", "accept: %v", err)
			time.Sleep(10 * time.Millisecond) // out of descriptors: let some go
			continue
		}
		g := a.lobby.enter(conn)
		sessions.Go(func() { a.admit(ctx, g, config) })
	}
}

// admit lets a controller in that shows its credentials, when no other is being served.
func (a *Listener) admit(ctx context.Context, g *guest, config *tls.Config) {
	from := g.conn.RemoteAddr().String()
	conn := tls.Server(g.conn, config)
	defer conn.Close()
	data, err := a.data(ctx, g)
	if err == nil && !data {
		err = a.shake(ctx, g, conn)
	}
	if err != nil {
		if a.lobby.leave(g) {
			why := refusal(err)
			a.refuse(why, "%s: refused: %s: %v", from, why, err)
		} else {
			a.refuse(causeCrowdedOut, "%s: refused: crowded out: it had not shown its credentials when newer connections came", from)
		}
		return
	}
	if data {
		a.lobby.leave(g)
		return
	}
	if name := peerName(conn.ConnectionState()); name != "" {
		from += " (" + name + ")"
	}
	m := &monitor{from: from, since: time.Now()}
	if other := a.takeTurn(ctx, m); other != nil {
		run := refuse(conn, other)
		a.lobby.leave(g)
		a.refuse(causeBusy, "%s: %s refused: busy with %s", from, sessionOf(run), other.who())
		return
	}
	a.lobby.leave(g)
	a.guests.say("began", "%s: session began", from)
	o := a.Options
	o.Idle, o.monitor = cmp.Or(o.Idle, defaultIdle), m
	err = Serve(ctx, conn, o)
	a.vacate()
	a.guests.say("ended", "%s: %s ended, %s: %s", from, sessionOf(m.run), m.ended, describe(err))
}

// shake sees the handshake through.
func (a *Listener) shake(ctx context.Context, g *guest, conn *tls.Conn) error {
	if tcp, ok := g.conn.(*net.TCPConn); ok {
		if err := noticeVanishing(tcp, cmp.Or(a.vanish, vanishTimeout)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if a.occupied() {
		if err := a.door.wait(ctx, g); err != nil {
			return err
		}
	}
	return conn.HandshakeContext(ctx)
}

// A controller waits so long for the session before it: to notice that it has ended, and to put
// the host back.
const (
	noticePatience = 50 * time.Millisecond
	endingPatience = 5 * time.Second
)

// takeTurn takes the agent for a session, or returns the one that has it. One that has lost its
// controller and is putting the host back is waited for, so that one run may follow another.
func (a *Listener) takeTurn(ctx context.Context, m *monitor) (other *monitor) {
	for began := time.Now(); ; {
		other = a.occupy(m)
		patience := noticePatience
		if other != nil && other.ending() {
			patience = endingPatience
		}
		if other == nil || time.Since(began) > patience || sleep(ctx, 5*time.Millisecond) != nil {
			return other
		}
	}
}

// occupy takes the agent for a session, or returns the one that has it.
func (a *Listener) occupy(m *monitor) (other *monitor) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.serving == nil {
		a.serving = m
		a.totals.sessions++
		return nil
	}
	return a.serving
}

func (a *Listener) occupied() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.serving != nil
}

func (a *Listener) vacate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.totals.carried.Add(a.serving.carried)
	a.serving = nil
}

func describe(err error) string {
	if err == nil {
		return "all put back"
	}
	return err.Error()
}

const codeBusy = "busy"

// maxIntroduction bounds, in bytes, the first call of a session that can't be had.
const maxIntroduction = 4 << 10

// refuse answers the first call of a session that can't be had, and returns the name of its run.
func refuse(conn net.Conn, other *monitor) (run string) {
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	var r request
	if readFrame(conn, &r, maxIntroduction) != nil {
		return ""
	}
	_ = writeFrame(conn, response{Error: &Error{Code: codeBusy, Text: "the agent is busy with " + other.who()}}, maxResponse)
	var p helloParams
	_ = json.Unmarshal(r.Params, &p) // for the log only
	return p.Run[:min(len(p.Run), maxRunName)]
}
