package tune

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Save makes a profile of the values in force of what was handed over. What the machine
// can't have, and what no value stands for, is left out and listed. NICs that differ get sections of
// their own.
func (m *Machine) Save(name, about string) (p *Profile, left []Reading) {
	p = &Profile{Name: name, About: about}
	for _, d := range Catalogue() {
		byTarget := map[string]string{}
		same := true
		first := ""
		for _, t := range m.targets(d.Scope) {
			r := Item{d, t, m}.Reading()
			if r.Err != nil {
				left = append(left, r)
				continue
			}
			v, err := d.Canonical(r.Value)
			if err != nil {
				r.Err = err
				left = append(left, r)
				continue
			}
			if len(byTarget) == 0 {
				first = v
			}
			byTarget[t], same = v, same && v == first
		}
		targets := m.targets(d.Scope)
		switch {
		case len(byTarget) == 0:
		case same && len(byTarget) == len(targets), same && d.Scope != NIC:
			p.Values = append(p.Values, Value{Definition: d, Text: first})
		case d.Scope == NIC:
			for _, t := range targets {
				if v, ok := byTarget[t]; ok {
					p.Values = append(p.Values, Value{Definition: d, NIC: t, Text: v})
				}
			}
		default:
			for _, t := range targets {
				left = append(left, Reading{Item: Item{d, t, m}, Value: byTarget[t], Err: fmt.Errorf("%w: they differ, which a profile can say of NICs only; save one at a time", host.ErrInput)})
			}
		}
	}
	return p, left
}

// Reading is a setting with its value in force.
type Reading struct {
	Item
	Value string
	Err   error // a *host.NotSupportedError where the machine can't have it
}

// Reading reads an item.
func (i Item) Reading() Reading {
	v, err := i.Read()
	return Reading{i, v, err}
}

// Format writes a profile as YAML, each setting with its line of documentation, so that
// ParseProfile gives the same values.
func (p *Profile) Format() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "version: %s\n", profileVersion)
	if p.Name != "" {
		fmt.Fprintf(&b, "name: %s\n", plain(p.Name))
	}
	if p.About != "" {
		fmt.Fprintf(&b, "about: %s\n", plain(p.About))
	}
	for _, s := range []Scope{Host, NIC, CPU, Process, Cgroup} {
		p.formatSection(&b, string(s), "", func(v Value) bool { return v.Definition.Scope == s && v.NIC == "" })
	}
	heading := false
	for _, nic := range p.ownNICs() {
		if !heading {
			fmt.Fprint(&b, "\nnics:")
			heading = true
		}
		p.formatSection(&b, nic, "  ", func(v Value) bool { return v.NIC == nic })
	}
	return b.Bytes()
}

func (p *Profile) ownNICs() []string {
	var out []string
	seen := map[string]bool{"": true}
	for _, v := range p.Values {
		if !seen[v.NIC] {
			out = append(out, v.NIC)
		}
		seen[v.NIC] = true
	}
	return out
}

func (p *Profile) formatSection(b *bytes.Buffer, name, indent string, mine func(Value) bool) {
	heading := false
	for _, v := range p.Values {
		if !mine(v) {
			continue
		}
		if !heading {
			fmt.Fprintf(b, "\n%s%s:\n", indent, plain(name))
			heading = true
		}
		fmt.Fprintf(b, "%s  # %s\n%s  %s: %s\n", indent, v.Definition.Doc, indent, v.Definition.Name, plain(v.Text))
	}
}

// bare is text that YAML takes for itself, whatever it stands for: values are read as
// written.
var bare = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)

// plain quotes text where YAML would make something else of it.
func plain(s string) string {
	if bare.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}
