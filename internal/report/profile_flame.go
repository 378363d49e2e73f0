package report

import (
	"fmt"
	"html"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/profile/stage"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// Measures of a flame graph in SVG units.
const (
	flameWidth  = 1200.0
	flameRow    = 17.0
	flameLetter = 6.2 // of a letter at 11 units
	flameLeast  = 0.4 // narrower frames are left out
)

// flame draws a tree with its root at the bottom.
type flame struct {
	sb     strings.Builder
	height float64
	total  float64
	tip    func(*profile.Node) string
	style  func(*profile.Node) string
	wide   func(*profile.Node) float64
}

// frames draws a node and what is above it, and says how wide it is.
func (f *flame) frames(n *profile.Node, x float64, depth int) float64 {
	w := f.wide(n) / f.total * flameWidth
	if w < flameLeast {
		return w
	}
	y := f.height - flameRow*float64(depth+1)
	fmt.Fprintf(&f.sb, `<g data-x="%s" data-w="%s"><title>%s</title><rect x="%s" y="%s" width="%s" height="%s" %s/>`,
		fine(x), fine(w), html.EscapeString(f.tip(n)), fine(x), num(y), fine(w), num(flameRow-1), f.style(n))
	name, shown := shortName(n.Name), ""
	if letters := int((w - 4) / flameLetter); letters >= 3 {
		shown = cut(name, letters)
	}
	fmt.Fprintf(&f.sb, `<text x="%s" y="%s" data-n="%s">%s</text></g>`+"\n", fine(x+2), num(y+12), html.EscapeString(name), html.EscapeString(shown))
	at := x
	for _, c := range n.Children {
		at += f.frames(c, at, depth+1)
	}
	return w
}

// levels is how many levels of the tree are wide enough to be drawn.
func (f *flame) levels(n *profile.Node) int {
	if f.wide(n)/f.total*flameWidth < flameLeast {
		return 0
	}
	d := 0
	for _, c := range n.Children {
		d = max(d, f.levels(c))
	}
	return d + 1
}

// draw draws the whole tree.
func (f *flame) draw(root *profile.Node) {
	if f.total > 0 {
		f.height = flameRow * float64(f.levels(root))
		f.frames(root, 0, 0)
	}
}

// shortName is a function's name without the path of its Go package.
func shortName(name string) string {
	if i := strings.LastIndexByte(name, '/'); i > 0 && strings.Contains(name[i:], ".") {
		return name[i+1:]
	}
	return name
}

func fine(v float64) string { return fmt.Sprintf("%.2f", v) }

// stageColor spreads the stages over the hues, in the order of stage.Stages.
func stageColor(s stage.Stage) string {
	all := stage.Stages()
	i := slices.IndexFunc(all, func(x stage.Info) bool { return x.Stage == s })
	if i < 0 || s == stage.Other {
		return "hsl(0 0% 70%)"
	}
	return fmt.Sprintf("hsl(%d 62%% %d%%)", (i*137)%360, 62+8*(i%3))
}

// flameOf draws a tree of samples, coloured by stage. The unit is that of its values; ""
// is seconds.
func flameOf(root *profile.Node, name string) *flame {
	f := &flame{total: root.Value, wide: func(n *profile.Node) float64 { return n.Value }}
	f.tip = func(n *profile.Node) string {
		value := unit.Seconds(n.Value)
		if name != "" {
			value = fmt.Sprintf("%.2f %s", n.Value, name)
		}
		return fmt.Sprintf("%s: %s, %s of busy time, mostly %s", n.Name, value, unit.Percent(n.Value/root.Value), n.Stage)
	}
	f.style = func(n *profile.Node) string { return `fill="` + stageColor(n.Stage) + `"` }
	f.draw(root)
	return f
}

// flameOfTwo draws two sides in one: as wide as the second side or the first, whichever
// is more, red where the second costs more per byte and blue where less.
func flameOfTwo(root *profile.Node) *flame {
	f := &flame{}
	var wide func(n *profile.Node) float64
	widths := map[*profile.Node]float64{}
	wide = func(n *profile.Node) float64 {
		if w, ok := widths[n]; ok {
			return w
		}
		sum := 0.0
		for _, c := range n.Children {
			sum += wide(c)
		}
		widths[n] = max(n.Value, n.Before, sum)
		return widths[n]
	}
	f.wide, f.total = wide, wide(root)
	f.tip = func(n *profile.Node) string {
		return fmt.Sprintf("%s: %.2f ns/kB before, %.2f after (%+.2f)", n.Name, n.Before, n.Value, n.Value-n.Before)
	}
	f.style = func(n *profile.Node) string {
		d := (n.Value - n.Before) / max(n.Value, n.Before, 1e-12)
		hue := 8
		if d < 0 {
			hue = 212
		}
		return fmt.Sprintf(`fill="hsl(%d 75%% %.0f%%)"`, hue, 92-34*math.Abs(d))
	}
	f.draw(root)
	return f
}

// inline is the image for a page: it can't be zoomed, since a page runs no script.
func (f *flame) inline(title string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %s %s" class="flame" role="img" aria-label="%s">%s</svg>`, //nolint:gosec // every text went through EscapeString
		num(flameWidth), num(max(f.height, flameRow)), html.EscapeString(title), f.sb.String()))
}

