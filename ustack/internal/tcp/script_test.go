package tcp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// A script is a conversation with one Conn in virtual time, one line a step, in the
// manner of packetdrill. Both ends begin at sequence number 0. A line may begin with
// +N: let N milliseconds pass, timers run.
//
//	connect | accept <options> | write N | read N | close | closewrite | closeread | abort
//	< FLAGS SEQ:END ack N win N <options>     a segment arrives
//	> FLAGS SEQ:END ack N win N <options>     the next segment that was sent (ack, win: if given)
//	pathmtu SEQ N                             a router says that SEQ was longer than N passes
//	hold | release                            acknowledgements may wait, until release
//	nothing                                   nothing else was sent
//	state NAME | got N | error N | cwnd N | ended
//
// FLAGS are those of tcpdump: S F R P . (ACK) E (ECE) W (CWR) U (unexpected CE mark: CE);
// options are mss N, ws N, sackok, ts V E, sack A:B C:D.
type script struct {
	t    *testing.T
	cfg  Config
	c    *Conn
	now  int64
	out  Out
	sent []timed
	got  int
	end  bool
	hold bool
	line string
}

type timed struct {
	Send
	at int64
}

// begin is when scripts begin, so that 0 is not a time.
const begin = 1_000_000 * millisecond

func run(t *testing.T, cfg Config, text string) *Conn {
	t.Helper()
	return runFrom(t, nil, cfg, text)
}

func runFrom(t *testing.T, c *Conn, cfg Config, text string) *Conn {
	t.Helper()
	if cfg.MSS == 0 {
		cfg.MSS = 1000
	}
	if cfg.BurstMax == 0 {
		cfg.BurstMax = 1000
	}
	if cfg.ReceiveMin == 0 {
		cfg.ReceiveMin, cfg.ReceiveMax = 65535, 65535
	}
	s := &script{t: t, cfg: cfg, c: c, now: begin}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		s.line = fmt.Sprintf("line %d: %s", i+1, strings.TrimSpace(line))
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if after, ok := strings.CutPrefix(words[0], "+"); ok {
			ms, err := strconv.ParseFloat(after, 64)
			if err != nil {
				t.Fatal(s.line, err)
			}
			s.pass(s.now + int64(ms*millisecond))
			words = words[1:]
		}
		if len(words) > 0 {
			s.step(words)
		}
	}
	return s.c
}

// pass lets time pass.
func (s *script) pass(until int64) {
	for s.c != nil {
		d := s.c.Deadline()
		if d == 0 || d > until {
			break
		}
		s.now = max(s.now, d)
		s.c.Timer(s.now, &s.out)
		s.flush()
		if again := s.c.Deadline(); again != 0 && again <= s.now {
			s.t.Fatalf("%s: the deadline stays at %d ms", s.line, (again-begin)/millisecond)
		}
	}
	s.now = until
}

func (s *script) flush() {
	s.out.MayWait = s.hold
	s.c.Output(s.now, &s.out)
	for _, x := range s.out.Sends {
		s.sent = append(s.sent, timed{x, s.now})
	}
	for f := s.out.Received.Head; f != nil; f = f.Next {
		s.got += f.Len()
	}
	s.end = s.end || s.out.Events&Ended != 0
	s.out.Reset()
}

func (s *script) number(w string) int {
	n, err := strconv.Atoi(w)
	if err != nil {
		s.t.Fatal(s.line, err)
	}
	return n
}

func (s *script) equal(what string, got, want int) {
	s.t.Helper()
	if got != want {
		s.t.Fatalf("%s: %s is %d", s.line, what, got)
	}
}

func (s *script) step(w []string) {
	s.t.Helper()
	switch w[0] {
	case "connect":
		s.c = Connect(s.cfg, s.now)
	case "accept":
		seg := s.parse(append([]string{"S", "0:0", "win", "65535"}, w[1:]...))
		s.c = Accept(s.cfg, s.now, &seg)
	case "write":
		s.c.Write(s.number(w[1]))
	case "read":
		s.c.Consume(s.now, s.number(w[1]))
	case "closewrite":
		s.c.CloseWrite()
	case "closeread":
		s.c.CloseRead()
	case "close":
		s.c.Close(s.now, &s.out)
	case "abort":
		s.c.Abort(s.now, &s.out)
	case "pathmtu":
		s.c.PathMTU(s.now, uint32(s.number(w[1])), s.number(w[2]))
	case "nodelay":
		s.c.SetNoDelay(true)
	case "<":
		seg := s.parse(w[1:])
		s.c.Arrive(s.now, &seg, &s.out)
	case ">":
		s.expect(w[1:])
		return
	case "hold":
		s.hold = true
	case "release":
		s.hold = false
	case "nothing":
		if len(s.sent) > 0 {
			s.t.Fatalf("%s: sent %s", s.line, show(s.sent[0]))
		}
		return
	case "state":
		if s.c.State().String() != w[1] {
			s.t.Fatalf("%s: is %v", s.line, s.c.State())
		}
	case "got":
		s.equal("received", s.got, s.number(w[1]))
	case "error":
		s.equal("error", int(s.c.Err()), s.number(w[1]))
	case "cwnd":
		s.equal("cwnd", s.c.cc.cwnd, s.number(w[1]))
	case "ended":
		if !s.end {
			s.t.Fatalf("%s: it did not end", s.line)
		}
	default:
		s.t.Fatalf("%s: unknown step", s.line)
	}
	s.flush()
}

