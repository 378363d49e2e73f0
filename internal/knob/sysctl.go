package knob

import (
	"fmt"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Sysctl is a setting of /proc/sys by its name with dots, such as
// net.ipv4.tcp_rmem. Several numbers are divided by blanks. Those below net belong to
// the calling thread's network namespace, where not all of them exist.
func Sysctl(root host.Root, name string) Knob {
	canon := canonFields
	if name == "net.core.rps_sock_flow_entries" {
		canon = canonPower // rps_sock_flow_sysctl in net/core/sysctl_net_core.c
	}
	return at(root, "/proc/sys/"+strings.ReplaceAll(name, ".", "/"), file{info: Info{
		Kind: "sysctl", Key: name, Name: name, Target: "machine", Mechanism: "sysctl", InNetNS: strings.HasPrefix(name, "net."),
	}, canon: canon})
}

func openSysctl(r host.Root, key string) (Knob, error) {
	if strings.ContainsAny(key, "/") {
		return nil, fmt.Errorf("%q is no name of a sysctl", key)
	}
	return Sysctl(r, key), nil
}

func canonFields(v string) (string, error) { return strings.Join(strings.Fields(v), " "), nil }