// write writes a file of its own, which a click zooms.
func (f *flame) write(w io.Writer, title string) error {
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" font-family="monospace" font-size="11">
<style>rect{stroke:#fff;stroke-width:.4;cursor:pointer}text{pointer-events:none;fill:#111}</style>
<rect width="%s" height="%s" fill="#fff" stroke="none"/>
<text x="4" y="14">%s: click a frame to zoom, the lowest to zoom out</text>
<g id="f" transform="translate(0 24)">
%s</g>
<script><![CDATA[%s]]></script>
</svg>
`, num(flameWidth), num(f.height+24), num(flameWidth), num(f.height+24), html.EscapeString(title), f.sb.String(), flameScript)
	return err
}

// flameScript zooms: frames under the clicked one fill the width.
const flameScript = `
const all=[...document.querySelectorAll('#f g')],W=1200;
for(const g of all)g.addEventListener('click',()=>{const x0=+g.dataset.x,w0=+g.dataset.w;
for(const h of all){const x=(+h.dataset.x-x0)/w0*W,w=+h.dataset.w/w0*W,on=x+w>.3&&x+.3<W;
h.style.display=on?'':'none';if(!on)continue;const l=Math.max(x,0),r=Math.min(x+w,W);
const q=h.querySelector('rect'),t=h.querySelector('text'),n=t.dataset.n,k=Math.floor((r-l-4)/6.2);
q.setAttribute('x',l);q.setAttribute('width',r-l);t.setAttribute('x',l+2);
t.textContent=k<3?'':n.length>k?n.slice(0,k-1)+'…':n;}});
`

// FlameSVG writes a profile's flame graph as a file of its own.
func FlameSVG(w io.Writer, p *profile.Profile) error {
	return flameOf(p.Sampling.Tree(), "").write(w, p.Load)
}

// DiffFlameSVG writes the differential flame graph of two sides.
func DiffFlameSVG(w io.Writer, before, after []*profile.Profile) error {
	return flameOfTwo(profile.DiffTree(before, after)).write(w, "red costs more per byte after, blue less")
}

// stageKeys explains the colours of the stages that occur.
func stageKeys(s *profile.Sampling) []key {
	var out []key
	for _, part := range s.ByStage() {
		out = append(out, key{stageTitle(part.Stage), template.HTML(fmt.Sprintf( //nolint:gosec // of our own constants
			`<svg viewBox="0 0 22 12" class="swatch" aria-hidden="true"><rect x="4" y="1" width="14" height="10" fill="%s"/></svg>`, stageColor(part.Stage)))})
	}
	return out
}
