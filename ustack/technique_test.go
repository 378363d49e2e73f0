package ustack_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/fault"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

func with(t ustack.Techniques) change {
	return func(c *ustack.Config) { c.Techniques = t }
}

// folds sends bytes to a reader until it was waiting for some, and so verified them itself.
func folds(t *testing.T, a, b *ustack.Stack) {
	t.Helper()
	c1, c2 := connect(t, a, b, hostB)
	one := make([]byte, 1)
	for end := time.Now().Add(20 * time.Second); b.Counters()["UstackInFolded"] == 0; {
		if time.Now().After(end) {
			t.Error("no checksum was folded into a copy")
			break
		}
		read := make(chan error, 1)
		go func() {
			_, err := c2.Read(one)
			read <- err
		}()
		time.Sleep(time.Millisecond)
		if _, err := c1.Write(one); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil {
			t.Fatal(err)
		}
	}
	_, _ = c1.Close(), c2.Close()
}

// TestTechniques sends streams with each technique, over a sound link and over one that
// loses, repeats, reorders and corrupts.
func TestTechniques(t *testing.T) {
	for name, tech := range techniques {
		for link, p := range pipes {
			t.Run(name+"/"+link, func(t *testing.T) {
				a, b := pair(t, p, with(tech))
				c1, c2 := connect(t, a, b, hostB)
				exchange(t, c1, c2, 2<<20)
				_, _ = c1.Close(), c2.Close()
				if tech.Checksum == ustack.InReader && p.SegmentSize == 0 {
					folds(t, a, b)
				}
			})
		}
		t.Run(name+"/faulty", func(t *testing.T) {
			da, db, err := pipe.New(pipe.Config{})
			if err != nil {
				t.Fatal(err)
			}
			bad := fault.Config{Seed: 5, Loss: 0.01, Duplicate: 0.01, Corrupt: 0.02, Reorder: 0.02, Jitter: time.Millisecond}
			a := stack(t, fault.New(da, bad), hostA, hostA6, with(tech))
			b := stack(t, db, hostB, hostB6, with(tech))
			c1, c2 := connect(t, a, b, hostB)
			exchange(t, c1, c2, 1<<20)
			_, _ = c1.Close(), c2.Close()
			if n := b.Counters()["UstackDrop-tcp-checksum"]; n == 0 {
				t.Error("no corruption was noticed")
			}
		})
	}
}

func TestNetConnWithTechniques(t *testing.T) {
	for _, name := range []string{"in-reader", "one-by-one"} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				a, b := pair(t, pipe.Config{}, with(techniques[name]))
				x, y := connect(t, a, b, hostB)
				return x, y, func() {
					_, _ = x.Close(), y.Close()
					_, _ = a.Close(), b.Close()
				}, nil
			})
		})
	}
}

func TestTechniquesThatAreNone(t *testing.T) {
	for _, tech := range []ustack.Techniques{{Gather: -1}, {Gather: 5000}, {Copy: "no-such"}, {Copy: "sum-ref16"}, {SendCopy: "fused-go64"}, {Fused: "memmove"}, {Bunch: 5000}} {
		d, _, err := pipe.New(pipe.Config{})
		if err != nil {
			t.Fatal(err)
		}
		st, err := ustack.New(ustack.Config{Device: d, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}, Techniques: tech})
		if err == nil {
			_ = st.Close()
			t.Errorf("%+v was taken", tech)
		}
		_ = d.Close()
	}
}
