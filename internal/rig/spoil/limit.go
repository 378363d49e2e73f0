package spoil

import (
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/host"
)

// The rate limit: far below what a software NIC carries, with a burst of some milliseconds.
const (
	limitBytes = 2e9 / 8 // a second
	burstBytes = 256 << 10
	queueBytes = 1 << 20
)

func (r *Rig) bucket() (*netlink.Tbf, error) {
	l, err := netlink.LinkByName(r.links[0].Client.Name)
	if err != nil {
		return nil, err
	}
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       limitBytes, Limit: queueBytes, Buffer: netlink.Xmittime(limitBytes, burstBytes),
	}, nil
}

func (r *Rig) limit() error {
	return in(r.client, func(host.Root) error {
		q, err := r.bucket()
		if err == nil {
			err = netlink.QdiscReplace(q)
		}
		if err != nil {
			return fmt.Errorf("tbf on %s: %w (does this kernel have sch_tbf?)", r.links[0].Client.Name, err)
		}
		return nil
	})
}

func (r *Rig) unlimit() error {
	return in(r.client, func(host.Root) error {
		q, err := r.bucket()
		if err == nil {
			err = netlink.QdiscDel(q)
		}
		return err
	})
}
