package report

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/analysis"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// ReportFile is the HTML report in a result directory.
const ReportFile = "report.html"

//go:embed page.tmpl
var pageTemplate string

//go:embed page.css
var pageStyle string

var pageTmpl = template.Must(template.New("page").Funcs(template.FuncMap{
	"bitrate": unit.BitRate, "percent": unit.Percent, "plusminus": plusMinus,
	"join": strings.Join, "share": func(v float64) string { return fmt.Sprintf("%.2f", 100*v) },
}).Parse(pageTemplate))

// page is what the template shows.
type page struct {
	Style        template.CSS
	Title, Plan  string
	Subtitle     string
	Findings     []string
	Warnings     []analysis.Warning
	Sections     []section
	Copy         template.HTML // the copy laboratory's section, or empty
	Stack        template.HTML // a look into a running stack, or empty
	Topo         template.HTML // the machine's topology, or empty
	Profiles     template.HTML // what affinity changed in the profiles of the trials, or empty
	Study        []fact
	Hosts        []hostSection
	Knobs        []knob
	Groups       []key
	PaperTable   []analysis.PaperAffinity
	PaperNICs    []analysis.PaperNIC
	Trials       []trialRow
	Version      string
	HasServer    bool
	MetricPhrase string
}

type hostSection struct {
	Role  string
	Facts []fact
}

type section struct {
	ID, Name, Title, Constants string
	Figures                    []*chart
	Table1                     []affinityTable
	Scaling                    []scalingTable
	Placement                  []placementTable
	HeatMaps                   []*heatMap
	Effects                    *effectsTable
	Contrasts                  []contrastTable
	Cells                      []cellRow
	Interrupts                 []interruptRow
	CellMetric                 string
	StripScale                 string
}

type trialRow struct {
	*trial.Trial
	Cell  string
	Spark template.HTML
}

// HTML writes the report as one self-contained page: no script, nothing
// fetched from anywhere (its content security policy forbids it).
func HTML(w io.Writer, d *result.Dir) error {
	r := Analyze(d)
	m := &d.Manifest
	p := page{
		Style:        template.CSS(pageStyle), //nolint:gosec // our own file
		Title:        cmp.Or(analysis.ReadPlan(m.Plan.Resolved).Title, m.Plan.Name),
		Plan:         m.Plan.Name,
		Subtitle:     subtitle(d),
		Findings:     findings(r),
		Warnings:     allWarnings(d, r),
		Study:        studyFacts(d),
		Knobs:        knobs(d),
		PaperTable:   analysis.PaperTable1,
		PaperNICs:    analysis.PaperNICs,
		Version:      m.Versions.Stackmeter,
		HasServer:    r.Primary == analysis.Server,
		MetricPhrase: metricName(r.Primary),
	}
	var err error
	if p.Copy, err = copySectionOf(d.Path); err != nil {
		return err
	}
	if p.Stack, err = stackSection(d.Path); err != nil {
		return err
	}
	if p.Topo, err = topoSectionOf(d.Path); err != nil {
		return err
	}
	if p.Profiles, err = profileSections(d); err != nil {
		return err
	}
	machine, err := topologyOf(d.Path)
	if err != nil {
		return err
	}
	for _, e := range r.Experiments {
		s := newSection(r, e, machine)
		s.Interrupts = interruptRows(d, e)
		p.Sections = append(p.Sections, s)
	}
	for _, role := range roles(d.Hosts) {
		p.Hosts = append(p.Hosts, hostSection{role, hostFacts(d.Hosts[role])})
	}
	p.Groups = groupLegend()
	for i := range d.Trials {
		t := &d.Trials[i]
		cell := ""
		for _, e := range r.Experiments {
			if e.Name == t.Experiment {
				cell = cellName(e, t.Levels)
			}
		}
		p.Trials = append(p.Trials, trialRow{t, cell, spark(t)})
	}
	return pageTmpl.Execute(w, p)
}

