package knob

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// parameter is a number in a message of the generic netlink family ethtool
// (Documentation/networking/ethtool-netlink.rst). The reply leaves out what the
// driver doesn't support, which the older ioctl shows as 0.
type parameter struct {
	get, set uint8  // messages
	attr     uint16 // value, the same in both
	max      uint16 // attribute with the largest value; 0: none
	isBool   bool   // one byte, "on" or "off"
	flag     string // of ethtool(8)
	name     string // argument of that flag
	doc      string
}

// parameters by the name that people use.
var parameters = map[string]parameter{
	"rx-ring": ring(unix.ETHTOOL_A_RINGS_RX, unix.ETHTOOL_A_RINGS_RX_MAX, "rx", "frames that each receive ring holds"),
	"tx-ring": ring(unix.ETHTOOL_A_RINGS_TX, unix.ETHTOOL_A_RINGS_TX_MAX, "tx", "frames that each transmit ring holds"),

	"rx-channels":       channel(unix.ETHTOOL_A_CHANNELS_RX_COUNT, unix.ETHTOOL_A_CHANNELS_RX_MAX, "rx", "queues that only receive"),
	"tx-channels":       channel(unix.ETHTOOL_A_CHANNELS_TX_COUNT, unix.ETHTOOL_A_CHANNELS_TX_MAX, "tx", "queues that only send"),
	"combined-channels": channel(unix.ETHTOOL_A_CHANNELS_COMBINED_COUNT, unix.ETHTOOL_A_CHANNELS_COMBINED_MAX, "combined", "queues that receive and send"),

	"adaptive-rx": adaptive(unix.ETHTOOL_A_COALESCE_USE_ADAPTIVE_RX, "adaptive-rx", "the driver chooses the receive delay by the load"),
	"adaptive-tx": adaptive(unix.ETHTOOL_A_COALESCE_USE_ADAPTIVE_TX, "adaptive-tx", "the driver chooses the transmit delay by the load"),
	"rx-usecs":    coalesce(unix.ETHTOOL_A_COALESCE_RX_USECS, "rx-usecs", "microseconds from a received frame to its interrupt"),
	"rx-frames":   coalesce(unix.ETHTOOL_A_COALESCE_RX_MAX_FRAMES, "rx-frames", "received frames that make an interrupt at once"),
	"tx-usecs":    coalesce(unix.ETHTOOL_A_COALESCE_TX_USECS, "tx-usecs", "microseconds from a sent frame to its interrupt"),
	"tx-frames":   coalesce(unix.ETHTOOL_A_COALESCE_TX_MAX_FRAMES, "tx-frames", "sent frames that make an interrupt at once"),
}

func ring(attr, maxAttr uint16, name, doc string) parameter {
	return parameter{unix.ETHTOOL_MSG_RINGS_GET, unix.ETHTOOL_MSG_RINGS_SET, attr, maxAttr, false, "-G", name, doc}
}

func channel(attr, maxAttr uint16, name, doc string) parameter {
	return parameter{unix.ETHTOOL_MSG_CHANNELS_GET, unix.ETHTOOL_MSG_CHANNELS_SET, attr, maxAttr, false, "-L", name, doc}
}

func coalesce(attr uint16, name, doc string) parameter {
	return parameter{unix.ETHTOOL_MSG_COALESCE_GET, unix.ETHTOOL_MSG_COALESCE_SET, attr, 0, false, "-C", name, doc}
}

func adaptive(attr uint16, name, doc string) parameter {
	p := coalesce(attr, name, doc)
	p.isBool = true
	return p
}

// EthtoolParameters are the names that [Ethtool] takes.
func EthtoolParameters() []string { return slices.Sorted(maps.Keys(parameters)) }

// ethtoolKnob is a parameter of a NIC.
type ethtoolKnob struct {
	nic, name string
	p         parameter
}

// Ethtool is a parameter of a NIC's rings, channels or interrupt coalescing; see
// [EthtoolParameters]. It acts in the calling thread's network namespace. What the driver
// doesn't support reads as a *host.NotSupportedError.
//
// A change of the channels makes the kernel forget steering: a [Set] notes RPS,
// XPS, RFS and interrupt affinities of the NIC first and rewrites those that differ once the channels
// are as before.
func Ethtool(nic, name string) (Knob, error) {
	p, ok := parameters[name]
	if !ok {
		return nil, fmt.Errorf("no parameter %q: known are %s", name, strings.Join(EthtoolParameters(), ", "))
	}
	return &ethtoolKnob{nic, name, p}, nil
}

