package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"time"
)

// Credentials are what a controller and its agents prove to each other that they
// belong together: a [Key] or a [Certificate].
type Credentials interface {
	// TLS is the configuration of either end. It must demand and verify the other end's.
	TLS() (*tls.Config, error)
}

// handshakeTimeout bounds what a stranger can hold open.
const handshakeTimeout = 5 * time.Second

// Dial opens a session with the agent at addr ("host:port").
func Dial(ctx context.Context, addr string, cred Credentials) (*Client, error) {
	conn, err := dial(ctx, addr, cred)
	if err != nil {
		return nil, fmt.Errorf("agent at %s: %w; %s", addr, err, unlike(err))
	}
	return NewClient(addr, conn), nil
}

func dial(ctx context.Context, addr string, cred Credentials) (*tls.Conn, error) {
	config, err := cred.TLS()
	if err != nil {
		return nil, err
	}
	if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	err = noticeVanishing(raw.(*net.TCPConn), vanishTimeout)
	if err == nil {
		err = conn.HandshakeContext(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// IsBusy reports whether a call failed because the agent serves another controller.
func IsBusy(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == codeBusy
}

// DialWait opens a session and introduces itself; while the agent is busy with another
// controller it tries again, until ctx ends. Waiting, where not nil, is told with whom
// the agent is busy, once for each. Where strangers crowd at the agent's door, and those behind our
// own address are among them, it tries again for as long as a handshake may take.
//
// A caller who needs several agents must ask for them in an order that is the same for all
// callers, say by address: two that hold one each wait for each other until their contexts end.
func DialWait(ctx context.Context, addr string, cred Credentials, i Introduction, waiting func(busy error)) (*Client, Hello, error) {
	var told string
	var last error // that told with whom the agent is busy
	for began := time.Now(); ; {
		c, hello, err := engage(ctx, addr, cred, i)
		busy := IsBusy(err)
		if busy {
			last = err
		}
		crowded := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
		switch {
		case err == nil:
			return c, hello, nil
		case !busy && last != nil && ctx.Err() != nil: // ended in the middle of a try
			return nil, Hello{}, waitedUntil(last, context.Cause(ctx))
		case busy && waiting != nil && err.Error() != told:
			told = err.Error()
			waiting(err)
		case !busy && (!crowded || time.Since(began) > handshakeTimeout):
			return nil, Hello{}, err
		}
		pause := 20 * time.Millisecond
		if busy { // not all who wait at the same time
			pause = 300*time.Millisecond + rand.N(400*time.Millisecond)
		}
		if ended := sleep(ctx, pause); ended != nil {
			return nil, Hello{}, waitedUntil(err, ended)
		}
	}
}

func waitedUntil(err, ended error) error { return fmt.Errorf("%w; waited until: %w", err, ended) }

func engage(ctx context.Context, addr string, cred Credentials, i Introduction) (*Client, Hello, error) {
	c, err := Dial(ctx, addr, cred)
	if err != nil {
		return nil, Hello{}, err
	}
	hello, err := c.Introduce(ctx, i)
	if err != nil {
		_ = c.Close() // the first fault is told
		return nil, hello, err
	}
	return c, hello, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
