package advise

import (
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/experiment"
)

// Remedy is a change that may gain.
type Remedy struct {
	Name   string            `json:"name"`   // "gro=on"
	Doc    string            `json:"doc"`    // what it does
	Levels experiment.Levels `json:"levels"` // of the configuration, where they differ from the base
	For    []string          `json:"for,omitempty"`
	// Commands apply it for good: of stackmeter, or another's where it has none.
	Commands []string `json:"commands"`
	// Settings are its values of package tune, for all NICs in use; none where it is something else.
	Settings []Value `json:"settings,omitempty"`
	Peer     string  `json:"peer,omitempty"` // what has to be done at the other end as well
}

// expected reports whether a cause that was named leads to expect that it gains.
func (r Remedy) expected() bool { return len(r.For) > 0 }

// Value is a setting of this side with a value.
type Value struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
}

// Place says on which rig the remedies are to be found.
type Place struct {
	Base  experiment.Levels
	NICs  []string // of the server
	Hosts bool     // real hosts: the peer's settings are not ours
	Jumbo bool     // MTUs above 1500 may be tried
}

// links are the settings that mend a cause, in the order in which they are to be tried.
// Those of the client begin with "client.".
var links = map[string][]string{
	CPUsApart:      {"placement", "napi-cpus", "irq-affinity", "rfs"},
	GROOff:         {"gro"},
	SmallMTU:       {"mtu"},
	ReceiveWindow:  {"net.ipv4.tcp_rmem", "net.ipv4.tcp_window_scaling", "net.ipv4.tcp_moderate_rcvbuf"},
	SenderLimit:    {"client.net.ipv4.tcp_wmem", "net.ipv4.tcp_wmem"},
	LinkLimit:      {"client.qdisc"},
	QueueSaturated: {"combined-channels", "rps", "irq-affinity", "napi-cpus"},
	LockContention: {"combined-channels", "xps"},
	CopyBound:      {},
}

// companions are settings that do nothing without another.
var companions = map[string][]Value{
	"rfs":                  {{"net.core.rps_sock_flow_entries", "32768"}},
	"napi-defer-hard-irqs": {{"gro-flush-timeout", "20000"}},
}

// beside are settings that can't bear on streams of TCP, or only together with another that
// is tried, or that would make the rig's frames unreal.
var beside = map[string]string{
	"net.core.rps_sock_flow_entries":     "tried together with rfs",
	"gro-flush-timeout":                  "tried together with napi-defer-hard-irqs",
	"net.core.somaxconn":                 "bears on new connections only",
	"net.core.rmem_max":                  "bears on programs that ask for buffers only",
	"net.core.wmem_max":                  "bears on programs that ask for buffers only",
	"uso":                                "bears on UDP only",
	"net.core.busy_poll":                 "bears on programs that poll only",
	"net.ipv4.tcp_congestion_control":    "the load sets it for itself",
	"net.ipv4.tcp_slow_start_after_idle": "bears on connections that pause only",
}

// linkedTo are the causes that a setting mends.
func linkedTo(name string, causes []Cause) []string {
	var out []string
	for _, c := range causes {
		if slices.Contains(links[c.Name], name) {
			out = append(out, c.Name)
		}
	}
	return out
}

// change makes the levels of a cell with these remedies.
func change(remedies []Remedy) experiment.Levels {
	out := experiment.Levels{}
	for _, r := range remedies {
		maps.Copy(out, r.Levels)
	}
	return out
}

// tuneCommand is the command that sets values for good.
func tuneCommand(values []Value, nics []string) string {
	words := []string{"stackmeter tune set"}
	for _, v := range values {
		w := v.Setting + "=" + v.Value
		if strings.ContainsAny(w, " ;*") {
			w = "\"" + w + "\""
		}
		words = append(words, w)
	}
	if len(nics) > 0 {
		words = append(words, "--nic", strings.Join(nics, ","))
	}
	return strings.Join(words, " ")
}