// parse reads a segment: FLAGS SEQ:END ack N win N <options>.
func (s *script) parse(w []string) Segment {
	seg := Segment{Window: 65535, Count: 1, Options: &wire.TCPOptions{WindowScale: -1}}
	if before, ce := strings.CutSuffix(w[0], "CE"); ce {
		seg.CE, w[0] = true, before
	}
	for _, f := range w[0] {
		i := strings.IndexRune("FSRP.UEW", f)
		if i < 0 {
			s.t.Fatalf("%s: flag %c", s.line, f)
		}
		seg.Flags |= 1 << i
	}
	a, b, _ := strings.Cut(w[1], ":")
	seg.Seq, seg.Len = uint32(s.number(a)), s.number(b)-s.number(a)
	for i := 2; i < len(w); i++ {
		next := func() int { i++; return s.number(w[i]) }
		switch strings.Trim(w[i], "<>,") {
		case "ack":
			seg.Ack = uint32(next())
		case "win":
			seg.Window = uint16(next())
		case "mss":
			seg.Options.MSS = uint16(next())
		case "ws":
			seg.Options.WindowScale = int8(next())
		case "sackok":
			seg.Options.SACKPermitted = true
		case "ts":
			seg.Options.Timestamps = true
			seg.Options.TSVal, seg.Options.TSEcr = uint32(next()), uint32(next())
		case "sack":
			for i+1 < len(w) && strings.Contains(w[i+1], ":") {
				i++
				a, b, _ := strings.Cut(w[i], ":")
				seg.Options.SACK[seg.Options.Blocks] = wire.Block{Start: uint32(s.number(a)), End: uint32(s.number(b))}
				seg.Options.Blocks++
			}
		default:
			s.t.Fatalf("%s: option %q", s.line, w[i])
		}
	}
	if seg.Len > 0 {
		f := frame.Of(make([]byte, seg.Len))
		f.Seq = seg.Seq
		seg.Data.Push(f)
	}
	return seg
}

// expect compares the next segment sent.
func (s *script) expect(w []string) {
	s.t.Helper()
	want := s.parse(w)
	if len(s.sent) == 0 {
		s.t.Fatalf("%s: nothing was sent", s.line)
	}
	got := s.sent[0]
	s.sent = s.sent[1:]
	if got.at < s.now-millisecond {
		s.t.Fatalf("%s: sent %.1f ms before", s.line, float64(s.now-got.at)/millisecond)
	}
	o, p := got.Options, want.Options
	ok := got.Flags == want.Flags && got.Seq == want.Seq && got.Len == want.Len && got.ECT == want.CE &&
		slices.Equal(o.SACK[:o.Blocks], p.SACK[:p.Blocks]) &&
		(!slices.Contains(w, "ack") || got.Ack == want.Ack) &&
		(!slices.Contains(w, "win") || got.Window == want.Window) &&
		(p.MSS == 0 || p.MSS == o.MSS) && (p.WindowScale < 0 || p.WindowScale == o.WindowScale) &&
		(!p.SACKPermitted || o.SACKPermitted) &&
		(!p.Timestamps || o.Timestamps && o.TSEcr == p.TSEcr)
	if !ok {
		s.t.Fatalf("%s: sent %s", s.line, show(got))
	}
}

func show(x timed) string {
	var flags strings.Builder
	for i, f := range "FSRP.UEW" {
		if x.Flags&(1<<i) != 0 {
			flags.WriteRune(f)
		}
	}
	o := x.Options
	return fmt.Sprintf("%s %d:%d ack %d win %d %v ect %v mss %d ws %d ts %v %d %d at %.1f ms", flags.String(), int32(x.Seq), int(int32(x.Seq))+x.Len,
		x.Ack, x.Window, o.SACK[:o.Blocks], x.ECT, o.MSS, o.WindowScale, o.Timestamps, o.TSVal, o.TSEcr, float64(x.at-begin)/millisecond)
}

func noOptions() *wire.TCPOptions { return &wire.TCPOptions{WindowScale: -1} }

// tiny is a segment of one byte in a frame of 2 KiB.
func tiny(seq uint32) Segment {
	p, err := frame.NewPool(frame.Config{FrameSize: 2048, Limit: 1, Buffers: frame.Single})
	if err != nil {
		panic(err)
	}
	f := p.One()
	f.Extend(1)
	f.Seq = seq
	s := Segment{Seq: seq, Ack: 1, Flags: wire.ACK, Window: 65535, Len: 1, Count: 1, Options: noOptions()}
	s.Data.Push(f)
	return s
}
