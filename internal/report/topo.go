package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"strings"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/topo"
)

// TopoFile holds the topology of the machine of a result; it may be missing.
const TopoFile = "topo.json"

//go:embed topo.tmpl
var topoTemplate string

var topoTmpl = template.Must(template.New("topo").Funcs(template.FuncMap{"join": strings.Join}).Parse(topoTemplate))

// topoPage is what the template shows.
type topoPage struct {
	Style, Drawing template.CSS
	Machine        *topo.Machine
	Image          template.HTML
	Facts          string
}

func newTopoPage(m *topo.Machine) topoPage {
	facts := []string{}
	for _, s := range []string{m.Product, "Linux " + m.Kernel, m.Note} {
		if s != "" {
			facts = append(facts, s)
		}
	}
	return topoPage{
		Style: template.CSS(pageStyle), Drawing: template.CSS(topoStyle), //nolint:gosec // our own
		Machine: m, Image: topoImage(m), Facts: strings.Join(facts, " · "),
	}
}

// TopoHTML writes a machine's topology as one self-contained page, without script.
func TopoHTML(w io.Writer, m *topo.Machine) error { return topoTmpl.Execute(w, newTopoPage(m)) }

// ReadTopo reads a directory's topo.json. The error is [fs.ErrNotExist], wrapped, if there
// is none.
func ReadTopo(dir string) (*topo.Machine, error) {
	var m topo.Machine
	if err := readBeside(dir, TopoFile, &m, &m.Schema, topo.SchemaVersion); err != nil {
		return nil, err
	}
	return &m, nil
}

// SaveTopo stores a topology in the result directory dir, replacing an earlier one.
func SaveTopo(dir string, m *topo.Machine) error { return saveBeside(dir, TopoFile, m) }

// WriteTopo is SaveTopo, makes report.html again and returns its path.
func WriteTopo(dir string, m *topo.Machine) (page string, err error) {
	d, err := result.Open(dir)
	if err != nil {
		return "", err
	}
	if err := SaveTopo(dir, m); err != nil {
		return "", err
	}
	return Write(d)
}

// topologyOf is the machine on which a result was measured; nil where it was not kept.
func topologyOf(dir string) (*topo.Machine, error) {
	m, err := ReadTopo(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return m, err
}

// topoSectionOf is the section for the page of a study; empty if there is no topology.
func topoSectionOf(dir string) (template.HTML, error) {
	m, err := topologyOf(dir)
	if m == nil || err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := topoTmpl.ExecuteTemplate(&b, "topology", newTopoPage(m)); err != nil {
		return "", fmt.Errorf("section on the topology: %w", err)
	}
	return template.HTML(b.String()), nil //nolint:gosec // escaped by its own template
}
