package tune

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// rss is a NIC's RSS indirection table.
func rss() *Definition {
	d := single(Definition{
		Scope: NIC, Name: "rss", Doc: "receive queues that the NIC's hash of a flow leads to (its indirection table)", Source: sourceScaling,
		Form:     "equal (all queues), equal N (the first N), or the queues of the table's entries, repeated to fill it, such as 0-3 or 0*96,1*32",
		Remedies: []string{"equal"}, canon: rssForm,
	}, func(_ *Machine, nic string) (knob.Knob, error) { return knob.RSS(nic), nil })
	resolve := d.resolve
	d.resolve = func(m *Machine, nic, value string) ([]knob.Setting, error) {
		k := knob.RSS(nic)
		if _, err := k.Read(); err != nil {
			return nil, err
		}
		rings, err := sysx.ReceiveRings(nic)
		if err != nil {
			return nil, err
		}
		if rest, ok := strings.CutPrefix(value, "equal"); ok {
			n := rings
			if rest = strings.TrimSpace(rest); rest != "" {
				n, _ = strconv.Atoi(rest) // canonical
			}
			value = fmt.Sprintf("0-%d", n-1)
		}
		row, err := knob.ParseRSS(value)
		if err != nil {
			return nil, err
		}
		if most := slices.Max(row); int(most) >= rings {
			return nil, fmt.Errorf("%w: rss: %s has %d receive queues, so none of number %d", host.ErrInput, nic, rings, most)
		}
		return resolve(m, nic, value)
	}
	d.emit = func(_ *Machine, nic string, ss []knob.Setting) ([]string, error) {
		c := ss[0].Knob.Command(ss[0].Value)
		if c == "" {
			return nil, &host.NotSupportedError{
				What: fmt.Sprintf("a command for rss %s of %s", ss[0].Value, nic), Reason: "ethtool -X writes equal shares and weights only",
				Mend: "use `stackmeter tune apply`, or equal N",
			}
		}
		return []string{c}, nil
	}
	return d
}

// rssForm is the form of RSS tables.
func rssForm(v string) (string, error) {
	if rest, ok := strings.CutPrefix(v, "equal"); ok {
		if rest == "" {
			return v, nil
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(rest), 10, 16); rest[0] == ' ' && err == nil && n > 0 {
			return fmt.Sprintf("equal %d", n), nil
		}
		return "", fmt.Errorf("%q is neither equal nor equal N", v)
	}
	if _, err := knob.ParseRSS(v); err != nil {
		return "", err
	}
	return strings.ReplaceAll(v, " ", ""), nil
}
