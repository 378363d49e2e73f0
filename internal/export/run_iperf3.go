package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/meter"
)

// unmeasured stands where iperf3 has a number and nothing was measured.
const unmeasured = -1

// object is one of iperf3's; its keys depend on the kind of test.
type object = map[string]any

// RunIperf3 writes a run of streams as iperf3 3.12 writes a test with --json, as of the
// end that connects. See doc/run-format.md for what its keys hold here.
func RunIperf3(w io.Writer, r *meter.Result) error {
	c := &r.Config
	switch t := c.Transport(); {
	case c.Answers():
		return fmt.Errorf("format iperf3: workload %s: iperf3 has no requests and responses: choose another format", c.Workload)
	case t != load.TCP && t != load.UDP && t != load.MPTCP:
		return fmt.Errorf("format iperf3: workload %s: iperf3 knows TCP and UDP alone: choose another format", c.Workload)
	case len(r.Flows) == 0 && r.Complete: // iperf3 tells of each stream, and sums these
		return errors.New("format iperf3: a result of so many flows has no record of each: run at most 1024, or choose another format")
	}
	d := iperf3{r: r, udp: c.Transport() == load.UDP, reverse: c.Pattern() == "maerts", bidir: c.Pattern() == "bidir"}
	out := object{"start": d.start(), "intervals": d.intervals(), "end": d.end()}
	if !r.Complete {
		out["error"] = "incomplete: " + r.Error
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "\t")
	return enc.Encode(out)
}

// iperf3 makes the parts of the document.
type iperf3 struct {
	r                   *meter.Result
	udp, reverse, bidir bool
}

// way is one of the two ways of bidir, or the only one.
type way struct {
	back bool // from receiver to sender
	key  string
}

func (d *iperf3) ways() []way {
	if d.bidir {
		return []way{{}, {true, "_bidir_reverse"}}
	}
	return []way{{}}
}

// sends reports whether the end that connects sends this way.
func (d *iperf3) sends(y way) bool { return !d.reverse && !y.back }

// socket numbers streams as iperf3 does, whose descriptors begin at 5 and are even.
func (d *iperf3) socket(id int, y way) int {
	if y.back {
		id += len(d.r.Flows)
	}
	return 5 + id
}

func (d *iperf3) start() object {
	c := &d.r.Config
	connected := []object{}
	remote := ""
	for _, y := range d.ways() {
		for i := range d.r.Flows {
			f := &d.r.Flows[i]
			local, far := f.Sender, f.Receiver
			if d.reverse {
				local, far = far, local
			}
			remote = far
			connected = append(connected, object{"socket": d.socket(f.ID, y), "local_host": local, "local_port": 0, "remote_host": far, "remote_port": 0})
		}
	}
	kernel := ""
	if len(d.r.Machines) > 0 {
		kernel = d.r.Machines[0].Kernel
	}
	streams := c.Flows
	if len(d.r.Flows) > 0 {
		streams = len(d.r.Flows)
	}
	protocol, size := "TCP", c.MessageBytes
	if d.udp {
		protocol = "UDP"
		if c.SegmentBytes > 0 {
			size = c.SegmentBytes
		}
	}
	var socket load.SocketInfo
	var window load.SocketInfo
	if len(d.r.Flows) > 0 {
		socket, window = d.r.Flows[0].SenderEnd, d.r.Flows[0].ReceiverEnd
	}
	reverse := 0
	if d.reverse {
		reverse = 1
	}
	rate := int64(c.PacingBitsPerSec)
	if c.Rate > 0 {
		rate = int64(c.Rate * 8 * float64(c.MessageBytes))
	}
	s := object{
		"connected": connected, "version": "stackmeter (in the format of iperf 3.12)", "system_info": strings.TrimSpace("Linux " + kernel),
		"timestamp":     object{"time": d.r.Started.UTC().Format(http.TimeFormat), "timesecs": d.r.Started.Unix()},
		"connecting_to": object{"host": remote, "port": 0}, "cookie": "", "target_bitrate": rate,
		"sock_bufsize": c.SendBufferBytes, "sndbuf_actual": socket.SendBufferBytes, "rcvbuf_actual": window.ReceiveBufferBytes,
		"test_start": object{
			"protocol": protocol, "num_streams": streams, "blksize": size, "omit": 0,
			"duration": int64(math.Round(d.r.Seconds)), "bytes": 0, "blocks": 0, "reverse": reverse, "tos": c.TOS, "target_bitrate": rate,
		},
	}
	if !d.udp {
		s["tcp_mss_default"] = socket.MaxSegmentBytes
	}
	return s
}

// span is what a number of bytes in a time is in iperf3.
func span(socket int, from, seconds, bytes float64, sender bool) object {
	rate := 0.0
	if seconds > 0 {
		rate = 8 * bytes / seconds
	}
	o := object{"start": from, "end": from + seconds, "seconds": seconds, "bytes": int64(math.Round(bytes)), "bits_per_second": rate, "sender": sender}
	if socket > 0 {
		o["socket"] = socket
	}
	return o
}

func (d *iperf3) intervals() []object {
	out := []object{}
	for i := range d.r.Windows {
		win := &d.r.Windows[i]
		for k, v := range win.Intervals {
			streams := []object{}
			o := object{}
			for _, y := range d.ways() {
				packets := 0.0
				for _, f := range win.Flows {
					got := f.Received
					if y.back {
						got = f.Reverse
					}
					if k >= len(got) {
						continue
					}
					s := span(d.socket(f.ID, y), win.Start+v.Start, v.Seconds, float64(got[k]), d.sends(y))
					packets += d.interval(s, y, d.packets(f.ID, y, float64(got[k])))
					streams = append(streams, s)
				}
				rate := v.BitsPerSecond
				if y.back {
					rate = v.ReverseBitsPerSecond
				}
				sum := span(0, win.Start+v.Start, v.Seconds, rate*v.Seconds/8, d.sends(y))
				d.interval(sum, y, packets)
				o["sum"+y.key] = sum
			}
			o["streams"] = streams
			out = append(out, o)
		}
	}
	return out
}

// interval adds what iperf3 tells of an interval, and returns the packets.
func (d *iperf3) interval(o object, y way, packets float64) float64 {
	_, stream := o["socket"]
	o["omitted"] = false
	switch {
	case d.udp:
		o["packets"] = int64(math.Round(packets))
		if !d.sends(y) {
			o["jitter_ms"], o["lost_packets"], o["lost_percent"] = unmeasured, unmeasured, unmeasured
		}
	case d.sends(y):
		o["retransmits"] = unmeasured
		if stream {
			for _, key := range []string{"snd_cwnd", "snd_wnd", "rtt", "rttvar", "pmtu"} {
				o[key] = 0
			}
		}
	}
	return packets
}

// packets are how many datagrams of a flow so many bytes were.
func (d *iperf3) packets(id int, y way, bytes float64) float64 {
	for i := range d.r.Flows {
		f := &d.r.Flows[i]
		if f.ID != id {
			continue
		}
		in := f.AtReceiver
		if y.back {
			in = f.AtSender
		}
		if in.Received > 0 {
			return bytes * float64(in.Datagrams) / float64(in.Received)
		}
	}
	return 0
}
