package tune

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// singleTx reports whether a NIC has one transmit queue, of which the kernel tells no XPS.
func singleTx(m *Machine, nic string) bool {
	tx, err := filepath.Glob(filepath.Join(m.Root.NICDir(nic), "queues", "tx-*"))
	return err == nil && len(tx) == 1
}

// sideQueues lists a NIC's queues of one side in sysfs.
func sideQueues(side string, k func(m *Machine, nic string, q int) knob.Knob) func(*Machine, string) ([]queue, error) {
	return func(m *Machine, nic string) ([]queue, error) {
		entries, err := os.ReadDir(filepath.Join(m.Root.NICDir(nic), "queues"))
		if err != nil {
			return nil, err
		}
		var numbers []int
		for _, e := range entries {
			if rest, ok := strings.CutPrefix(e.Name(), side+"-"); ok {
				if n, err := strconv.Atoi(rest); err == nil {
					numbers = append(numbers, n)
				}
			}
		}
		slices.Sort(numbers)
		var qs []queue
		for _, n := range numbers {
			qs = append(qs, queue{k(m, nic, n)})
		}
		return qs, nil
	}
}

// napiQueues are the kernel threads of a NIC's NAPI instances, by their ids. Kernels such as
// 6.1 keep idle threads when threaded NAPI is turned off: these count for none.
func napiQueues(m *Machine, nic string) ([]queue, error) {
	if v, err := knob.ThreadedNAPI(m.Root, nic).Read(); err != nil || v == "0" {
		return nil, nil
	}
	napis, err := m.Root.NAPIs(nic)
	if err != nil {
		return nil, err
	}
	var qs []queue
	for _, n := range napis {
		if n.PID == 0 {
			continue
		}
		task, err := m.Root.Task(n.PID)
		if err != nil {
			return nil, err
		}
		qs = append(qs, queue{knob.As(knob.Thread(m.Root, task), "napi-cpus", fmt.Sprintf("%s napi-%d", nic, n.ID), "sched_setaffinity")})
	}
	return qs, nil
}

// irqQueues are a NIC's interrupts, those of one queue together, by queue. Interrupts of management
// (configuration, mailboxes) are left as they are.
func irqQueues(m *Machine, nic string) ([]queue, error) {
	named, err := irqsByQueue(m, nic)
	if err != nil {
		return nil, err
	}
	var qs []queue
	for _, irqs := range named {
		var q queue
		for _, i := range irqs {
			q = append(q, knob.IRQ(m.Root, i.IRQ))
		}
		qs = append(qs, q)
	}
	return qs, nil
}

func irqsByQueue(m *Machine, nic string) ([][]host.NICIRQ, error) {
	irqs, err := m.Root.NICIRQs(nic)
	if err != nil {
		return nil, err
	}
	byQueue := map[int][]host.NICIRQ{}
	alone := len(irqs) == 1
	for _, i := range irqs {
		// Beside interrupts of queues, the one named as the NIC tells of its link (e1000e, igb).
		if i.Action == nic && !alone {
			continue
		}
		if strings.Contains(i.Action, ", ") && alone {
			return nil, &host.NotSupportedError{
				What: "irq-affinity of " + nic, Reason: fmt.Sprintf("its interrupt %d also serves another device (%s)", i.IRQ, i.Action),
				Mend: "leave it out for this NIC, or give it a slot with interrupts of its own (MSI)",
			}
		}
		if q := queueOf(i.Action, nic); q >= 0 {
			byQueue[q] = append(byQueue[q], i)
		}
	}
	var numbers []int
	for n := range byQueue {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var out [][]host.NICIRQ
	for _, n := range numbers {
		out = append(out, byQueue[n])
	}
	return out, nil
}

// management are words in the names of interrupts that carry no packets: virtio
// (config), mlx5 (async), ena (mgmnt), ice and i40e (misc), nfp (lsc, exn), gve (mgmnt),
// vmxnet3 (event).
var management = regexp.MustCompile(`(?i)config|control|ctrl|async|mgm|misc|mbx|mailbox|admin|lsc|exn|event|ptp|fdir|asq`)

var lastNumber = regexp.MustCompile(`(\d+)\D*$`)

// queueOf reads the queue's number out of the name that a driver gave an interrupt:
// "eth1-TxRx-3", "virtio2-input.0", "mlx5_comp3@pci:0000:03:00.0". It is 0 for the only
// interrupt of a NIC ("eth1") and -1 for those of management.
func queueOf(action, nic string) int {
	if action == nic {
		return 0
	}
	name, _, _ := strings.Cut(action, "@")
	if rest, ok := strings.CutPrefix(name, nic); ok {
		name = rest
	}
	if management.MatchString(name) {
		return -1
	}
	n := lastNumber.FindStringSubmatch(name)
	if n == nil {
		return 0
	}
	q, err := strconv.Atoi(n[1])
	if err != nil {
		return 0
	}
	return q
}
