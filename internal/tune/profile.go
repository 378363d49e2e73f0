package tune

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/stackmeter/stackmeter/internal/host"
)

// profileVersion is the version of the format that this package reads and writes.
const profileVersion = "1"

// maxProfile bounds a profile's text, bytes.
const maxProfile = 64 << 10

// Profile is a set of values by the settings' names. It names no machine, and only
// under "nics" single NICs.
type Profile struct {
	Name   string
	About  string
	Values []Value
}

// Value is a value of a setting.
type Value struct {
	Definition *Definition
	NIC        string // the only one for which it is meant; "": all that are handed over
	Text       string // canonical
	Field      string // where it stands: "[4:3] nic.gro"
}

// FieldError is a fault of a profile. It wraps host.ErrInput.
type FieldError struct {
	Line, Column int    // from 1; 0 where not known
	Field        string // "nic.gro"
	Text         string // what is wrong and how to mend it
}

func (e *FieldError) Error() string {
	s := e.Text
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Line > 0 {
		s = fmt.Sprintf("[%d:%d] %s", e.Line, e.Column, s)
	}
	return s
}

// Is makes a FieldError one of host.ErrInput.
func (e *FieldError) Is(target error) bool { return target == host.ErrInput }

// ParseProfile reads a profile (see doc/profile-of-settings.md). It refuses unknown
// settings and values of the wrong form with a *FieldError; whether a machine can have them is
// known to [Machine.Plan] only.
func ParseProfile(b []byte) (p *Profile, err error) {
	if len(b) > maxProfile {
		return nil, &FieldError{Text: fmt.Sprintf("the profile has %d bytes, at most %d are read", len(b), maxProfile)}
	}
	file, err := parseYAML(b)
	if err != nil {
		return nil, err
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, &FieldError{Text: "want one YAML document with a section nic, host, cpu, process or cgroup"}
	}
	top, err := fields("", file.Docs[0].Body)
	if err != nil {
		return nil, err
	}
	p = &Profile{}
	version := ""
	for _, f := range top {
		switch f.name {
		case "version":
			version, err = f.text()
		case "name":
			p.Name, err = f.text()
		case "about":
			p.About, err = f.text()
		case string(NIC), string(Host), string(CPU), string(Process), string(Cgroup):
			err = p.section(f, Scope(f.name), "")
		case "nics":
			err = p.nics(f)
		default:
			err = f.fault("unknown section; known are version, name, about, nic, nics, host, cpu, process, cgroup")
		}
		if err != nil {
			return nil, err
		}
	}
	switch version {
	case profileVersion:
	case "":
		return nil, &FieldError{Field: "version", Text: "is missing; write `version: 1`"}
	default:
		return nil, &FieldError{Field: "version", Text: fmt.Sprintf("%q is not known to this stackmeter, which reads 1", version)}
	}
	if len(p.Values) == 0 {
		return nil, &FieldError{Text: "the profile sets nothing; add a section such as `nic:` with settings of `stackmeter tune list`"}
	}
	return p, nil
}

// parseYAML makes the library's errors, and a panic of it, a *FieldError.
func parseYAML(b []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, &FieldError{Text: "is no YAML that can be read"}
		}
	}()
	file, err = parser.ParseBytes(b, 0)
	if err == nil {
		return file, nil
	}
	e := &FieldError{Text: "is no YAML: " + strings.SplitN(err.Error(), "\n", 2)[0]}
	if with, ok := err.(interface{ GetToken() *token.Token }); ok { //nolint:errorlint // the library returns it bare
		if t := with.GetToken(); t != nil && t.Position != nil {
			e.Line, e.Column = t.Position.Line, t.Position.Column
		}
	}
	return nil, e
}

func (p *Profile) nics(f field) error {
	nics, err := fields(f.path, f.value)
	for _, n := range nics {
		if err == nil {
			err = p.section(n, NIC, n.name)
		}
	}
	return err
}

func (p *Profile) section(f field, scope Scope, nic string) error {
	all, err := fields(f.path, f.value)
	if err != nil {
		return err
	}
	for _, s := range all {
		d, err := Find(s.name)
		if err != nil {
			return s.fault("unknown setting" + near(s.name, Catalogue()))
		}
		if d.Scope != scope {
			return s.fault(fmt.Sprintf("belongs to the section %q", d.Scope))
		}
		text, err := s.text()
		if err != nil {
			return err
		}
		v, err := d.canon(strings.TrimSpace(text))
		if err != nil {
			return s.fault(fmt.Sprintf("%v; want %s", err, d.Form))
		}
		at := s.value.GetToken().Position
		p.Values = append(p.Values, Value{Definition: d, NIC: nic, Text: v, Field: fmt.Sprintf("[%d:%d] %s", at.Line, at.Column, s.path)})
	}
	return nil
}

// field is an entry of a YAML mapping.
type field struct {
	name, path string
	value      ast.Node
}

func (f field) fault(text string) error {
	e := &FieldError{Field: f.path, Text: text}
	if t := f.value.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

// fields lists the entries of a mapping.
func fields(path string, n ast.Node) ([]field, error) {
	here := field{path: path, value: n}
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return nil, nil
	default:
		return nil, here.fault("want settings, one a line, as `name: value`")
	}
	var out []field
	seen := map[string]bool{}
	for _, v := range pairs {
		key, ok := scalar(v.Key)
		f := field{name: key, path: strings.TrimPrefix(path+"."+key, "."), value: v.Value}
		switch {
		case !ok || v.Value == nil || v.Value.GetToken() == nil || v.Value.GetToken().Position == nil:
			return nil, here.fault("a name or value is not plain text; write `name: value`")
		case seen[key]:
			return nil, f.fault("is given twice; keep one")
		}
		seen[key] = true
		out = append(out, f)
	}
	return out, nil
}

// text is a value as it was written; a sequence's parts are joined with blanks.
func (f field) text() (string, error) {
	if seq, ok := f.value.(*ast.SequenceNode); ok {
		var parts []string
		for _, v := range seq.Values {
			s, ok := scalar(v)
			if !ok {
				return "", f.fault("want plain values in the sequence")
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, " "), nil
	}
	s, ok := scalar(f.value)
	if !ok {
		return "", f.fault("want a plain value, no mapping, anchor, alias or tag")
	}
	return s, nil
}

// scalar is the text of a plain or quoted value. Numbers and switches stay as written: what
// YAML makes of them is of no interest here.
func scalar(n any) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.(ast.Node).GetToken().Value, true
	}
	return "", false
}
