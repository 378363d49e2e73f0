package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// counters are the kernel's own, of one namespace at one time: of the NIC from
// /proc/net/dev, the others from /proc/net/snmp under the names that they have
// there.
type counters map[string]uint64

func (p *place) counters() (counters, error) {
	out := counters{}
	dev, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", p.pid()))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(dev)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), p.Name+":"); ok {
			for i, name := range []string{"rx_bytes", "rx_packets"} {
				if out[name], err = strconv.ParseUint(strings.Fields(rest)[i], 10, 64); err != nil {
					return nil, err
				}
			}
		}
	}
	snmp, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/snmp", p.pid()))
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(snmp)) {
		words := strings.Fields(line)
		if len(names) == 0 || names[0] != words[0] {
			names = words // the line of names comes before the line of values
			continue
		}
		for i, w := range words[1:] {
			// Tcp.MaxConn is -1; nothing else that is read here is negative.
			if v, err := strconv.ParseUint(w, 10, 64); err == nil {
				out[strings.TrimSuffix(words[0], ":")+"."+names[i+1]] = v
			}
		}
	}
	return out, nil
}

// Bytes of Ethernet, IPv4 and TCP (with timestamps) or UDP headers.
const (
	tcpHeaders = 14 + 20 + 32
	udpHeaders = 14 + 20 + 8
)

// carried is what the server's namespace took in between two readings: bits for
// streams, transactions for the others.
//
//   - TCP streams: bytes of the NIC less the headers of its packets, of which a
//     super-packet has one; nothing is lost on the way up.
//   - UDP streams: datagrams that were received. A socket with GRO takes many
//     in one and this counter counts one; there it is as for TCP, times the share
//     that the tool says arrived.
//   - TCP RR: segments received, one a transaction, since each acknowledges
//     the one before.
//   - TCP CRR: connections accepted.
//   - UDP RR: datagrams received.
func (c contest) carried(a, b counters, o own) float64 {
	since := func(name string) float64 { return float64(b[name] - a[name]) }
	switch {
	case c.kind == tcpStream:
		return 8 * (since("rx_bytes") - tcpHeaders*since("rx_packets"))
	case c.kind == udpStream && o.delivered > 0:
		return 8 * (since("rx_bytes") - udpHeaders*since("rx_packets")) * o.delivered
	case c.kind == udpStream:
		return 8 * since("Udp.InDatagrams") * float64(c.bytes)
	case c.kind == tcpRR:
		return since("Tcp.InSegs")
	case c.kind == tcpCRR:
		return since("Tcp.PassiveOpens")
	}
	return since("Udp.InDatagrams")
}
