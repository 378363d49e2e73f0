package agent

import (
	"net"
	"testing"
)

// knock is a connection from an address that notes whether it was closed.
type knock struct {
	net.Conn
	from   string
	closed bool
}

func (k *knock) RemoteAddr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", k.from)
	if err != nil {
		panic(err)
	}
	return a
}

func (k *knock) Close() error {
	k.closed = true
	return nil
}

// TestLobbyIsFair fills the lobby from some addresses and wants the oldest of the one that
// holds the most to go, whoever comes.
func TestLobbyIsFair(t *testing.T) {
	for name, c := range map[string]struct {
		held []string // from where, repeated
		then string
		out  int // of held
	}{
		"stranger and controller":        {[]string{"192.0.2.7:1", "198.51.100.1:1", "198.51.100.1:2"}, "192.0.2.8:1", 1},
		"the stranger comes again":       {[]string{"192.0.2.7:1", "198.51.100.1:1", "198.51.100.1:2"}, "198.51.100.1:9", 1},
		"one address":                    {[]string{"192.0.2.7:1"}, "192.0.2.7:2", 0},
		"a network of IPv6 is one":       {[]string{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1"}, "[2001:db8:0:1:ffff::3]:1", 1},
		"IPv4 in IPv6 is told apart":     {[]string{"[::ffff:192.0.2.1]:1", "198.51.100.1:1", "198.51.100.1:2"}, "[::ffff:192.0.2.2]:1", 1},
		"the oldest of those that equal": {[]string{"192.0.2.7:1", "198.51.100.1:1"}, "203.0.113.1:1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var l lobby
			var in []*knock
			var guests []*guest
			for i := range lobbyRoom {
				k := &knock{from: c.held[i%len(c.held)]}
				if i >= len(c.held) && len(c.held) > 2 {
					k.from = c.held[len(c.held)-1]
				}
				in = append(in, k)
				guests = append(guests, l.enter(k))
			}
			late := &knock{from: c.then}
			g := l.enter(late)
			for i, k := range in {
				if k.closed != (i == c.out) || l.leave(guests[i]) == k.closed {
					t.Errorf("connection %d from %s: closed: %v", i, k.from, k.closed)
				}
			}
			if late.closed || !l.leave(g) {
				t.Error("the new connection was closed")
			}
			if len(l.waiting) != 0 {
				t.Errorf("%d stay after all have left", len(l.waiting))
			}
		})
	}
}
