package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/meter"
)

// thisMachine is how a host of a run is written that needs no agent.
const thisMachine = "local"

// errHostForm tells how a host is written.
var errHostForm = errors.New("want HOST[:PORT][:NIC], local or local:NIC; IPv6 addresses in brackets")

// parseHost reads HOST[:PORT][:NIC]. What is all digits is the agent's port, anything else
// the name of a NIC.
func parseHost(s string) (meter.Host, error) {
	fail := func(why string) (meter.Host, error) {
		return meter.Host{}, fmt.Errorf("%q: %s: %w", s, why, errHostForm)
	}
	var name string
	var rest []string
	if inside, ok := strings.CutPrefix(s, "["); ok {
		address, after, closed := strings.Cut(inside, "]")
		a, err := netip.ParseAddr(address)
		if !closed || err != nil || !a.Is6() || after != "" && after[0] != ':' {
			return fail("no IPv6 address in brackets")
		}
		name, after = address, strings.TrimPrefix(after, ":")
		if after != "" {
			rest = strings.Split(after, ":")
		}
	} else {
		if _, err := netip.ParseAddr(s); err == nil && strings.Contains(s, ":") {
			return fail("an IPv6 address needs brackets")
		}
		parts := strings.Split(s, ":")
		name, rest = parts[0], parts[1:]
	}
	if name == "" || strings.ContainsAny(name, " \t/[]") {
		return fail("no host")
	}
	port, nic := "", ""
	for i, part := range rest {
		switch {
		case part == "" || strings.ContainsAny(part, " \t/[]"):
			return fail("an empty or malformed part")
		case digits(part) && i == 0:
			port = part
		case i == len(rest)-1 && !digits(part):
			nic = part
		default:
			return fail("too many parts, or in another order")
		}
	}
	if len(nic) > 15 {
		return fail("the name of a NIC has at most 15 characters")
	}
	if name == thisMachine {
		if port != "" {
			return fail("this machine needs no agent, and so no port")
		}
		return meter.Host{NIC: nic}, nil
	}
	if port == "" {
		port = defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fail("a port is 1 to 65535")
	}
	return meter.Host{Agent: net.JoinHostPort(name, port), NIC: nic}, nil
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// parseHosts reads the values of a flag.
func parseHosts(flag string, values []string) ([]meter.Host, error) {
	var out []meter.Host
	for _, v := range values {
		h, err := parseHost(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		out = append(out, h)
	}
	return out, nil
}
