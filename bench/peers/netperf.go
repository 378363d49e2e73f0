package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// netperf has a process for each flow. -j makes it keep latencies, two
// gettimeofday calls a transaction, as neper always does. Its percentiles are
// interpolated in decimal buckets of two digits. TCP_CRR is closed by the server
// first, so TIME_WAIT is there. It knows no segmentation offload for UDP.
func netperf(c contest) []entry {
	e := entry{
		tool: "netperf", server: "netserver -D -4 -L $TO", resident: true,
		parse: func(_, client string) (own, error) { return netperfReport(c, client) },
	}
	keys := "THROUGHPUT,P50_LATENCY,P99_LATENCY"
	test := strings.ToUpper(string(c.kind))
	switch {
	case c.kind == tcpStream:
		e.settings = fmt.Sprintf("-m %d -M %d", c.bytes, c.bytes)
		keys = "THROUGHPUT"
	case c.kind == udpStream:
		e.settings = fmt.Sprintf("-m %d -M %d -R 1", c.bytes, c.bytes)
		keys = "THROUGHPUT,LOCAL_SEND_THROUGHPUT,REMOTE_RECV_THROUGHPUT"
	case c.reset:
		return nil
	default:
		e.settings = "-r 1,1"
	}
	one := fmt.Sprintf("netperf -H $TO -4 -l $SECS -t %s -j -P 0 -- %s -k %s", test, e.settings, keys)
	if c.kind == tcpStream || c.kind == tcpRR {
		e.conns = 2 * c.flows
	}
	e.client = one
	if c.flows > 1 {
		e.settings += fmt.Sprintf(" (%d processes)", c.flows)
		e.client = fmt.Sprintf("sh -c 'for i in $(seq %d); do %s & done; wait'", c.flows, one)
		e.slack = time.Duration(c.flows) * 25 * time.Millisecond
	}
	return []entry{e}
}

// netperfReport reads the key=value lines of all processes.
func netperfReport(c contest, text string) (own, error) {
	got := map[string][]float64{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return own{}, fmt.Errorf("netperf: %s is %q", key, value)
			}
			got[key] = append(got[key], v)
		}
	}
	rates := got["THROUGHPUT"]
	if len(rates) != c.flows {
		return own{}, fmt.Errorf("netperf: %d reports of %d flows: %.300s", len(rates), c.flows, text)
	}
	var o own
	for _, r := range rates {
		o.rate += r
	}
	if c.stream() {
		o.rate *= 1e6
	}
	if sent := got["LOCAL_SEND_THROUGHPUT"]; len(sent) == 1 {
		received := got["REMOTE_RECV_THROUGHPUT"]
		o.rate, o.delivered = received[0]*1e6, received[0]/sent[0]
	}
	if p := got["P50_LATENCY"]; slices.Max(append(p, 0)) > 0 {
		o.p50 = time.Duration(median(p)) * time.Microsecond
		o.p99 = time.Duration(median(got["P99_LATENCY"])) * time.Microsecond
	}
	return o, nil
}
