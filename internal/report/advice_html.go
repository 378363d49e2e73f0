package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"path/filepath"
	"strings"

	"github.com/stackmeter/stackmeter/internal/advise"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// AdvicePage is the page of an advice; `stackmeter report` makes that of its trials.
const AdvicePage = "advice.html"

//go:embed advice.tmpl
var adviceTemplate string

var adviceTmpl = template.Must(template.New("advice").Funcs(template.FuncMap{
	"gain": gainWords, "rate": unit.BitRate, "percent": unit.Percent, "micro": micro, "inc": func(i int) int { return i + 1 },
}).Parse(adviceTemplate))

// writeAdvicePage makes the page of an advice and returns its path.
func writeAdvicePage(dir string, r *advise.Report) (page string, err error) {
	var b bytes.Buffer
	err = adviceTmpl.Execute(&b, struct {
		*advise.Report
		Style                template.CSS
		Verdict, Date        string
		Busy                 float64
		Gains, Shares, Proof template.HTML
		ProofWords           *advise.Proof
	}{
		r, template.CSS(pageStyle), verdict(r), r.Started.UTC().Format("2 January 2006, 15:04 UTC"), busy(&r.AsFound), //nolint:gosec // our own file
		gainsChart(r), sharesChart(&r.AsFound), proofChart(r.Proof), r.Proof,
	})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, AdvicePage)
	return name, result.WriteAtomically(name, b.Bytes())
}

// The frame of the charts of an advice: rows below each other.
const (
	adviceW, adviceLabel, adviceRow = 520.0, 220.0, 24.0
)

// gainsChart has a row for each remedy that was tried: what it gains alone, with its interval, or what the
// screening showed, with the noise of that.
func gainsChart(r *advise.Report) template.HTML {
	type row struct {
		name      string
		v, lo, hi float64
		class     string
		tip       string
	}
	var rows []row
	low, high := -0.1, 0.1
	for _, v := range r.Verdicts {
		x := row{name: v.Name, class: "dot s1"}
		if v.Alone != nil {
			g := v.Alone.Throughput
			x.v, x.lo, x.hi, x.tip = g.Value, g.Lo, g.Hi, gainWords(v.Alone)
		} else {
			found := false
			for _, s := range r.Screened {
				if s.Name == v.Name && v.Word != advise.Failed {
					x.v, x.lo, x.hi, x.class, found = s.Throughput, s.Throughput-s.Noise, s.Throughput+s.Noise, "paper", true
				}
			}
			if !found {
				continue
			}
			x.tip = v.Text
		}
		low, high = min(low, x.lo), max(high, x.hi)
		rows = append(rows, x)
	}
	if len(rows) == 0 {
		return ""
	}
	low, high = max(low, -1), min(high, 4) // what lies beyond is cut off, and stands in the table
	at := func(v float64) float64 {
		return adviceLabel + (min(max(v, low), high)-low)/(high-low)*(adviceW-adviceLabel-20)
	}
	s := &svg{}
	height := adviceRow*float64(len(rows)) + 34
	s.open(adviceW, height, "chart", "Gain in throughput of each remedy alone", "with 95 % intervals; hollow: effect in the screening, with its noise")
	for _, v := range []float64{low, 0, high} {
		s.line(at(v), 6, at(v), height-24, map[bool]string{true: "axis", false: "grid"}[v == 0])
		s.text(min(at(v), adviceW-24), height-8, "middle", "", strings.TrimPrefix(fmt.Sprintf("%+.0f %%", 100*v), map[bool]string{true: "+"}[v == 0]))
	}
	for i, x := range rows {
		y := adviceRow*float64(i) + 20
		name := x.name
		if len(name) > 30 {
			name = name[:29] + "…"
		}
		s.text(adviceLabel-12, y+4, "end", "", name)
		s.line(at(x.lo), y, at(x.hi), y, "error")
		s.circle(at(x.v), y, 5, x.class, x.name+": "+x.tip)
	}
	return s.close()
}

// sharesChart shows as found: what each CPU did, and what each NIC carried.
func sharesChart(e *advise.Evidence) template.HTML {
	if len(e.CPUs)+len(e.NICs) == 0 {
		return ""
	}
	s := &svg{}
	height := adviceRow*float64(len(e.CPUs)+len(e.NICs)) + 12
	s.open(adviceW, height, "chart", "CPUs and NICs as found", "busy share of each CPU, of it softirq; throughput of each NIC")
	const left, width = 90.0, adviceW - 90 - 150
	y := 8.0
	for _, c := range e.CPUs {
		s.text(left-10, y+13, "end", "", fmt.Sprintf("CPU %d", c.CPU))
		s.rect(left, y, width, 16, "grid", "")
		s.rect(left, y, width*min(c.Busy, 1), 16, "bar s1", fmt.Sprintf("busy for %s", unit.Percent(c.Busy)))
		s.rect(left, y, width*min(c.SoftIRQ, 1), 16, "bar s2", fmt.Sprintf("softirq and irq %s", unit.Percent(c.SoftIRQ)))
		s.text(left+width+8, y+13, "start", "", unit.Percent(c.Busy)+" busy")
		y += adviceRow
	}
	most := 1.0
	for _, n := range e.NICs {
		most = max(most, n.Throughput)
	}
	for _, n := range e.NICs {
		s.text(left-10, y+13, "end", "", n.Name)
		s.rect(left, y, width*n.Throughput/most, 16, "bar s3", unit.BitRate(n.Throughput))
		s.text(left+width+8, y+13, "start", "", unit.BitRate(n.Throughput))
		y += adviceRow
	}
	return s.close()
}

// proofChart shows what was planted took, and what the first advice brought back.
func proofChart(p *advise.Proof) template.HTML {
	if p == nil || p.Unspoilt <= 0 {
		return ""
	}
	s := &svg{}
	s.open(adviceW, 3*adviceRow+12, "chart", "The rig unspoilt, spoilt and advised", "throughput, medians of interleaved trials")
	const left, width = 120.0, adviceW - 120 - 100
	most := max(p.Unspoilt, p.Spoilt, p.Advised)
	for i, x := range []struct {
		name string
		v    float64
		c    string
	}{{"unspoilt", p.Unspoilt, "bar s0"}, {"spoilt", p.Spoilt, "bar s2"}, {"first advice", p.Advised, "bar s3"}} {
		y := adviceRow*float64(i) + 8
		s.text(left-10, y+13, "end", "", x.name)
		if x.v <= 0 {
			s.text(left, y+13, "start", "", "not measured: none was given")
			continue
		}
		s.rect(left, y, width*x.v/most, 16, x.c, unit.BitRate(x.v))
		s.text(left+width*x.v/most+8, y+13, "start", "", unit.BitRate(x.v))
	}
	return s.close()
}
