// Package spoil makes a rig of namespaces bad in a known way, so that what looks for faults
// can be held against one that is certainly there.
//
// It acts on the namespaces of the two agents, by their processes, before trials: what it
// plants is then the rig as found. Nothing outside of these namespaces is touched but the
// kernel threads of the rig's own NICs, and nothing outlives the rig: namespaces take their
// settings with them, and the competing process ends with whoever started it.
//
// What each way loses depends on the machine: measure it, as `stackmeter advise --spoil` does and
// as the test TestLosses does with STACKMETER_SPOIL_LOSSES=1. With two NICs on two CPUs of an AMD Zen 5 (virtual)
// throughput fell by 15 % (affinity), 44, 60, 69, 42 and 41 %, in the order of [Kinds]: the first is
// the weakest.
package spoil

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Kind is a way to spoil a rig.
type Kind struct {
	Name string
	// Words say what is planted.
	Words string
	// Removable says that a setting of package tune, or a place, mends it.
	Removable      bool
	plant, unplant func(*Rig) error
}

// Kinds are all ways, in a fixed order.
func Kinds() []Kind {
	return []Kind{
		{"affinity", "the receive work of each NIC is kept on another CPU than its reader", true, (*Rig).apart, (*Rig).together},
		{"gro-off", "GRO is off on the server's NICs", true, (*Rig).groOff, (*Rig).groOn},
		{"small-mtu", fmt.Sprintf("an MTU of %d at both ends", smallMTU), true, mtu(smallMTU), mtu(normalMTU)},
		{"small-buffer", "receive buffers of the server may not grow beyond " + smallWindow, true, window(smallWindow), (*Rig).window},
		{"rate-limit", "a rate limit (tbf) on the sender's end of the first NIC", false, (*Rig).limit, (*Rig).unlimit},
		{"competitor", "a process that is always busy on the first CPU", false, (*Rig).compete, (*Rig).rest},
	}
}

// Find looks a way up by its name.
func Find(name string) (Kind, error) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("%q is no way to spoil a rig", name)
}

// Rig is a rig of two namespaces.
type Rig struct {
	server, client int // processes that are in them
	links          []rig.Link
	cpus           []int
	busy           *exec.Cmd // the competitor, which ends when leash is closed
	leash          *os.File
	buffers        string // net.ipv4.tcp_rmem as it was
}

// Ready makes a rig one on which nothing is to be gained: the receive work of the
// server's NIC i runs in a kernel thread on the i-th of the CPUs. The processes are in the
// namespaces of the server and of the client. The caller closes it.
func Ready(server, client int, links []rig.Link, cpus []int) (*Rig, error) {
	r := &Rig{server: server, client: client, links: links, cpus: cpus}
	return r, r.groOn()
}

// Plant spoils the rig.
func (r *Rig) Plant(k Kind) error { return wrap(k, k.plant(r)) }

// Unplant mends it again.
func (r *Rig) Unplant(k Kind) error { return wrap(k, k.unplant(r)) }

func wrap(k Kind, err error) error {
	if err != nil {
		return fmt.Errorf("spoil %s: %w", k.Name, err)
	}
	return nil
}

// Close ends what Plant started.
func (r *Rig) Close() error { return r.rest() }

// in runs f in the network namespace of a process.
func in(pid int, f func(root host.Root) error) error {
	return sysx.InNetNS(fmt.Sprintf("/proc/%d/ns/net", pid), func(sysfs string) error {
		return f(host.Root{Proc: "/proc", Sys: sysfs})
	})
}

// set puts settings in force and reads them back.
func set(ks ...knob.Setting) error {
	var errs []error
	for _, s := range ks {
		if err := s.Knob.Write(s.Value); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, knob.Verify(s.Knob, s.Value))
	}
	return errors.Join(errs...)
}

// place puts the receive work of NIC i on the CPU i+shift of those in use.
func (r *Rig) place(shift int) error {
	return in(r.server, func(root host.Root) error {
		for i, l := range r.links {
			if err := set(knob.Setting{Knob: knob.ThreadedNAPI(root, l.Server.Name), Value: "1"}); err != nil {
				return err
			}
			napis, err := root.NAPIs(l.Server.Name)
			if err != nil {
				return err
			}
			for _, n := range napis {
				if n.PID == 0 {
					continue
				}
				if err := sysx.SetAffinity(n.PID, []int{r.cpus[(i+shift)%len(r.cpus)]}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (r *Rig) together() error { return r.place(0) }
func (r *Rig) apart() error    { return r.place(1) }

func (r *Rig) gro(value string) error {
	return in(r.server, func(host.Root) error {
		for _, l := range r.links {
			if err := set(knob.Setting{Knob: knob.Offload(l.Server.Name, "gro"), Value: value}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *Rig) groOff() error { return r.gro("off") }

// groOn also places the NAPI threads, which veth makes anew with GRO.
func (r *Rig) groOn() error { return errors.Join(r.gro("on"), r.together()) }

// Ethernet's MTU, and a small one: the least that IPv4 hosts must take (RFC 791).
const (
	normalMTU = 1500
	smallMTU  = 576
)

func mtu(bytes int) func(*Rig) error {
	return func(r *Rig) error {
		side := func(pid int, name func(rig.Link) string) error {
			return in(pid, func(root host.Root) error {
				for _, l := range r.links {
					if err := set(knob.Setting{Knob: knob.MTU(root, name(l)), Value: strconv.Itoa(bytes)}); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return errors.Join(
			side(r.server, func(l rig.Link) string { return l.Server.Name }),
			side(r.client, func(l rig.Link) string { return l.Client.Name }))
	}
}

// smallWindow is net.ipv4.tcp_rmem of a server whose buffers are far too small.
const smallWindow = "4096 8192 16384"

func window(value string) func(*Rig) error {
	return func(r *Rig) error {
		return in(r.server, func(root host.Root) error {
			k := knob.Sysctl(root, "net.ipv4.tcp_rmem")
			now, err := k.Read()
			if err != nil {
				return err
			}
			if r.buffers == "" {
				r.buffers = now
			}
			return set(knob.Setting{Knob: k, Value: value})
		})
	}
}

func (r *Rig) window() error { return window(r.buffers)(r) }
