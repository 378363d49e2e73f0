package knob

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// qdiscMajors mark the queueing disciplines that a knob made, all with the
// kernel's default parameters: only those can be put back exactly. There are two, as the kernel
// takes a replacement under the same handle for a change of what is there, and refuses
// another kind (tc_modify_qdisc in net/sched/sch_api.c).
var qdiscMajors = [2]uint16{0x5ac0, 0x5ac1}

// defaultQdisc is what the kernel attaches by itself: net.core.default_qdisc, below mq where the NIC
// has several queues; noqueue for virtual NICs.
const defaultQdisc = "default"

// byHand follows the kind of a queueing discipline that somebody else made.
const byHand = " by hand"

type qdisc struct{ nic string }

// Qdisc is the root queueing discipline of a NIC: "default" for what the kernel
// attaches by itself, or a kind with the kernel's default parameters ("fq", "fq_codel",
// "pfifo"). One that somebody else made reads "KIND by hand" and is never replaced, as its
// parameters, classes and filters could not be put back.
func Qdisc(nic string) Knob { return &qdisc{nic} }

func (q *qdisc) Info() Info {
	return Info{
		Kind: "qdisc", Key: q.nic, Name: "qdisc", Target: q.nic, Mechanism: "route netlink", InNetNS: true,
		Doc: "root queueing discipline of the NIC",
	}
}

var qdiscKind = regexp.MustCompile(`^[a-z][a-z0-9_]{0,14}( by hand)?$`)

func (q *qdisc) Canonical(v string) (string, error) {
	v = strings.TrimSpace(v)
	if !qdiscKind.MatchString(v) {
		return "", fmt.Errorf("qdisc of %s: %q is no kind of queueing discipline (default, fq, fq_codel, ...)", q.nic, v)
	}
	return v, nil
}

func (q *qdisc) Read() (string, error) {
	kind, _, err := q.root()
	return kind, err
}

// root returns the value in force and, where a knob made it, the major of its handle.
func (q *qdisc) root() (kind string, major uint16, err error) {
	l, err := link(q.nic)
	if err != nil {
		return "", 0, err
	}
	all, err := netlink.QdiscList(l)
	if err != nil {
		return "", 0, fmt.Errorf("qdisc of %s: %w", q.nic, err)
	}
	for _, d := range all {
		a := d.Attrs()
		if a.Parent != netlink.HANDLE_ROOT || a.Handle == netlink.HANDLE_NONE {
			continue
		}
		for _, m := range qdiscMajors {
			if a.Handle == netlink.MakeHandle(m, 0) {
				return d.Type(), m, nil
			}
		}
		return d.Type() + byHand, 0, nil
	}
	return defaultQdisc, 0, nil
}

func (q *qdisc) writable() error {
	now, err := q.Read()
	if err != nil {
		return err
	}
	return q.ours(now)
}

// ours refuses to replace what somebody else made.
func (q *qdisc) ours(now string) error {
	kind, foreign := strings.CutSuffix(now, byHand)
	if !foreign {
		return nil
	}
	return &host.NotSupportedError{
		What: "replace the qdisc " + kind + " of " + q.nic, Reason: "somebody made it by hand, and its parameters could not be put back",
		Mend: "remove it first: tc qdisc del dev " + q.nic + " root",
	}
}

func (q *qdisc) Write(v string) error {
	now, major, err := q.root()
	if err != nil || now == v {
		return err
	}
	if err := q.ours(now); err != nil {
		return err
	}
	l, err := link(q.nic)
	if err != nil {
		return err
	}
	attrs := netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(major, 0), Parent: netlink.HANDLE_ROOT}
	if v == defaultQdisc {
		return netlink.QdiscDel(&netlink.GenericQdisc{QdiscAttrs: attrs, QdiscType: now})
	}
	if strings.HasSuffix(v, byHand) {
		return &host.NotSupportedError{What: "set the qdisc of " + q.nic + " to " + v, Reason: "its parameters are not known", Mend: "use tc"}
	}
	other := qdiscMajors[0]
	if major == other {
		other = qdiscMajors[1]
	}
	attrs.Handle = netlink.MakeHandle(other, 0)
	err = netlink.QdiscReplace(&netlink.GenericQdisc{QdiscAttrs: attrs, QdiscType: v})
	if errors.Is(err, unix.ENOENT) {
		return &host.NotSupportedError{What: "qdisc " + v, Reason: "this kernel has none of that kind", Mend: "build or load the module sch_" + v}
	}
	return err
}

func (q *qdisc) Command(v string) string {
	if v == defaultQdisc {
		return fmt.Sprintf("tc qdisc del dev %s root 2>/dev/null || true", shellWord(q.nic))
	}
	replace := func(major uint16) string {
		return fmt.Sprintf("tc qdisc replace dev %s root handle %x: %s", shellWord(q.nic), major, v)
	}
	return replace(qdiscMajors[0]) + " 2>/dev/null || " + replace(qdiscMajors[1])
}
