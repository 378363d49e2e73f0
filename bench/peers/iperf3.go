package main

import (
	"encoding/json"
	"fmt"
)

// iperf3 has a thread for each flow, and no request/response. From 3.20 on
// --gsro gives UDP segmentation offload; --skip-rx-copy (MSG_TRUNC) leaves the
// copy to the receiver out, which no other tool's entry does.
func iperf3(c contest) []entry {
	if !c.stream() {
		return nil
	}
	with := func(settings string) entry {
		return entry{
			tool: "iperf3", settings: settings, server: "iperf3 -s -1",
			client: fmt.Sprintf("iperf3 -c $TO -t $SECS -J -l %d -P %d %s", c.bytes, c.flows, settings),
			parse:  func(_, client string) (own, error) { return iperf3Report(c, client) },
		}
	}
	if c.kind == udpStream {
		return []entry{with("-u -b 0 --gsro"), with("-u -b 0 --gsro --skip-rx-copy")}
	}
	e := with("")
	e.conns = c.flows + 1
	return []entry{e}
}

func iperf3Report(c contest, text string) (own, error) {
	type sum struct {
		Rate  float64 `json:"bits_per_second"`
		Bytes float64 `json:"bytes"`
	}
	var d struct {
		Error string `json:"error"`
		End   struct {
			Sent     sum `json:"sum_sent"`
			Received sum `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return own{}, fmt.Errorf("iperf3: %w in %.300s", err, text)
	}
	if d.Error != "" || d.End.Received.Rate == 0 {
		return own{}, fmt.Errorf("iperf3: %s, received %.0f bit/s", d.Error, d.End.Received.Rate)
	}
	o := own{rate: d.End.Received.Rate}
	if c.kind == udpStream {
		o.delivered = d.End.Received.Bytes / d.End.Sent.Bytes
	}
	return o, nil
}
