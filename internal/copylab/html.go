package copylab

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"github.com/stackmeter/stackmeter/internal/unit"
)

// HTMLSection prints the report as one <section> for report.html: verdicts, Table 5,
// a heat map of size and offset for every method, and a curve over size for each. It
// needs no script and no file; colours come from the page's variables, with
// fallbacks.
func HTMLSection(w io.Writer, r Report) error {
	return section.Execute(w, struct {
		Report
		Heat, Curves template.HTML
	}{r, heatMaps(r), curves(r)})
}

var section = template.Must(template.New("copy").Funcs(template.FuncMap{
	"mbytes":  func(v float64) string { return fmt.Sprintf("%.0f", v) },
	"seconds": func(v float64) string { return fmt.Sprintf("%.4f", v) },
	"hex":     func(v uint64) string { return fmt.Sprintf("%x", v) },
	"cycles":  func(v float64) string { return fmt.Sprintf("%.0f", v) },
}).Parse(`<section id="copy" class="copylab">
<h2>Copy and checksum</h2>
<p class="sub">CPU {{.CPU}}: {{.Machine.Model}}; {{.Machine.Features}}; {{.Machine.Go}}. Times are core cycles a call, medians of interleaved batches.</p>
<ul>{{range .Verdicts}}<li>{{.Text}}</li>{{end}}</ul>
{{with .Warnings}}<ul class="warnings">{{range .}}<li>{{.Text}} <code>{{.Code}}</code></li>{{end}}</ul>{{end}}
{{if .Table5}}<h3>Table 5: 1448 million bytes in copies of 1448, hot</h3>
<div class="scroll"><table><thead><tr><th>Method<th>Time (s)<th>MB/s<th>Roofline<th>dst address<th>src address<th>Aligned</tr></thead><tbody>
{{range .Table5}}<tr><td>{{.Method}}{{with .PaperLabel}} [{{.}}]{{end}}<td>{{seconds .Seconds}}<td>{{mbytes .MBytes}}<td>{{mbytes .RoofMBytes}}<td><code>{{hex .Dst}}</code><td><code>{{hex .Src}}</code><td>{{.Aligned}}</tr>
{{end}}</tbody></table></div>{{end}}
{{if .Table6}}<h3>Table 6: core cycles of one copy of 1448 bytes</h3>
<div class="scroll"><table><thead><tr><th>Method<th>Source<th>Aligned<th>p10<th>p50<th>p90</tr></thead><tbody>
{{range .Table6}}<tr><td>{{.Method}}{{with .PaperLabel}} [{{.}}]{{end}}<td>{{.State}}<td>{{.Aligned}}<td>{{cycles .P10}}<td>{{cycles .P50}}<td>{{cycles .P90}}</tr>
{{end}}</tbody></table></div>{{end}}
{{if .Where}}<h3>Where to checksum: cycles a packet</h3>
<div class="scroll"><table><thead><tr><th>Packets arrive<th>Way<th>on A<th>on B<th>total</tr></thead><tbody>
{{range .Where}}<tr><td>{{.Arrival}}<td>{{.Way}}<td>{{cycles .OnA}}<td>{{cycles .OnB}}<td>{{cycles .Total}}</tr>
{{end}}</tbody></table></div>{{end}}
{{with .Heat}}<h3>Size and offset, hot in L1: time as a ratio to the fastest of the family</h3>{{.}}{{end}}
{{with .Curves}}<h3>Bytes a core cycle over size, source at +2</h3>{{.}}{{end}}
</section>
`))

// heatMaps draws a small map for each method: sizes across, offset pairs down.
func heatMaps(r Report) template.HTML {
	names := methodsOf(r, "offsets")
	if len(names) == 0 {
		return ""
	}
	const cell, left, top = 22.0, 44.0, 18.0
	width, height := left+cell*float64(len(offsetSizes)), top+cell*float64(len(offsetPairs))+16
	var b bytes.Buffer
	b.WriteString(`<div class="figures">`)
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
	line := func(b *bytes.Buffer, pts [][2]float64, style string) {
		b.WriteString(`<polyline fill="none" style="` + style + `" points="`)
		for _, p := range pts {
			x, y := px(p)
			fmt.Fprintf(b, "%.1f,%.1f ", x, y)
		}
		b.WriteString(`"/>`)
	}
	var b bytes.Buffer
	b.WriteString(`<div class="figures">`)
	for _, name := range names {
		fmt.Fprintf(&b, `<figure><figcaption>%s</figcaption><svg class="chart" viewBox="0 0 %g %g" role="img" aria-label="%s: bytes a cycle over size">`, template.HTMLEscapeString(name), width, height, template.HTMLEscapeString(name))
		for _, v := range []float64{0, top / 2, top} {
			_, y := px([2]float64{lo, v})
			fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end" style="font-size:9px">%.0f</text>`, left, width-6, y, y, left-4, y+3, v)
		}
		for _, n := range []int{64, 1024, 16384, 1 << 20, 64 << 20} {
			if x := math.Log2(float64(n)); x >= lo && x <= hi {
				at, _ := px([2]float64{x, 0})
				fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle" style="font-size:9px">%s</text>`, at, height-6, unit.Size(int64(n)))
			}
		}
		var best [][2]float64
		for _, p := range series[name] {
			best = append(best, [2]float64{p[0], envelope[family[name]][p[0]]})
		}
		line(&b, best, "stroke:var(--soft,#888);stroke-width:1;stroke-dasharray:3 3")
		line(&b, series[name], "stroke:var(--accent,#0b5d8f);stroke-width:2")
		b.WriteString(`</svg></figure>`)
	}
	b.WriteString(`</div><p class="sub">Dashed: the fastest method of the family at each size.</p>`)
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

// WriteHTML prints a page of its own around the section.
func WriteHTML(w io.Writer, r Report) error {
	if _, err := io.WriteString(w, pageHead); err != nil {
		return err
	}
	if err := HTMLSection(w, r); err != nil {
		return err
	}
	_, err := io.WriteString(w, "</main></body></html>\n")
	return err
}

const pageHead = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>stackmeter copy</title>
<style>
:root { --bg: #fbfaf7; --panel: #fff; --ink: #1d2228; --soft: #59626d; --rule: #dfdcd3; --grid: #e8e5dd; --accent: #0b5d8f; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171b; --panel: #1b1f25; --ink: #e6e8ea; --soft: #9fa8b3; --rule: #343b44; --grid: #2a3038; --accent: #6db6e8; } }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 0 20px; }
.sub { color: var(--soft); } li { max-width: 95ch; margin: .35em 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { padding: 2px 12px; text-align: right; border-bottom: 1px solid var(--rule); } td:first-child, th:first-child { text-align: left; }
.scroll { overflow-x: auto; } .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 14px; }
figure { margin: 0; padding: 10px 12px; background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; } figcaption { font-weight: 600; }
svg.chart { width: 100%; height: auto; } svg text { fill: var(--soft); } .grid { stroke: var(--grid); }
</style></head><body><main><h1>stackmeter copy</h1>
`
