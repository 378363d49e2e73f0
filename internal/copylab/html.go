package copylab

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"github.com/stackmeter/stackmeter/internal/unit"
)

// HTMLSection prints the report as one <section> for report.html: verdicts, Tables 5
// and 6, where to checksum, a heat map of size and offset for every method, and a
// curve over size for each. It needs no script and no file; its looks come from the
// page's style sheet.
func HTMLSection(w io.Writer, r Report) error {
	return section.Execute(w, struct {
		Report
		Heat, Curves template.HTML
		States       []stateRow
	}{r, heatMaps(r), curves(r), stateRows(r)})
}

//go:embed section.tmpl
var sectionTemplate string

var section = template.Must(template.New("copy").Funcs(template.FuncMap{
	"mega":    func(v float64) string { return fmt.Sprintf("%.0f", v/1e6) },
	"percent": unit.Percent,
	"size":    unit.Size,
	"seconds": func(v float64) string { return fmt.Sprintf("%.4f", v) },
	"hex":     func(v uint64) string { return fmt.Sprintf("%x", v) },
	"whole":   func(v float64) string { return fmt.Sprintf("%.0f", v) },
	"tenth":   func(v float64) string { return fmt.Sprintf("%.1f", v) },
	"loop":    loopTime,
}).Parse(sectionTemplate))

// loopTime is the time in a loop beside a single shot's.
func loopTime(v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", v)
}

// heatMaps draws a small map for each method: sizes across, offset pairs down.
func heatMaps(r Report) template.HTML {
	names := methodsOf(r, "offsets")
	if len(names) == 0 {
		return ""
	}
	const cell, left, top = 22.0, 54.0, 18.0
	width, height := left+cell*float64(len(offsetSizes)), top+cell*float64(len(offsetPairs))+16
	var b bytes.Buffer
	b.WriteString(`<div class="figures small">`)
	for _, name := range names {
		fmt.Fprintf(&b, `<figure><figcaption>%s</figcaption><svg class="chart" viewBox="0 0 %g %g" role="img" aria-label="%s: ratio to the fastest by size and offset">`, template.HTMLEscapeString(name), width, height, template.HTMLEscapeString(name))
		for i, o := range offsetPairs {
			y := top + cell*float64(i)
			fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="end" style="font-size:9px">+%d&#8594;+%d</text>`, left-4, y+14, o[0], o[1])
			for j, n := range offsetSizes {
				c := r.cell("offsets", name, n, o[0], o[1], HotL1)
				if c == nil {
					continue
				}
				x := left + cell*float64(j)
				fmt.Fprintf(&b, `<g><title>%s, %d bytes, source +%d, destination +%d: %.0f cycles, %.2f times the fastest</title><rect x="%g" y="%g" width="%g" height="%g" fill="%s"/><text x="%g" y="%g" text-anchor="middle" style="font-size:8px;fill:#111">%s</text></g>`,
					template.HTMLEscapeString(name), n, o[0], o[1], c.P50, c.ToBest, x, y, cell-1, cell-1, heat(c.ToBest), x+cell/2, y+14, short(c.ToBest))
			}
		}
		for j, n := range offsetSizes {
			fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle" style="font-size:8px">%s</text>`, left+cell*(float64(j)+0.5), top-5, sizeLabel(n))
		}
		fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="end" style="font-size:9px">bytes across; source &#8594; destination offset down</text></svg></figure>`, width, height-3)
	}
	b.WriteString(`</div>`)
	return template.HTML(b.String())
}

// heat is a colour from green (the fastest) over yellow (twice) to red (eight times).
func heat(ratio float64) string {
	h := max(0, 1-math.Log2(max(ratio, 1))/3)
	return fmt.Sprintf("hsl(%.0f 65%% %.0f%%)", 130*h*h, 62+10*h)
}

func short(ratio float64) string {
	if ratio >= 9.95 {
		return fmt.Sprintf("%.0f", ratio)
	}
	return fmt.Sprintf("%.1f", ratio)
}

func sizeLabel(n int) string {
	if n == packet {
		return "1448"
	}
	return strings.NewReplacer(" ", "", "iB", "", "B", "").Replace(unit.Size(int64(n)))
}

// curves draws bytes a cycle over size, one small chart a method, the machine's best
// in grey behind it.
func curves(r Report) template.HTML {
	names := methodsOf(r, "offsets")
	if len(names) == 0 {
		return ""
	}
	const width, height, left, bottom = 300.0, 150.0, 34.0, 20.0
	series := map[string][][2]float64{}
	top, lo, hi := 0.0, math.Inf(1), 0.0
	envelope := map[string]map[float64]float64{}
	family := map[string]string{}
	for _, c := range r.Cells {
		if c.Src != 2 || c.Dst != 0 || c.Mode != Loop || c.Part != "offsets" && c.Part != "long" {
			continue
		}
		x, y := math.Log2(float64(c.Bytes)), float64(c.Bytes)/c.P50
		series[c.Method] = append(series[c.Method], [2]float64{x, y})
		top, lo, hi = max(top, y), min(lo, x), max(hi, x)
		family[c.Method] = c.Family
		if envelope[c.Family] == nil {
			envelope[c.Family] = map[float64]float64{}
		}
		envelope[c.Family][x] = max(envelope[c.Family][x], y)
	}
	px := func(p [2]float64) (float64, float64) {
		return left + (width-left-6)*(p[0]-lo)/(hi-lo), height - bottom - (height-bottom-8)*p[1]/top
	}
	line := func(b *bytes.Buffer, pts [][2]float64, class string) {
		b.WriteString(`<polyline class="` + class + `" points="`)
		for _, p := range pts {
			x, y := px(p)
			fmt.Fprintf(b, "%.1f,%.1f ", x, y)
		}
		b.WriteString(`"/>`)
	}
	var b bytes.Buffer
	b.WriteString(`<div class="figures small">`)
	for _, name := range names {
		fmt.Fprintf(&b, `<figure><figcaption>%s</figcaption><svg class="chart" viewBox="0 0 %g %g" role="img" aria-label="%s: bytes a cycle over size">`, template.HTMLEscapeString(name), width, height, template.HTMLEscapeString(name))
		for _, v := range []float64{0, top / 2, top} {
			_, y := px([2]float64{lo, v})
			fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end" style="font-size:9px">%.0f</text>`, left, width-6, y, y, left-4, y+3, v)
		}
		for _, n := range []int{64, 1024, 16384, 1 << 20, 64 << 20} {
			if x := math.Log2(float64(n)); x >= lo && x <= hi {
				at, _ := px([2]float64{x, 0})
				anchor := "middle"
				if x == hi { // else its end would stand out of the chart
					anchor = "end"
				}
				fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="%s" style="font-size:9px">%s</text>`, at, height-6, anchor, unit.Size(int64(n)))
			}
		}
		var best [][2]float64
		for _, p := range series[name] {
			best = append(best, [2]float64{p[0], envelope[family[name]][p[0]]})
		}
		line(&b, best, "paperline")
		line(&b, series[name], "line s1")
		b.WriteString(`</svg></figure>`)
	}
	b.WriteString(`</div><p class="note muted">Dotted: the fastest method of the family at each size.</p>`)
	return template.HTML(b.String())
}

// methodsOf lists the methods of a part in their order.
func methodsOf(r Report, part string) []string {
	var names []string
	for _, c := range r.Cells {
		if c.Part != part {
			continue
		}
		if len(names) > 0 && c.Method == names[0] {
			break
		}
		names = append(names, c.Method)
	}
	return names
}
