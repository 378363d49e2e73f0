package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// kind is what a load generator is asked to do.
type kind string

const (
	tcpStream kind = "tcp_stream"
	tcpRR     kind = "tcp_rr"  // one byte each way
	tcpCRR    kind = "tcp_crr" // connect, one byte each way, close
	udpRR     kind = "udp_rr"
	udpStream kind = "udp_stream"
)

// contest is one comparison.
type contest struct {
	kind  kind
	flows int
	bytes int  // of a message or datagram; streams only
	free  bool // any CPU; otherwise client on CPU 0, server on CPU 1
	reset bool // CRR: connections end by RST and leave no TIME_WAIT
}

// contests are all of them, in the order in which they run.
var contests = func() []contest {
	var out []contest
	for _, flows := range []int{1, 4} {
		for _, bytes := range []int{1 << 10, 4 << 10, 16 << 10, 64 << 10} {
			out = append(out, contest{kind: tcpStream, flows: flows, bytes: bytes})
		}
	}
	return append(
		out,
		contest{kind: tcpRR, flows: 1},
		contest{kind: tcpRR, flows: 16},
		contest{kind: tcpRR, flows: 16, free: true},
		contest{kind: tcpRR, flows: 256},
		contest{kind: tcpRR, flows: 256, free: true},
		contest{kind: tcpCRR, flows: 1},
		contest{kind: tcpCRR, flows: 1, reset: true},
		contest{kind: udpRR, flows: 1},
		contest{kind: udpStream, flows: 1, bytes: 1472},
	)
}()

func (c contest) name() string {
	words := []string{string(c.kind), fmt.Sprint(c.flows)}
	if c.bytes > 0 {
		words = append(words, fmt.Sprint(c.bytes))
	}
	if c.kind == tcpCRR {
		words = append(words, map[bool]string{true: "reset", false: "fin"}[c.reset])
	}
	return strings.Join(append(words, map[bool]string{true: "free", false: "pinned"}[c.free]), "/")
}

// stream reports whether bits count, and not transactions.
func (c contest) stream() bool { return c.kind == tcpStream || c.kind == udpStream }

// entry is one tool with one choice of settings in a contest: how its two ends
// are started, by the shell, and how its own report is read. $TO is the server's
// address and $SECS the length of the run in whole seconds.
type entry struct {
	tool, settings string
	server, client string
	resident       bool          // the server does not end by itself
	conns          int           // connections that the client holds once all flows run; 0 if that can't be seen
	slack          time.Duration // how much longer than others it takes to start
	settle         time.Duration // how long all connections are there before flows run
	parse          func(server, client string) (own, error)
}

func (e entry) title() string { return strings.TrimSpace(e.tool + " " + e.settings) }

// own is what a tool says of its own run.
type own struct {
	rate      float64 // transactions/s, or bit/s received
	delivered float64 // UDP streams: share of what was sent that arrived
	p50, p99  time.Duration
}

// entries are those of the installed tools that can take part, stackmeter first.
func (c contest) entries() []entry {
	all := slices.Concat(stackmeter(c), netperf(c), neper(c), iperf3(c))
	return slices.DeleteFunc(all, func(e entry) bool {
		_, err := exec.LookPath(strings.Fields(e.server)[0])
		return err != nil
	})
}
