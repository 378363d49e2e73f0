package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// maxHandshakes is how many connections may be in their handshake at once; more
// are closed at once.
const maxHandshakes = 16

// Listener is an agent that serves controllers over the network, one session at
// a time.
type Listener struct {
	Key     Key
	Options Options
	// Log takes one line about each connection.
	Log func(format string, args ...any)

	busy sync.Mutex // held by the session that is served
}

// Serve accepts controllers until ctx ends. It owns l.
func (a *Listener) Serve(ctx context.Context, l net.Listener) error {
	config, err := a.Key.config()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	handshakes := make(chan struct{}, maxHandshakes)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				continue
			}
			a.Log("accept: %v", err)
			time.Sleep(100 * time.Millisecond) // out of descriptors: let some go
			continue
		}
		select {
		case handshakes <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		sessions.Add(1)
		go func() {
			defer sessions.Done()
			a.admit(ctx, tls.Server(conn, config), func() { <-handshakes })
		}()
	}
}

// admit lets a controller in that holds the key, when no other is being served.
func (a *Listener) admit(ctx context.Context, conn *tls.Conn, shaken func()) {
	from := conn.RemoteAddr()
	hs, cancel := context.WithTimeout(ctx, handshakeTimeout)
	err := conn.HandshakeContext(hs)
	cancel()
	shaken()
	if err != nil {
		a.Log("%v: refused: %v", from, err)
		conn.Close()
		return
	}
	if !a.busy.TryLock() {
		a.Log("%v: refused: another session is being served", from)
		refuse(conn)
		return
	}
	defer a.busy.Unlock()
	a.Log("%v: session began", from)
	err = Serve(ctx, conn, a.Options)
	a.Log("%v: session ended: %v", from, describe(err))
}

func describe(err error) string {
	if err == nil {
		return "all put back"
	}
	return err.Error()
}

// refuse answers the first call of a session that can't be had.
func refuse(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	var r request
	if readFrame(conn, &r, maxRequest) != nil {
		return
	}
	text := fmt.Sprintf("another controller is using this agent (%v): wait for it", conn.LocalAddr())
	_ = writeFrame(conn, response{Error: &Error{Code: "busy", Text: text}}, maxResponse)
}
