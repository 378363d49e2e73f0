package knob

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// place says where a change was made such that nothing made since is taken for it. Journals
// of older versions have the inode number alone.
type place struct {
	NetNS   uint64 `json:"netns,omitempty"`        // inode of the network namespace, which a later one may have; 0: the machine
	Cookie  uint64 `json:"netns_cookie,omitempty"` // of the namespace, never given again; 0: the kernel has none (before Linux 5.14)
	IfIndex int    `json:"ifindex,omitempty"`      // of the NIC, which keeps it when it is renamed; 0: of no NIC

	renamed string // the NIC's name of today where it is another
}

// placeOf is where a knob is, in the calling thread's namespace.
func placeOf(i Info) (p place, err error) {
	if !i.InNetNS {
		return p, nil
	}
	if p.NetNS, err = sysx.NetNS(); err != nil {
		return p, err
	}
	if p.Cookie, err = sysx.NetNSCookie(); err != nil {
		return p, err
	}
	if nic := nicOf(i.Kind, i.Key); nic != "" {
		l, err := link(nic)
		switch {
		case err == nil:
			p.IfIndex = l.Attrs().Index
		case !gone(err): // a NIC of a captured tree need not be here
			return p, fmt.Errorf("NIC %s: %w", nic, err)
		}
	}
	return p, nil
}

// nicOf is the NIC with whose name a knob's key begins; "" where there is none.
func nicOf(kind, key string) string {
	switch kind {
	case "file", "cpulist", "irq", "sysctl", "thread", "cpus":
		return ""
	}
	nic, _, _ := strings.Cut(key, "/")
	return nic
}

// locate returns a key with the name that the NIC has by now. The error wraps fs.ErrNotExist
// where the calling thread's namespace is not the one of the place, or the NIC has left it.
func (p *place) locate(kind, key string) (string, error) {
	if p.Cookie != 0 {
		here, err := sysx.NetNSCookie()
		if err != nil {
			return "", err
		}
		if here != p.Cookie {
			return "", fmt.Errorf("the network namespace has ended: %w", fs.ErrNotExist)
		}
	}
	if p.IfIndex == 0 {
		return key, nil
	}
	l, err := netlink.LinkByIndex(p.IfIndex)
	if err != nil {
		return "", absent(err, fmt.Sprintf("number %d", p.IfIndex))
	}
	nic := nicOf(kind, key)
	if now := l.Attrs().Name; now != nic {
		p.renamed = now
		key = now + strings.TrimPrefix(key, nic)
	}
	return key, nil
}
