package advise

import (
	"fmt"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// Thresholds of what CPUs do.
const (
	strangerShare = 0.25 // of one CPU, in the median trial
	apartShare    = 0.5  // of the bytes
	saturated     = 0.95 // of one CPU
	ofReceiving   = 0.7  // of its time, receive work
	lockShare     = 0.1  // of the busy time
	// atStake is what an arrangement costs about, where only a trial can tell: receive work on another
	// CPU than the reader, or GRO off, cost a sixth to a half on the rig.
	atStake     = 0.3
	copyShare   = 0.4
	fullFrame   = 0.6 // of the MTU
	mergedFrame = 1.2
	ethernetMTU = 1500
	moreFrames  = 0.1 // of the frames, more than Ethernet's MTU would make
)

func strangerRule() rule {
	return rule{
		NotTheStack, "not the network stack: other processes take the CPU",
		fmt.Sprintf("one process that is no part of the load had %.0f %% or more of a CPU in the median trial", 100*strangerShare),
		1, findStranger,
	}
}

func findStranger(e *Evidence) (*Cause, string) {
	if len(e.Strangers) == 0 || e.Strangers[0].Share < strangerShare {
		return nil, fmt.Sprintf("processes beside the load had %s of one CPU together", unit.Percent(e.StrangerShare))
	}
	c := &Cause{}
	var who []string
	for _, s := range e.Strangers {
		if s.Share < strangerShare {
			break
		}
		c.Weight += s.Share
		on := ""
		if s.CPUs != "" {
			on = ", which may run on CPU " + s.CPUs
		}
		who = append(who, fmt.Sprintf("%s (pid %d) took %s of a CPU%s", s.Command, s.PID, unit.Percent(s.Share), on))
		c.Why = append(c.Why, Figure{fmt.Sprintf("CPU time of %s (pid %d)", s.Command, s.PID), unit.Percent(s.Share) + " of one CPU", "CPU time by process over the trials' windows"})
	}
	c.Weight = min(1, c.Weight/max(1, float64(len(e.CPUs))))
	c.Text = strings.Join(who, "; ")
	c.Mend = "end it, or keep it off the CPUs of the NICs and their readers: taskset -cp LIST PID, or a cpuset"
	return c, ""
}

func apartRule() rule {
	return rule{
		CPUsApart, "softirq and reader on different CPUs",
		fmt.Sprintf("%.0f %% or more of the bytes were received on one CPU and read on another (profile, pass flow); without a profile: a NIC's receive work and its pinned readers share no CPU", 100*apartShare),
		1, findApart,
	}
}

func findApart(e *Evidence) (*Cause, string) {
	c := &Cause{Mend: "have each NIC's receive work on the CPU that reads it: irq-affinity or napi-cpus, and the process pinned there"}
	for _, n := range e.NICs {
		work, err := host.ParseCPUList(n.WorkCPUs)
		readers, err2 := host.ParseCPUList(n.ReaderCPUs)
		if err != nil || err2 != nil || len(work) == 0 || len(readers) == 0 || len(work.Without(readers)) < len(work) {
			continue
		}
		c.NICs = append(c.NICs, n.Name)
		c.Why = append(c.Why, Figure{"receive work of " + n.Name, "CPU " + n.WorkCPUs + ", its readers on CPU " + n.ReaderCPUs, "affinity as read"})
	}
	if p := e.Profile; p != nil && p.Apart >= 0 {
		seen := fmt.Sprintf("%s of the bytes went from one CPU's softirq to a reader on another", unit.Percent(p.Apart))
		if p.Apart < apartShare {
			return nil, seen
		}
		c.Text, c.Weight = seen, atStake*p.Apart
		c.Why = append(c.Why, Figure{"bytes read on another CPU than received", unit.Percent(p.Apart), "profile, pass flow"})
		return c, ""
	}
	if len(c.NICs) == 0 {
		return nil, "no NIC's receive work is kept from its readers' CPUs"
	}
	c.Text = fmt.Sprintf("the receive work of %s runs on other CPUs than its readers", strings.Join(c.NICs, ", "))
	c.Weight = atStake * float64(len(c.NICs)) / float64(len(e.NICs))
	return c, ""
}

func queueRule() rule {
	return rule{
		QueueSaturated, "one queue, or one CPU's receive work, is saturated",
		fmt.Sprintf("a CPU is busy for %.0f %% or more, %.0f %% of it with receive work, while all CPUs together are idle for %.0f %% or more", 100*saturated, 100*ofReceiving, 100*idleEnough),
		1, findQueue,
	}
}

func findQueue(e *Evidence) (*Cause, string) {
	receiving := map[int]float64{}
	if e.Profile != nil {
		for _, c := range e.Profile.ReceiveWork {
			receiving[c.CPU] = c.SoftIRQ
		}
	}
	most := CPU{CPU: -1}
	for _, c := range e.CPUs {
		c.SoftIRQ = max(c.SoftIRQ, receiving[c.CPU])
		if most.CPU < 0 || c.SoftIRQ > most.SoftIRQ {
			most = c
		}
	}
	seen := fmt.Sprintf("CPU %d has most receive work, %s of its time, and is busy for %s; all CPUs are idle for %s", most.CPU, unit.Percent(most.SoftIRQ), unit.Percent(most.Busy), unit.Percent(e.idle()))
	if most.Busy < saturated || most.SoftIRQ < ofReceiving*most.Busy || e.idle() < idleEnough {
		return nil, seen
	}
	return &Cause{
		Text: seen, Weight: e.idle(), Mend: "more queues (combined-channels, RSS), or packets spread in software (rps)",
		Why: []Figure{
			{fmt.Sprintf("receive work of CPU %d", most.CPU), unit.Percent(most.SoftIRQ), "softirq time, and NAPI threads in the profile"},
			{fmt.Sprintf("CPU %d busy", most.CPU), unit.Percent(most.Busy), "trials"},
			{"idle CPUs", unit.Percent(e.idle()), "trials"},
		},
	}, ""
}

func lockRule() rule {
	return rule{LockContention, "lock contention", fmt.Sprintf("%.0f %% or more of the busy time is spent spinning for locks (profile)", 100*lockShare), 1, findLock}
}

func findLock(e *Evidence) (*Cause, string) {
	if e.Profile == nil || e.Profile.Locks < 0 {
		return nil, e.notProfiled()
	}
	p := e.Profile
	seen := fmt.Sprintf("%s of the busy time is spent in locks", unit.Percent(p.Locks))
	if p.Locks < lockShare {
		return nil, seen
	}
	c := &Cause{Text: seen, Weight: p.Locks, Mend: "fewer CPUs on one queue or socket: a queue a CPU (channels, xps), a flow a CPU"}
	c.Why = []Figure{{"CPU time in locks", unit.Percent(p.Locks), "profile, samples"}}
	if p.LockSite != "" {
		c.Why = append(c.Why, Figure{"waited for longest", p.LockSite, "profile, pass lock"})
	}
	return c, ""
}

func copyRule() rule {
	return rule{
		CopyBound, "the CPU, copying",
		fmt.Sprintf("CPUs are idle for less than %.0f %% and %.0f %% or more of the busy time is the copy to and from user", 100*idleEnough, 100*copyShare),
		2, findCopy,
	}
}

func findCopy(e *Evidence) (*Cause, string) {
	if e.Profile == nil || e.Profile.Copy < 0 {
		return nil, e.notProfiled()
	}
	seen := fmt.Sprintf("%s of the busy time is copying, CPUs are idle for %s", unit.Percent(e.Profile.Copy), unit.Percent(e.idle()))
	if e.Profile.Copy < copyShare || e.idle() >= idleEnough {
		return nil, seen
	}
	return &Cause{
		Text: seen + ": the stack does little else than move the bytes", Weight: e.Profile.Copy,
		Why: []Figure{
			{"CPU time in copies", unit.Percent(e.Profile.Copy), "profile, samples"},
			{"idle CPUs", unit.Percent(e.idle()), "trials"},
		},
	}, ""
}
