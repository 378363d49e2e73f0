package host

import (
	"errors"
	"fmt"
	"strings"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Ethtool is what a NIC answers over the ethtool ioctl. What a driver doesn't answer is
// absent, with the reason in Refused.
type Ethtool struct {
	Driver             string            `json:"driver,omitempty"`                          // as the driver calls itself
	Firmware           string            `json:"firmware,omitempty"`                        // version of the NIC's firmware
	Bus                string            `json:"bus,omitempty"`                             // address of the device, as "0000:17:00.0"
	SupportedSpeedBits int64             `json:"supported_speed_bits_per_second,omitempty"` // fastest of the supported link modes that are known here
	Rings              *Rings            `json:"rings,omitempty"`
	Channels           *Channels         `json:"channels,omitempty"`
	Coalescing         *Coalescing       `json:"coalescing,omitempty"`
	Indirection        []uint32          `json:"rss_indirection,omitempty"` // receive queue of each entry of the RSS table
	Features           map[string]bool   `json:"features,omitempty"`        // offloads that are on or can be, by the kernel's names
	Refused            map[string]string `json:"refused,omitempty"`         // what was not answered, and why
}

// Rings are the numbers of descriptors of a NIC's queues (struct ethtool_ringparam).
type Rings struct {
	Rx    uint32 `json:"rx"`
	RxMax uint32 `json:"rx_max"`
	Tx    uint32 `json:"tx"`
	TxMax uint32 `json:"tx_max"`
}

// Channels are a NIC's numbers of queues with an interrupt (struct ethtool_channels).
type Channels struct {
	Rx          uint32 `json:"rx"`
	RxMax       uint32 `json:"rx_max"`
	Tx          uint32 `json:"tx"`
	TxMax       uint32 `json:"tx_max"`
	Combined    uint32 `json:"combined"`
	CombinedMax uint32 `json:"combined_max"`
	Other       uint32 `json:"other"`
}

// Coalescing is how a NIC holds interrupts back (struct ethtool_coalesce). Drivers give 0
// for what they don't have.
type Coalescing struct {
	AdaptiveRx bool   `json:"adaptive_rx"`
	AdaptiveTx bool   `json:"adaptive_tx"`
	RxUsecs    uint32 `json:"rx_usecs"`
	RxFrames   uint32 `json:"rx_frames"`
	TxUsecs    uint32 `json:"tx_usecs"`
	TxFrames   uint32 `json:"tx_frames"`
}

// ReadEthtool asks a NIC of the calling thread's network namespace.
func ReadEthtool(name string) (*Ethtool, error) {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return nil, fmt.Errorf("ethtool: %w", err)
	}
	defer e.Close()
	a := &Ethtool{Refused: map[string]string{}}
	answered := func(what string, err error) bool {
		if err != nil {
			a.Refused[what] = refusal(err)
		}
		return err == nil
	}
	if d, err := e.DriverInfo(name); answered("driver", err) {
		a.Driver, a.Firmware, a.Bus = known(d.Driver), known(d.FwVersion), known(d.BusInfo)
	}
	if modes, err := sysx.SupportedLinkModes(name); answered("link", err) {
		a.SupportedSpeedBits = fastest(modes)
	}
	if r, err := e.GetRing(name); answered("rings", err) {
		a.Rings = &Rings{r.RxPending, r.RxMaxPending, r.TxPending, r.TxMaxPending}
	}
	if c, err := e.GetChannels(name); answered("channels", err) {
		a.Channels = &Channels{c.RxCount, c.MaxRx, c.TxCount, c.MaxTx, c.CombinedCount, c.MaxCombined, c.OtherCount}
	}
	if c, err := e.GetCoalesce(name); answered("coalescing", err) {
		a.Coalescing = &Coalescing{
			c.UseAdaptiveRxCoalesce != 0, c.UseAdaptiveTxCoalesce != 0,
			c.RxCoalesceUsecs, c.RxMaxCoalescedFrames, c.TxCoalesceUsecs, c.TxMaxCoalescedFrames,
		}
	}
	if t, err := sysx.RSSIndirection(name); answered("rss_indirection", err) {
		a.Indirection = t
	}
	if states, err := e.FeaturesWithState(name); answered("features", err) {
		a.Features = changeable(states)
	}
	return a, nil
}

// changeable are the features that are on or could be.
func changeable(states map[string]ethtool.FeatureState) map[string]bool {
	out := map[string]bool{}
	for name, s := range states {
		if s.Active || s.Available {
			out[name] = s.Active
		}
	}
	return out
}

// refusal says in few words why a question was not answered.
func refusal(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// known leaves out what drivers write where they know nothing.
func known(s string) string {
	if s = strings.TrimSpace(s); s == "N/A" {
		return ""
	}
	return s
}

// linkModes are the speeds of ranges of link modes (enum ethtool_link_mode_bit_indices);
// those between are no speeds.
var linkModes = []struct {
	first, last int
	mbit        int64
}{
	{0, 1, 10},
	{2, 3, 100},
	{4, 5, 1000},
	{12, 12, 10000},
	{15, 15, 2500},
	{17, 17, 1000},
	{18, 20, 10000},
	{21, 22, 20000},
	{23, 26, 40000},
	{27, 30, 56000},
	{31, 33, 25000},
	{34, 35, 50000},
	{36, 39, 100000},
	{40, 40, 50000},
	{41, 41, 1000},
	{42, 46, 10000},
	{47, 47, 2500},
	{48, 48, 5000},
	{52, 56, 50000},
	{57, 61, 100000},
	{62, 66, 200000},
	{67, 67, 100},
	{68, 68, 1000},
	{69, 73, 400000},
	{75, 79, 100000},
	{80, 84, 200000},
	{85, 89, 400000},
	{90, 91, 100},
	{93, 98, 800000},
}

// fastest is the highest speed in a mask of link modes, in bits per second.
func fastest(mask []uint32) int64 {
	best := int64(0)
	for _, m := range linkModes {
		for bit := m.first; bit <= m.last; bit++ {
			if bit/32 < len(mask) && mask[bit/32]&(1<<(bit%32)) != 0 {
				best = max(best, m.mbit*1_000_000)
			}
		}
	}
	return best
}