// Write makes report.html in the result's directory, replacing an earlier one
// at once, and returns its path.
func Write(d *result.Dir) (string, error) {
	var b bytes.Buffer
	if err := HTML(&b, d); err != nil {
		return "", fmt.Errorf("%s: %w", ReportFile, err)
	}
	name := filepath.Join(d.Path, ReportFile)
	return name, result.WriteAtomically(name, b.Bytes())
}

func subtitle(d *result.Dir) string {
	parts := []string{d.Manifest.Started.UTC().Format("2 January 2006, 15:04 UTC")}
	if k := d.Manifest.Versions.Kernel; k != "" {
		parts = append(parts, "Linux "+k)
	}
	if d.Manifest.Rig != "" {
		parts = append(parts, "rig "+d.Manifest.Rig)
	}
	return strings.Join(append(parts, countTrials(d).String()), " · ")
}

func groupLegend() []key {
	var out []key
	for _, g := range groupOrder {
		var s svg
		s.sb.WriteString(`<svg viewBox="0 0 22 12" class="swatch" aria-hidden="true">`)
		s.rect(4, 1, 14, 10, groupClass(g.Name), "")
		out = append(out, key{g.Label, s.close()})
	}
	return out
}

func newSection(r *analysis.Report, e *analysis.Experiment, machine *topo.Machine) section {
	s := section{ID: "e-" + e.Name, Name: e.Name, Title: cmp.Or(e.Title, e.Name), Constants: constants(e)}
	add := func(c *chart) {
		if c != nil {
			s.Figures = append(s.Figures, c)
		}
	}
	metrics := scaledMetrics(r)
	if len(e.Affinity) > 0 {
		add(table1Figure(e, r.Primary))
		add(figure3(e, r.Primary))
		for _, m := range metrics {
			s.Table1 = append(s.Table1, newAffinityTable(e, m, m == r.Primary))
		}
	}
	if len(e.CPUs) > 0 {
		for _, m := range metrics {
			add(figureSMP(e, e.CPUs, m))
			t := newScalingTable(e, e.CPUs, m)
			t.Folded = m != r.Primary && len(t.Rows) > 6
			s.Scaling = append(s.Scaling, t)
		}
	}
	if len(e.NICs) > 0 {
		add(figure7(e, e.NICs))
		s.Scaling = append(s.Scaling, newScalingTable(e, e.NICs, analysis.Throughput))
	}
	for _, x := range e.Placement {
		s.Placement = append(s.Placement, newPlacementTable(e, x))
	}
	s.HeatMaps = heatMaps(r, e, machine)
	if e.Effects != nil {
		add(figureEffects(e, r.Primary))
		if len(e.Effects.Interactions) > 0 {
			add(figureInteractions(e, r.Primary))
		}
		s.Effects = newEffectsTable(r, e.Effects)
	}
	if sized(e) {
		add(figureSizes(e, r.Primary))
		add(figureSizes(e, analysis.Throughput))
	}
	for _, c := range e.Contrasts {
		if !sized(e) {
			add(figureContrast(e, c, r.Primary))
		}
		s.Contrasts = append(s.Contrasts, newContrastTable(r, e, c))
	}
	s.cells(e)
	return s
}

// cells fills the section's table of cells; the strips of one message size
// share one axis.
func (s *section) cells(e *analysis.Experiment) {
	m := e.Primary
	s.CellMetric = metricName(m)
	top := map[int64]float64{}
	for _, c := range e.Cells {
		if d := c.Metrics[m]; d != nil {
			top[c.MessageBytes] = max(top[c.MessageBytes], slices.Max(d.Values))
		}
	}
	s.StripScale = "from 0, one scale a message size"
	if len(top) == 1 {
		for _, v := range top {
			s.StripScale = "0 to " + unit.BitRate(v)
		}
	}
	for _, c := range e.Cells {
		row := cellRow{Name: cellName(e, c.Levels), Cell: c, CPU: cpuBar(c.Groups)}
		row.Server, row.Machine, row.Throughput = c.Metrics[analysis.Server], c.Metrics[analysis.Machine], c.Metrics[analysis.Throughput]
		if d := c.Metrics[m]; d != nil {
			row.Strip, row.Modes = strip(d, top[c.MessageBytes]), d.Modes
		}
		s.Cells = append(s.Cells, row)
	}
}
