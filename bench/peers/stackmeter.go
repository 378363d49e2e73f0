package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/meter"
)

// stackmeter is an agent on the server (the program `stackmeter` in PATH) and
// package meter on the client, in this program run again as `peers meter CONFIG`.
// It measures latencies itself all the while, but not CPU time, which is measured here
// for all tools alike. Its crr ends connections by FIN, from the server.
func stackmeter(c contest) []entry {
	if c.reset {
		return nil
	}
	base := meter.Config{
		Workload: string(c.kind), Senders: []meter.Host{{}}, Receivers: []meter.Host{{Agent: "$TO:4777"}},
		Flows: c.flows, MessageBytes: c.bytes, RampUp: time.Millisecond, NoCPUTime: true,
	}
	if !c.free {
		base.SenderCPUs, base.ReceiverCPUs = []int{0}, []int{1}
	}
	with := func(settings string, set func(*meter.Config)) entry {
		config := base
		set(&config)
		e := entry{
			tool: "stackmeter", settings: settings, resident: true,
			server: "stackmeter serve --listen $TO:4777 --key-file $KEY",
			client: fmt.Sprintf("%s meter %s", os.Args[0], quote(config)),
			parse:  func(_, client string) (own, error) { return stackmeterReport(c, client) },
			conns:  1, settle: 500 * time.Millisecond,
		}
		if c.kind == tcpStream || c.kind == tcpRR {
			e.conns = c.flows + 1
		}
		return e
	}
	threads := func(n int) entry {
		return with(fmt.Sprintf("epoll, %d threads", n), func(m *meter.Config) { m.Model, m.Threads = meter.Epoll, n })
	}
	blocking := with("blocking threads", func(m *meter.Config) { m.Model = meter.Thread })
	switch {
	case c.kind == tcpStream:
		any := with("blocking threads, any receive", func(m *meter.Config) { m.Model, m.AnyReceive = meter.Thread, true })
		if c.flows > 1 {
			more := with("epoll, 1 threads, MSG_MORE", func(m *meter.Config) { m.Model, m.Threads, m.SendMethod = meter.Epoll, 1, "more" })
			bunch := with("epoll, 1 threads, MSG_MORE, woken for 256K", func(m *meter.Config) {
				m.Model, m.Threads, m.SendMethod, m.ReceiveLowWater = meter.Epoll, 1, "more", 256<<10
			})
			return []entry{blocking, any, threads(1), more, bunch}
		}
		return []entry{blocking, any}
	case c.kind == udpStream:
		gso := func(m *meter.Config) {
			m.SegmentBytes, m.MessageBytes, m.GRO = c.bytes, 65507/c.bytes*c.bytes, true
		}
		return []entry{with("GSO and GRO", gso), with("GSO and GRO, 4 a call", func(m *meter.Config) {
			gso(m)
			m.Batch, m.ReceiveBufferBytes = 4, 200<<10 // room for what one call sends
		})}
	case c.flows == 1:
		return []entry{blocking, threads(1)}
	case c.free:
		return []entry{threads(1), threads(2)}
	}
	return []entry{threads(1)}
}

// quote writes a config as a word for the shell, which fills in $TO.
func quote(config meter.Config) string {
	text, err := json.Marshal(config)
	if err != nil {
		panic(err) // plain data
	}
	return fmt.Sprintf("%q", text)
}

// runMeter is the client's side.
func runMeter(text string) error {
	var config meter.Config
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	var err error
	if config.Duration, err = time.ParseDuration(os.Getenv("SECS") + "s"); err != nil {
		return fmt.Errorf("length of the run: %w", err)
	}
	if config.Credentials, err = agent.ReadKey(os.Getenv("KEY")); err != nil {
		return err
	}
	result, err := meter.Run(context.Background(), config)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func stackmeterReport(c contest, text string) (own, error) {
	var r meter.Result
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return own{}, fmt.Errorf("stackmeter: %w in %.300s", err, text)
	}
	o := own{rate: r.TransactionsPerSecond}
	if c.stream() {
		o.rate = r.BitsPerSecond
	}
	if c.kind == udpStream {
		o.delivered = r.BitsPerSecond / r.SentBitsPerSecond
	}
	if r.Latency != nil && !c.stream() {
		o.p50, o.p99 = time.Duration(r.Latency.P50), time.Duration(r.Latency.P99)
	}
	return o, nil
}
