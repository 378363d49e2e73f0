package knob

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/host"
)

// linkSize is a bound of the size of super-packets, as route netlink has it.
type linkSize struct {
	read func(*netlink.LinkAttrs) uint32
	set  func(netlink.Link, int) error
	doc  string
}

var linkSizes = map[string]linkSize{
	"gso-max-size":      {func(a *netlink.LinkAttrs) uint32 { return a.GSOMaxSize }, netlink.LinkSetGSOMaxSize, "largest packet handed to the NIC for segmentation, bytes (IPv6 where above 65536)"},
	"gro-max-size":      {func(a *netlink.LinkAttrs) uint32 { return a.GROMaxSize }, netlink.LinkSetGROMaxSize, "largest packet that GRO makes, bytes (IPv6 where above 65536)"},
	"gso-ipv4-max-size": {func(a *netlink.LinkAttrs) uint32 { return a.GSOIPv4MaxSize }, netlink.LinkSetGSOIPv4MaxSize, "the same of IPv4 for sending, bytes"},
	"gro-ipv4-max-size": {func(a *netlink.LinkAttrs) uint32 { return a.GROIPv4MaxSize }, netlink.LinkSetGROIPv4MaxSize, "the same of IPv4 for receiving, bytes"},
}

type linkSizeKnob struct {
	nic, name string
	size      linkSize
}

// LinkSize is gso-max-size, gro-max-size, gso-ipv4-max-size or gro-ipv4-max-size of a NIC, in
// bytes. Sizes above 65536 are BIG TCP (Linux 5.19; IPv4: 6.3). Writing one of the first two at or below
// 65536 sets the IPv4 one with it (netif_set_gso_max_size in net/core/dev.h), which a [Set] notes.
func LinkSize(nic, name string) (Knob, error) {
	s, ok := linkSizes[name]
	if !ok {
		return nil, fmt.Errorf("no size %q: known are %s", name, strings.Join(slices.Sorted(maps.Keys(linkSizes)), ", "))
	}
	return &linkSizeKnob{nic, name, s}, nil
}

func openLinkSize(_ host.Root, key string) (Knob, error) {
	nic, name, ok := strings.Cut(key, "/")
	if !ok {
		return nil, fmt.Errorf("%q is no NIC/SIZE", key)
	}
	return LinkSize(nic, name)
}

func (k *linkSizeKnob) Info() Info {
	return Info{
		Kind: "linksize", Key: k.nic + "/" + k.name, Name: k.name, Target: k.nic, Mechanism: "route netlink",
		InNetNS: true, Doc: k.size.doc,
	}
}

func (k *linkSizeKnob) Canonical(v string) (string, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 31)
	if err != nil || n == 0 {
		return "", fmt.Errorf("%s of %s: %q is not a number of bytes", k.name, k.nic, v)
	}
	return strconv.FormatUint(n, 10), nil
}

func (k *linkSizeKnob) Read() (string, error) {
	l, err := link(k.nic)
	if err != nil {
		return "", err
	}
	n := k.size.read(l.Attrs())
	if n == 0 {
		return "", &host.NotSupportedError{What: k.name + " of " + k.nic, Reason: "the kernel doesn't know it", Mend: "use Linux 5.19 or later (IPv4: 6.3)"}
	}
	return strconv.FormatUint(uint64(n), 10), nil
}

func (k *linkSizeKnob) Write(v string) error {
	l, err := link(k.nic)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return err
	}
	return k.size.set(l, n)
}

func (k *linkSizeKnob) Command(v string) string {
	return fmt.Sprintf("ip link set dev %s %s %s", shellWord(k.nic), strings.ReplaceAll(k.name, "-", "_"), v)
}

// link looks a NIC up; the error wraps fs.ErrNotExist where there is none.
func link(nic string) (netlink.Link, error) {
	l, err := netlink.LinkByName(nic)
	return l, absent(err, nic)
}

// absent makes fs.ErrNotExist of the library's error for a NIC that there is none of.
func absent(err error, nic string) error {
	if _, none := err.(netlink.LinkNotFoundError); none { //nolint:errorlint // the library returns it bare
		return fmt.Errorf("NIC %s: %w", nic, fs.ErrNotExist)
	}
	return err
}
