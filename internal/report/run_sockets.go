package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/unit"
	"github.com/stackmeter/stackmeter/meter"
)

// fewFlows is up to how many flows each is shown in a line of its own.
const fewFlows = 8

// socketColumns are what is shown of the sending ends' sockets (TCP_INFO).
var socketColumns = []struct {
	name string
	of   func(f *meter.Flow, end socketEnd) float64
	form func(float64) string
}{
	{"received", func(f *meter.Flow, _ socketEnd) float64 { return f.BitsPerSecond }, unit.BitRate},
	{"retransmits", func(_ *meter.Flow, e socketEnd) float64 { return float64(e.Retransmits) }, whole},
	{"RTT", func(_ *meter.Flow, e socketEnd) float64 { return float64(e.RTTMicroseconds) / 1e6 }, unit.Seconds},
	{"min RTT", func(_ *meter.Flow, e socketEnd) float64 { return float64(e.MinRTTMicroseconds) / 1e6 }, unit.Seconds},
	{"cwnd", func(_ *meter.Flow, e socketEnd) float64 { return float64(e.CongestionWindow) }, whole},
	{"delivery rate", func(_ *meter.Flow, e socketEnd) float64 { return 8 * float64(e.DeliveryRate) }, unit.BitRate},
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }

// runSockets tells what TCP knew of its connections at their ends.
func (p *printer) runSockets(r *meter.Result) {
	flows := slices.DeleteFunc(slices.Clone(r.Flows), func(f meter.Flow) bool { return sendingEnd(&f).Congestion == "" })
	if len(flows) == 0 {
		return
	}
	var controls []string
	for i := range flows {
		if c := sendingEnd(&flows[i]).Congestion; !slices.Contains(controls, c) {
			controls = append(controls, c)
		}
	}
	p.runSection("TCP", fmt.Sprintf("the sending ends' TCP_INFO when the flows ended; congestion control %s", strings.Join(controls, ", ")))
	t := &table{left: 1}
	head := []string{"flow"}
	for _, c := range socketColumns {
		head = append(head, c.name)
	}
	t.head(head...)
	if len(flows) <= fewFlows {
		for i := range flows {
			f := &flows[i]
			row := []textCell{{text: fmt.Sprint(f.ID)}}
			for _, c := range socketColumns {
				row = append(row, textCell{text: c.form(c.of(f, sendingEnd(f)))})
			}
			t.row(row...)
			if f.Error != "" {
				t.row(textCell{f.Error, red})
			}
		}
	} else {
		rows := []struct {
			name string
			at   int
		}{{"least", 0}, {"median", len(flows) / 2}, {"most", len(flows) - 1}}
		columns := make([][]float64, len(socketColumns))
		for k, c := range socketColumns {
			for i := range flows {
				columns[k] = append(columns[k], c.of(&flows[i], sendingEnd(&flows[i])))
			}
			slices.Sort(columns[k])
		}
		for _, row := range rows {
			cells := []textCell{{text: row.name}}
			for k, c := range socketColumns {
				cells = append(cells, textCell{text: c.form(columns[k][row.at])})
			}
			t.row(cells...)
		}
	}
	p.table(t)
}

// runDrops tells what was dropped on the way, by the kernel's names.
func (p *printer) runDrops(r *meter.Result) {
	var lines []string
	for _, h := range r.Hosts {
		for _, name := range slices.Sorted(maps.Keys(h.Counters)) {
			if n := h.Counters[name]; n > 0 && isDrop(name) {
				lines = append(lines, fmt.Sprintf("  %s: %d", name, n))
			}
		}
	}
	var sockets uint64
	for i := range r.Flows {
		sockets += r.Flows[i].SenderEnd.Drops + r.Flows[i].ReceiverEnd.Drops
	}
	if sockets > 0 {
		lines = append(lines, fmt.Sprintf("  by the flows' sockets, their buffers being full: %d", sockets))
	}
	if len(lines) == 0 {
		return
	}
	p.runSection("Drops and errors", "the hosts' counters, "+runWindow(r))
	for i, l := range lines {
		if i == 24 {
			p.line(fmt.Sprintf("  ... and %d more, in the JSON", len(lines)-i), dim)
			break
		}
		p.wrap(l, 4, plain)
	}
}

// isDrop reports whether a counter of the kernel counts what was lost, or had to be done again.
func isDrop(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"drop", "errors", "retranssegs", "overflow", "discard", "time_squeeze"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// socketEnd is what is known of one end's socket.
type socketEnd = load.SocketInfo

// sendingEnd is the end whose congestion control matters: the one that sent more.
func sendingEnd(f *meter.Flow) socketEnd {
	if f.AtReceiver.Sent > f.AtSender.Sent {
		return f.ReceiverEnd
	}
	return f.SenderEnd
}
