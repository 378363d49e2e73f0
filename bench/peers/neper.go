package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// neper runs any number of flows on each thread's epoll. Its tcp_crr ends
// connections by RST unless told otherwise (--time-wait). It knows no
// segmentation offload for UDP. Its percentiles and transactions are of whole
// intervals, so an interval is made short.
func neper(c contest) []entry {
	base := entry{
		tool:  "neper",
		conns: map[kind]int{tcpStream: c.flows + 1, tcpRR: c.flows + 1}[c.kind],
		parse: func(server, client string) (own, error) { return neperReport(c, server, client) },
	}
	with := func(settings string) entry {
		e := base
		e.settings = settings
		e.server = fmt.Sprintf("%s -l $SECS --nolog -F %d %s", c.kind, c.flows, settings)
		e.client = fmt.Sprintf("%s -c -H $TO -l $SECS --nolog -F %d %s", c.kind, c.flows, settings)
		if !c.stream() {
			e.client += " -p 50,99 -I 0.1"
		}
		return e
	}
	switch {
	case c.stream():
		return []entry{with(fmt.Sprintf("-T 1 -B %d", c.bytes))}
	case c.kind == tcpCRR && !c.reset:
		return []entry{with("-T 1 --time-wait")}
	case c.free:
		return []entry{with("-T 1"), with("-T 2"), with("-T 2 -U")}
	}
	return []entry{with("-T 1")}
}

func neperReport(c contest, server, client string) (own, error) {
	ours, theirs := neperValues(client), neperValues(server)
	if c.stream() {
		// The server's rate, in bit/s; a UDP client says nothing of what it sent.
		return own{rate: theirs["local_throughput"]}, nil
	}
	o := own{
		rate: ours["throughput"],
		p50:  time.Duration(ours["latency_p50"] * 1e9), p99: time.Duration(ours["latency_p99"] * 1e9),
	}
	if o.rate == 0 {
		return o, fmt.Errorf("neper: no throughput in its report: %.300s", client)
	}
	return o, nil
}

func neperValues(text string) map[string]float64 {
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out[key] = v
		}
	}
	return out
}