func openEthtool(_ host.Root, key string) (Knob, error) {
	nic, name, ok := strings.Cut(key, "/")
	if !ok {
		return nil, fmt.Errorf("%q is no NIC/PARAMETER", key)
	}
	return Ethtool(nic, name)
}

func (k *ethtoolKnob) Info() Info {
	return Info{
		Kind: "ethtool", Key: k.nic + "/" + k.name, Name: k.name, Target: k.nic, Mechanism: "ethtool netlink",
		InNetNS: true, Doc: k.p.doc,
	}
}

func (k *ethtoolKnob) Canonical(v string) (string, error) {
	v = strings.TrimSpace(v)
	if k.p.isBool {
		if v != "on" && v != "off" {
			return "", fmt.Errorf("%s of %s: %q is neither on nor off", k.name, k.nic, v)
		}
		return v, nil
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return "", fmt.Errorf("%s of %s: %q is not a number", k.name, k.nic, v)
	}
	return strconv.FormatUint(n, 10), nil
}

func (k *ethtoolKnob) Read() (string, error) {
	v, ok, err := k.get(k.p.attr)
	if err == nil && !ok {
		err = &host.NotSupportedError{What: k.name + " of " + k.nic, Reason: "the driver doesn't have it", Mend: "leave it out for this NIC"}
	}
	if err != nil || !k.p.isBool {
		return strconv.FormatUint(uint64(v), 10), err
	}
	return map[bool]string{true: "on", false: "off"}[v != 0], nil
}

// EthtoolMax is the largest value of a parameter of [Ethtool]; 0 where the driver
// names none.
func EthtoolMax(nic, name string) (uint32, error) {
	p := parameters[name]
	if p.max == 0 {
		return 0, nil
	}
	k := &ethtoolKnob{nic, name, p}
	v, _, err := k.get(p.max)
	return v, err
}

// get reads an attribute of the reply; ok is false where it has none.
func (k *ethtoolKnob) get(attr uint16) (v uint32, ok bool, err error) {
	reply, err := k.call(k.p.get, nil)
	if err != nil {
		return 0, false, err
	}
	for _, m := range reply {
		d, err := netlink.NewAttributeDecoder(m.Data)
		if err != nil {
			return 0, false, err
		}
		for d.Next() {
			if d.Type() != attr {
				continue
			}
			if ok = true; k.p.isBool {
				v = uint32(d.Uint8())
			} else {
				v = d.Uint32()
			}
		}
		if err := d.Err(); err != nil {
			return 0, false, err
		}
	}
	return v, ok, nil
}

func (k *ethtoolKnob) Write(v string) error {
	_, err := k.call(k.p.set, func(e *netlink.AttributeEncoder) {
		if k.p.isBool {
			e.Uint8(k.p.attr, map[string]uint8{"on": 1}[v])
			return
		}
		n, _ := strconv.ParseUint(v, 10, 32) // canonical
		e.Uint32(k.p.attr, uint32(n))
	})
	return err
}

// call sends one message of the family ethtool about the NIC. The header is attribute 1 of every
// message.
func (k *ethtoolKnob) call(command uint8, add func(*netlink.AttributeEncoder)) ([]genetlink.Message, error) {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	lacks := &host.NotSupportedError{What: k.name + " of " + k.nic, Reason: "the kernel has no ethtool netlink", Mend: "use Linux 5.7 or later with CONFIG_ETHTOOL_NETLINK"}
	family, err := c.GetFamily("ethtool")
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil, lacks
		}
		return nil, err
	}
	e := netlink.NewAttributeEncoder()
	e.Nested(unix.ETHTOOL_A_RINGS_HEADER, func(h *netlink.AttributeEncoder) error {
		h.String(unix.ETHTOOL_A_HEADER_DEV_NAME, k.nic)
		return nil
	})
	if add != nil {
		add(e)
	}
	data, err := e.Encode()
	if err != nil {
		return nil, err
	}
	reply, err := c.Execute(genetlink.Message{Header: genetlink.Header{Command: command, Version: family.Version}, Data: data}, family.ID, netlink.Request|netlink.Acknowledge)
	if errors.Is(err, unix.EOPNOTSUPP) {
		lacks.Reason, lacks.Mend = "the driver doesn't have it", "leave it out for this NIC"
		return nil, lacks
	}
	return reply, err
}

func (k *ethtoolKnob) Command(v string) string {
	return fmt.Sprintf("ethtool %s %s %s %s", k.p.flag, shellWord(k.nic), k.p.name, v)
}
