package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	name := filepath.Join(dir, TopoFile)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var m topo.Machine
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case m.Schema > topo.SchemaVersion:
		return nil, fmt.Errorf("%s: schema version %d, this program knows %d: %w", name, m.Schema, topo.SchemaVersion, result.ErrNewerSchema)
	case m.Schema < 1:
		return nil, fmt.Errorf("%s: schema version %d: not written by stackmeter, or damaged", name, m.Schema)
	}
	return &m, nil
}

// SaveTopo stores a topology in the result directory dir, replacing an earlier one.
func SaveTopo(dir string, m *topo.Machine) error {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", TopoFile, err)
	}
	return result.WriteAtomically(filepath.Join(dir, TopoFile), append(b, '\n'))
}

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

// topoSectionOf is the section for the page of a study; empty if there is no topology.
func topoSectionOf(dir string) (template.HTML, error) {
	m, err := ReadTopo(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := topoTmpl.ExecuteTemplate(&b, "topology", newTopoPage(m)); err != nil {
		return "", fmt.Errorf("section on the topology: %w", err)
	}
	return template.HTML(b.String()), nil //nolint:gosec // escaped by its own template
}
