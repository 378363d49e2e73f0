package knob

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/safchain/ethtool"

	"github.com/stackmeter/stackmeter/internal/host"
)

// features maps ethtool's short names to the kernel's features
// (net/ethtool/common.c, netdev_features_strings). ethtool's tso has all of tx-tcp*-segmentation: the others mean
// nothing without these two, and the kernel turns most of them off and on with them (netdev_fix_features); so
// `ethtool -k` may show tcp-segmentation-offload as on where only tx-tcp-accecn-segmentation is left.
var features = map[string][]string{
	"gro": {"rx-gro"},
	"gso": {"tx-generic-segmentation"},
	"tso": {"tx-tcp-segmentation", "tx-tcp6-segmentation"},
	"lro": {"rx-lro"},
	"rx":  {"rx-checksum"},
	"tx":  {"tx-checksum-ip-generic", "tx-checksum-ipv4", "tx-checksum-ipv6", "tx-checksum-sctp", "tx-checksum-fcoe-crc"},
	"sg":  {"tx-scatter-gather"},
}

// offload is a feature of a NIC through the ethtool ioctl.
type offload struct{ nic, feature string }

// Offload is a feature of a NIC, "on" or "off", by ethtool's short name (gro, gso,
// tso, lro, rx, tx, sg) or the kernel's long one. A short name stands for all of its
// long ones that the NIC lets change; where these differ it reads
// "tx-tcp-segmentation=on,tx-tcp6-segmentation=off". It acts in the calling thread's network namespace.
func Offload(nic, feature string) Knob { return &offload{nic, feature} }

func (o *offload) Info() Info {
	return Info{
		Kind: "offload", Key: o.nic + "/" + o.feature, Name: o.feature, Target: o.nic, Mechanism: "ethtool", InNetNS: true,
		Doc: "offload of the NIC, on or off",
	}
}

func (o *offload) Canonical(v string) (string, error) {
	v = strings.TrimSpace(v)
	if v != "on" && v != "off" && !strings.Contains(v, "=") {
		return "", fmt.Errorf("%s of %s: %q is neither on nor off", o.feature, o.nic, v)
	}
	return v, nil
}

func (o *offload) state(e *ethtool.Ethtool) (map[string]ethtool.FeatureState, error) {
	long, ok := features[o.feature]
	if !ok {
		long = []string{o.feature}
	}
	all, err := e.FeaturesWithState(o.nic)
	if err != nil {
		return nil, fmt.Errorf("offloads of %s: %w", o.nic, err)
	}
	own := map[string]ethtool.FeatureState{}
	for _, n := range long {
		if s, ok := all[n]; ok {
			own[n] = s
		}
	}
	if len(own) == 0 {
		return nil, &host.NotSupportedError{What: "offload " + o.feature + " of " + o.nic, Reason: "the kernel knows no such feature", Mend: "see 'ethtool -k " + o.nic + "'"}
	}
	return own, nil
}

func (o *offload) Read() (string, error) {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return "", err
	}
	defer e.Close()
	own, err := o.state(e)
	if err != nil {
		return "", err
	}
	return format(own), nil
}

// format leaves fixed features out unless there is no other.
func format(own map[string]ethtool.FeatureState) string {
	var each []string
	count := map[string]int{}
	for _, n := range changeable(own) {
		v := "off"
		if own[n].Active {
			v = "on"
		}
		count[v]++
		each = append(each, n+"="+v)
	}
	switch {
	case count["off"] == 0:
		return "on"
	case count["on"] == 0:
		return "off"
	}
	return strings.Join(each, ",")
}

func changeable(own map[string]ethtool.FeatureState) []string {
	var free []string
	for n, s := range own {
		if s.Available && !s.NeverChanged {
			free = append(free, n)
		}
	}
	if free == nil {
		free = slices.Collect(maps.Keys(own))
	}
	slices.Sort(free)
	return free
}

func (o *offload) Write(v string) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	own, err := o.state(e)
	if err != nil {
		return err
	}
	change := map[string]bool{}
	each := map[string]bool{}
	for part := range strings.SplitSeq(v, ",") {
		if n, state, ok := strings.Cut(part, "="); ok {
			each[n] = state == "on"
		}
	}
	for n, s := range own {
		if !s.Available || s.NeverChanged {
			continue
		}
		if want, ok := each[n]; ok {
			change[n] = want
		} else if len(each) == 0 { // what a list doesn't name stays
			change[n] = v == "on"
		}
	}
	if len(change) == 0 {
		return o.fixed()
	}
	if err := e.Change(o.nic, change); err != nil {
		return fmt.Errorf("turn %s of %s %s: %w", o.feature, o.nic, v, err)
	}
	return nil
}

func (o *offload) fixed() error {
	return &host.NotSupportedError{What: "change offload " + o.feature + " of " + o.nic, Reason: "the driver fixes it", Mend: "leave it out for this NIC"}
}

func (o *offload) writable() error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	own, err := o.state(e)
	if err != nil {
		return err
	}
	for _, s := range own {
		if s.Available && !s.NeverChanged {
			return nil
		}
	}
	return o.fixed()
}

// Command names the kernel's features: ethtool's short names stand for more of them.
func (o *offload) Command(v string) string {
	words := []string{"ethtool", "-K", shellWord(o.nic)}
	if strings.Contains(v, "=") {
		return strings.Join(append(words, strings.NewReplacer("=", " ", ",", " ").Replace(v)), " ")
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return strings.Join(append(words, o.feature, v), " ")
	}
	defer e.Close()
	own, err := o.state(e)
	if err != nil {
		return strings.Join(append(words, o.feature, v), " ")
	}
	for _, n := range changeable(own) {
		words = append(words, n, v)
	}
	return strings.Join(words, " ")
}

func openOffload(_ host.Root, key string) (Knob, error) {
	i := strings.LastIndexByte(key, '/')
	if i < 0 {
		return nil, fmt.Errorf("%q is no NIC/FEATURE", key)
	}
	return Offload(key[:i], key[i+1:]), nil
}
