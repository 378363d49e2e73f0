package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
)

// TestSinglePort runs flows over connections that another port took.
func TestSinglePort(t *testing.T) {
	for _, workload := range []string{"stream", "maerts", "rr"} {
		for _, model := range models {
			t.Run(fmt.Sprint(workload, "-", model), func(t *testing.T) {
				r := carry(t, workload, model, load.FlowSpec{Count: 3, MessageBytes: 300, SinglePort: true}, nil)
				r.agree(t)
				for _, e := range append(r.serverEnds, r.clientEnds...) {
					if e.Socket.NoDelay {
						t.Errorf("flow %d has NODELAY, which nobody asked for", e.ID)
					}
				}
			})
		}
	}
}

// TestAdopt refuses what is not the flow's, and more than there are flows.
func TestAdopt(t *testing.T) {
	f := &load.FlowSpec{ID: 3, Token: load.NewToken(), MessageBytes: 1, SinglePort: true}
	a, err := adopt(f)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	good := wire.Opening(f, 3)
	for _, b := range [][]byte{nil, good[:27], wire.Opening(f, 4), wire.Opening(&load.FlowSpec{SinglePort: true}, 3), append([]byte("X"), good[1:]...)} {
		if err := a.Adopt(pair[0], b); err == nil {
			t.Errorf("took a connection that opened with %q", b)
		}
	}
	if err := a.Adopt(pair[0], good); err != nil {
		t.Fatal(err)
	}
	if err := a.Adopt(pair[0], good); !errors.Is(err, load.ErrNotAwaited) {
		t.Errorf("a second connection of the one flow: %v", err)
	}
	b := make([]byte, 1)
	if n, err := unix.Read(pair[1], b); n != 1 || err != nil || b[0] != taken {
		t.Errorf("the client was told %v (%v)", b[:n], err)
	}
	a.Close() // and what nobody accepted
	_ = unix.SetsockoptTimeval(pair[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	if n, err := unix.Read(pair[1], b); n != 0 || err != nil {
		t.Errorf("the connection is still there: %v", err)
	}
	if _, _, err := a.Accept(load.DialOptions{Timeout: time.Millisecond}); err == nil {
		t.Error("accepted nothing")
	}
}

// FuzzPreamble reads what anybody may send.
func FuzzPreamble(f *testing.F) {
	spec := &load.FlowSpec{ID: 10, Count: 5, Token: load.Token{1, 2, 3}}
	f.Add(wire.Opening(spec, 12))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, ok := wire.Opens(spec, b)
		if !ok {
			return
		}
		if len(b) != wire.OpeningBytes || load.Token(b) != spec.Token || int(binary.BigEndian.Uint32(b[16:])) != id || id < 10 || id > 14 {
			t.Errorf("%x opens flow %d", b, id)
		}
	})
}
