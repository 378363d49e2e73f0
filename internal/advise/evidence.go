package advise

import (
	"math"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Evidence is what the machine showed as found: medians over trials, what a profile of one of
// them saw, and settings as read. Shares are of 1. What was not to be had is absent.
type Evidence struct {
	Trials     int     `json:"trials"`
	Throughput float64 `json:"throughput_bits_per_second"`
	Scaled     float64 `json:"throughput_scaled_to_cpu_bits_per_second,omitempty"`
	CPUs       []CPU   `json:"cpus"`
	// Strangers are processes beside the load, most CPU time first.
	Strangers []Stranger `json:"strangers,omitempty"`
	// StrangerShare is what all of them together had of one CPU: 1 is a whole one.
	StrangerShare float64   `json:"strangers_of_one_cpu"`
	NICs          []NIC     `json:"nics"`
	Flows         []Flow    `json:"flows"`
	Profile       *Profiled `json:"profile,omitempty"`
	Server        []Setting `json:"server_settings,omitempty"`
	Client        []Setting `json:"client_settings,omitempty"`
	// Arrangement is what package topo says against it, of hosts.
	Arrangement []topo.Judgement `json:"arrangement,omitempty"`
	Warnings    []string         `json:"warnings,omitempty"`
}

// CPU is how one CPU of the server spent the window.
type CPU struct {
	CPU     int     `json:"cpu"`
	Busy    float64 `json:"busy"`
	SoftIRQ float64 `json:"softirq"`
}

// Stranger is a process that is no part of the trial.
type Stranger struct {
	PID     int     `json:"pid"`
	Command string  `json:"command"`
	Share   float64 `json:"of_one_cpu"`
	CPUs    string  `json:"cpus,omitempty"` // that it may use
}

// NIC is one of the server's NICs.
type NIC struct {
	Name          string  `json:"name"`
	Throughput    float64 `json:"throughput_bits_per_second"`
	BytesPerFrame float64 `json:"bytes_per_frame,omitempty"` // received
	MTU           int     `json:"mtu,omitempty"`
	GRO           string  `json:"gro,omitempty"`
	WorkCPUs      string  `json:"receive_work_cpus,omitempty"` // of its interrupts or NAPI threads
	ReaderCPUs    string  `json:"reader_cpus,omitempty"`       // of the processes that are pinned
	// Held is how many packets the sender's queueing discipline held back in a trial (its
	// overlimits), where it is ours to read.
	Held float64 `json:"sender_overlimits_in_a_trial,omitempty"`
	// LinkBits is what its link carries each way in a second; 0: not known, or nominal as of virtual NICs.
	LinkBits float64 `json:"link_bits_per_second,omitempty"`
	// SenderNIC is the NIC at the other end, where it is ours to know.
	SenderNIC string `json:"sender_nic,omitempty"`
}

// Flow is how the sender saw a connection (TCP_INFO).
type Flow struct {
	NIC           int     `json:"nic"`
	ReceiveWindow float64 `json:"limited_by_receive_window"` // share of time
	SendBuffer    float64 `json:"limited_by_send_buffer"`
	Known         bool    `json:"limits_known"`
	ReceiveBuffer int     `json:"receive_buffer_bytes,omitempty"`
	SegmentBytes  int     `json:"segment_bytes,omitempty"`
	RTT           float64 `json:"smoothed_rtt_seconds,omitempty"`
	ReaderCPU     int     `json:"reader_cpu"` // -1: not pinned
}

// Profiled is what a profile saw; negative values were not to be had.
type Profiled struct {
	Apart           float64 `json:"bytes_across_cpus"`   // softirq and reader on different CPUs
	FramesPerPacket float64 `json:"frames_per_packet"`   // taken in for each packet handed up
	Copy            float64 `json:"copy"`                // share of busy time
	PerFrame        float64 `json:"per_frame_work"`      // the same: driver, NAPI, IP, TCP, allocation
	Locks           float64 `json:"locks"`               // the same: spinning
	ReceiveWork     []CPU   `json:"receive_work_by_cpu"` // SoftIRQ: softirq and NAPI threads together
	LockSite        string  `json:"lock_site,omitempty"`
	// Limits are what the profile could not have, and why.
	Limits []string `json:"limits,omitempty"`
}

// notProfiled says that a figure of the profile is missing, and why.
func (e *Evidence) notProfiled() string {
	if e.Profile == nil || len(e.Profile.Limits) == 0 {
		return "not profiled"
	}
	return "not profiled: " + strings.Join(e.Profile.Limits, "; ")
}

// Setting is a setting as read.
type Setting struct{ agent.Tunable }

// From adds what trials show. The first trial's shape (CPUs, flows) is that of all.
func (e *Evidence) From(trials []trial.Trial, nics []NIC) {
	e.Trials, e.NICs = len(trials), nics
	if len(trials) == 0 {
		return
	}
	over := func(of func(*trial.Trial) float64) float64 { return median(trials, of) }
	e.Throughput = over(func(t *trial.Trial) float64 { return t.ThroughputBitsPerSecond })
	e.Scaled = over(func(t *trial.Trial) float64 { return t.ScaledToCPU })
	e.StrangerShare = over(func(t *trial.Trial) float64 { return t.CPU.Groups["stranger"] / positive(t.CPU.WindowSeconds) })
	for i, c := range trials[0].CPU.PerCPU {
		e.CPUs = append(e.CPUs, CPU{
			CPU: c.CPU,
			Busy: over(func(t *trial.Trial) float64 {
				return cpuShare(t, i, func(c *trial.CPUTime) float64 { return c.User + c.System + c.SoftIRQ + c.IRQ + c.IdleBusy })
			}),
			SoftIRQ: over(func(t *trial.Trial) float64 {
				return cpuShare(t, i, func(c *trial.CPUTime) float64 { return c.SoftIRQ + c.IRQ })
			}),
		})
	}
	e.strangers(trials)
	for i := range e.NICs {
		n := &e.NICs[i]
		n.Throughput = over(func(t *trial.Trial) (sum float64) {
			for _, f := range t.Flows {
				if f.NIC == i {
					sum += f.ThroughputBitsPerSecond
				}
			}
			return sum
		})
		n.BytesPerFrame = over(func(t *trial.Trial) float64 {
			return float64(t.Counters["server."+n.Name+".rx_bytes"]) / positive(float64(t.Counters["server."+n.Name+".rx_packets"]))
		})
	}
	for i := range e.NICs {
		n := &e.NICs[i]
		n.Held = over(func(t *trial.Trial) float64 { return float64(t.Counters[heldCounter(n.SenderNIC)]) })
	}
	e.flows(trials)
}

// heldCounter is the name in records of what the sender's queueing discipline held back, ramp-up and
// end included.
func heldCounter(nic string) string { return "client." + nic + ".qdisc.overlimits" }

// strangers keeps those that are in every trial, or the most of them.
func (e *Evidence) strangers(trials []trial.Trial) {
	shares := map[int][]float64{}
	names := map[int]string{}
	for i := range trials {
		for _, s := range trials[i].CPU.Strangers {
			shares[s.PID] = append(shares[s.PID], s.Seconds/positive(trials[i].CPU.WindowSeconds))
			names[s.PID] = s.Comm
		}
	}
	for pid, v := range shares {
		for len(v) < len(trials) {
			v = append(v, 0)
		}
		if m := medianOf(v); m >= 0.01 {
			e.Strangers = append(e.Strangers, Stranger{PID: pid, Command: names[pid], Share: m})
		}
	}
	slices.SortFunc(e.Strangers, func(a, b Stranger) int {
		if a.Share != b.Share {
			return int(math.Copysign(1, b.Share-a.Share))
		}
		return a.PID - b.PID
	})
}

func cpuShare(t *trial.Trial, i int, of func(*trial.CPUTime) float64) float64 {
	if i >= len(t.CPU.PerCPU) {
		return 0
	}
	return of(&t.CPU.PerCPU[i]) / positive(t.CPU.WindowSeconds)
}

// positive keeps a division by what was not measured from being one by nothing.
func positive(v float64) float64 {
	if v > 0 {
		return v
	}
	return math.Inf(1)
}

func median(trials []trial.Trial, of func(*trial.Trial) float64) float64 {
	var v []float64
	for i := range trials {
		v = append(v, of(&trials[i]))
	}
	return medianOf(v)
}

func medianOf(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// setting is a setting of a side, nil where it can't be had.
func setting(of []Setting, name, target string) *Setting {
	for i := range of {
		if s := &of[i]; s.Setting == name && s.Target == target && s.NotSupported == "" {
			return s
		}
	}
	return nil
}

// idle is the mean share of the CPUs that was idle.
func (e *Evidence) idle() float64 {
	var sum float64
	for _, c := range e.CPUs {
		sum += max(0, 1-c.Busy)
	}
	return sum / max(1, float64(len(e.CPUs)))
}
