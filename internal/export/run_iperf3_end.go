package export

import (
	"github.com/stackmeter/stackmeter/internal/load"
)

// ends are what a flow's two ends carried one way, and the socket that sent.
func (d *iperf3) ends(i int, y way) (out, in load.Tally, from load.SocketInfo) {
	f := &d.r.Flows[i]
	if y.back {
		return f.AtReceiver, f.AtSender, f.ReceiverEnd
	}
	return f.AtSender, f.AtReceiver, f.SenderEnd
}

func (d *iperf3) end() object {
	seconds := d.r.Seconds
	streams := []object{}
	end := object{"cpu_utilization_percent": d.cpu()}
	for _, y := range d.ways() {
		sends := d.sends(y)
		var sent, received load.Tally
		var retransmits uint64
		for i := range d.r.Flows {
			out, in, from := d.ends(i, y)
			sent.Add(out)
			received.Add(in)
			retransmits += from.Retransmits
			socket := d.socket(d.r.Flows[i].ID, y)
			if d.udp {
				s := span(socket, 0, seconds, float64(in.Received), sends)
				datagrams(s, in)
				s["out_of_order"] = in.Reordered
				streams = append(streams, object{"udp": s})
				continue
			}
			s := span(socket, 0, seconds, float64(out.Sent), sends)
			s["retransmits"] = from.Retransmits
			s["max_snd_cwnd"] = uint64(from.CongestionWindow) * uint64(from.MaxSegmentBytes)
			s["max_snd_wnd"] = 0
			for _, key := range []string{"max_rtt", "min_rtt", "mean_rtt"} {
				s[key] = from.RTTMicroseconds
			}
			streams = append(streams, object{"sender": s, "receiver": span(socket, 0, seconds, float64(in.Received), sends)})
		}
		carried, handed := float64(received.Received), float64(sent.Sent)
		if len(d.r.Flows) == 0 {
			carried, handed = d.r.BitsPerSecond*seconds/8, d.r.SentBitsPerSecond*seconds/8
		}
		to, from := span(0, 0, seconds, carried, sends), span(0, 0, seconds, handed, sends)
		if d.udp {
			sum := span(0, 0, seconds, carried, sends)
			datagrams(sum, received)
			datagrams(to, received)
			to["sender"] = false
			datagrams(from, load.Tally{Datagrams: received.Datagrams + received.Lost})
			from["sender"] = true
			end["sum"+y.key] = sum
		} else {
			from["retransmits"] = retransmits
			if len(d.r.Flows) == 0 {
				from["retransmits"] = unmeasured
			}
		}
		end["sum_sent"+y.key], end["sum_received"+y.key] = from, to
	}
	end["streams"] = streams
	if !d.udp {
		a, b := "", ""
		if len(d.r.Flows) > 0 {
			a, b = d.r.Flows[0].SenderEnd.Congestion, d.r.Flows[0].ReceiverEnd.Congestion
		}
		end["sender_tcp_congestion"], end["receiver_tcp_congestion"] = a, b
	}
	return end
}

func datagrams(o object, t load.Tally) {
	all := t.Datagrams + t.Lost
	o["jitter_ms"], o["lost_packets"], o["packets"], o["lost_percent"] = float64(t.Jitter)/1e6, t.Lost, all, 0.0
	if all > 0 {
		o["lost_percent"] = 100 * float64(t.Lost) / float64(all)
	}
}

// cpu is the CPU time of the processes of each end, in percent of one CPU.
func (d *iperf3) cpu() object {
	of := func(role string) any {
		total, known := 0.0, false
		for i := range d.r.Machines {
			at := &d.r.Machines[i].CPU
			if t, ok := at.Groups[role]; ok && at.WindowSeconds > 0 {
				total, known = total+100*t/at.WindowSeconds, true
			}
		}
		if !known {
			return unmeasured
		}
		return total
	}
	host, remote := of("sender"), of("receiver")
	if d.reverse {
		host, remote = remote, host
	}
	return object{
		"host_total": host, "host_user": unmeasured, "host_system": unmeasured,
		"remote_total": remote, "remote_user": unmeasured, "remote_system": unmeasured,
	}
}
