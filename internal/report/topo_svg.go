package report

import (
	"fmt"
	"html"
	"html/template"
	"io"
	"strings"

	"github.com/stackmeter/stackmeter/internal/topo"
)

// Measures of the picture.
const (
	topoWidth  = 1100.0
	topoPad    = 14.0
	cellWidth  = 36.0
	cellHeight = 30.0
	cellsInRow = 12
	treeLeft   = topoPad + cellsInRow*(cellWidth+3) + 34
	rowHeight  = 22.0
	boxHeight  = 42.0
	topoIndent = 18.0
)

// topoStyle draws the picture in a page, whose colours it takes.
const topoStyle = `.topo { display: block; }
.topo .block { fill: var(--panel); stroke: var(--rule); } .topo .cache { fill: none; stroke: var(--rule); }
.topo .cell { fill: var(--bg); stroke: var(--rule); } .topo .nicbox { fill: var(--bg); stroke: var(--c, var(--soft)); stroke-width: 1.5; }
.topo .head { fill: var(--ink); font-weight: 600; } .topo .name { fill: var(--ink); } .topo .num { font-size: 11px; }
.topo .tag { fill: var(--c); } .topo .letter { fill: var(--panel); font-size: 10px; font-weight: 700; }
.topo .far { stroke: var(--less); stroke-width: 2; } .topo .wire { stroke: var(--soft); fill: none; stroke-width: 1.3; } .topo .wire.bad { stroke: var(--less); stroke-width: 3; }
`

// topoColors are the page's colours, for a picture in a file of its own.
const topoColors = `svg { --bg: #fbfaf7; --panel: #ffffff; --ink: #1d2228; --soft: #59626d; --rule: #dfdcd3; --less: #a8322c; background: var(--bg);
--s1: #2b6cb8; --s2: #b0601a; --s3: #1f8a5b; --s4: #8350b5; --s5: #0f7f8c; --s6: #b8325f; --s7: #6b6f1d; }
@media (prefers-color-scheme: dark) { svg { --bg: #14171b; --panel: #1b1f25; --ink: #e6e8ea; --soft: #9fa8b3; --rule: #343b44; --less: #f0857d;
--s1: #5c9ee6; --s2: #eb9a4c; --s3: #4cba86; --s4: #b18ae0; --s5: #45bfcb; --s6: #e5739a; --s7: #b5b95a; } }
text { fill: var(--soft); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
.s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); } .s4 { --c: var(--s4); } .s5 { --c: var(--s5); } .s6 { --c: var(--s6); } .s7 { --c: var(--s7); }
`

// topoPicture draws blocks below each other: CPUs on the left, PCI and NICs on the right.
type topoPicture struct {
	svg
	m    *topo.Machine
	keys map[string]int
	on   map[int][]*topo.NIC
}

// drawTopo returns the elements and the height.
func drawTopo(m *topo.Machine) (elements string, height float64) {
	p := &topoPicture{m: m, keys: nicKeys(m), on: onCPUs(m)}
	y := 1.0
	for _, b := range topoBlocks(m) {
		y = p.block(b, y) + 12
	}
	return p.sb.String(), y - 11
}

// topoImage is the picture for a page.
func topoImage(m *topo.Machine) template.HTML {
	elements, height := drawTopo(m)
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %s %s" width="%s" height="%s" class="topo" role="img" aria-label="%s">%s</svg>`, //nolint:gosec // every text went through EscapeString
		num(topoWidth), num(height), num(topoWidth), num(height), html.EscapeString(topoLabel(m)), elements))
}

func topoLabel(m *topo.Machine) string {
	return "CPUs, PCI links and NICs of " + m.Title() + ". Letters at a CPU name the NICs whose queue interrupts it takes."
}

// TopoSVG writes the picture of a machine as a file of its own.
func TopoSVG(w io.Writer, m *topo.Machine) error {
	elements, height := drawTopo(m)
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -34 %s %s" width="%s" height="%s" class="topo" role="img" aria-label="%s">
<style>%s%s</style>
<text x="0" y="-14" class="head">%s</text>
%s</svg>
`, num(topoWidth+20), num(height+44), num(topoWidth+20), num(height+44), html.EscapeString(topoLabel(m)), topoColors, topoStyle,
		html.EscapeString(cutText(m.Title(), topoWidth)), elements)
	return err
}

// cutText shortens a text to what surely fits into a width.
func cutText(s string, width float64) string {
	used, fits := 0.0, 0 // bytes that fit with an ellipsis after them
	for i, r := range s {
		if used+13 <= width {
			fits = i
		}
		if used += runeWidth(r); used > width {
			return s[:fits] + "…"
		}
	}
	return s
}

// runeWidth bounds the width of a character in the picture's font, of which the reader's
// machine has one or another.
func runeWidth(r rune) float64 {
	switch {
	case strings.ContainsRune("WMmw@%", r):
		return 13
	case r >= 'A' && r <= 'Z':
		return 9.5
	case r > 0x7f:
		return 13
	case strings.ContainsRune(" .,:;il'|()[]/", r):
		return 5
	}
	return 8
}

// block draws a node from y on and returns where it ends.
func (p *topoPicture) block(b topoBlock, y float64) float64 {
	// Its frame goes below what is in it, so the contents are drawn aside first.
	outer := p.sb
	p.sb = strings.Builder{}
	left, right := y+30, y+30
	for _, g := range b.groups {
		left = p.group(g, left) + 8
	}
	x := treeLeft
	if len(b.groups) == 0 {
		x = topoPad
	}
	right = p.tree(b.rows, x, right)
	end := max(left, right) + 6
	inner := p.sb.String()
	p.sb = outer
	p.rect(0.5, y, topoWidth-1, end-y, "block", "")
	p.text(topoPad, y+20, "start", "head", b.title)
	p.sb.WriteString(inner)
	return end
}

// group draws the CPUs of a cache.
func (p *topoPicture) group(g cacheGroup, y float64) float64 {
	rows := (len(g.cpus) + cellsInRow - 1) / cellsInRow
	height := float64(rows)*(cellHeight+3) + 24
	p.rect(topoPad, y, cellsInRow*(cellWidth+3)+13, height, "cache", "")
	p.text(topoPad+8, y+15, "start", "", g.label)
	for i, c := range g.cpus {
		p.cell(c, topoPad+8+float64(i%cellsInRow)*(cellWidth+3), y+21+float64(i/cellsInRow)*(cellHeight+3))
	}
	return y + height
}

// maxTags is how many NICs a CPU's cell has room for.
const maxTags = 4

// cell draws a CPU with the NICs whose interrupts it takes.
func (p *topoPicture) cell(cpu int, x, y float64) {
	nics := p.on[cpu]
	var names []string
	node := p.nodeOf(cpu)
	for _, n := range nics {
		s := n.Name
		if far(n, node) {
			s += fmt.Sprintf(" (of node %d)", n.Node)
		}
		names = append(names, s)
	}
	tip := fmt.Sprintf("CPU %d", cpu)
	if len(names) > 0 {
		tip += " takes queue interrupts of " + strings.Join(names, ", ")
	}
	p.sb.WriteString(`<g class="box">`)
	p.rect(x, y, cellWidth, cellHeight, "cell", tip)
	p.text(x+cellWidth/2, y+12, "middle", "num", fmt.Sprint(cpu))
	if len(nics) > maxTags {
		nics = nics[:maxTags]
	}
	for i, n := range nics {
		w := (cellWidth - 4) / float64(len(nics))
		class := fmt.Sprintf("tag s%d", 1+p.keys[n.Name]%7)
		if far(n, node) {
			class += " far"
		}
		p.rect(x+2+float64(i)*w, y+16, w-1, 12, class, tip)
		p.text(x+2+(float64(i)+.5)*w-.5, y+25.5, "middle", "letter", keyLetter(p.keys[n.Name]))
	}
	p.sb.WriteString("</g>")
}

func (p *topoPicture) nodeOf(cpu int) int {
	for _, c := range p.m.CPUs {
		if c.CPU == cpu {
			return c.Node
		}
	}
	return -1
}

func far(n *topo.NIC, node int) bool { return n.Node >= 0 && node >= 0 && n.Node != node }

// tree draws PCI functions and NICs from y on.
func (p *topoPicture) tree(rows []topoRow, left, y float64) float64 {
	type end struct{ x, y float64 }
	var above []end // the last row of each depth
	for _, r := range rows {
		x := left + topoIndent*float64(min(r.depth, 10))
		height := rowHeight
		if len(r.nics) > 0 {
			height = boxHeight
		}
		middle := y + height/2 - 2
		if d := min(r.depth, len(above)); d > 0 {
			class := "wire"
			if r.bad {
				class += " bad"
			}
			from := above[d-1]
			p.path(fmt.Sprintf("M%s %sV%sH%s", num(from.x+5), num(from.y), num(middle), num(x-2)), class, "")
			above = above[:d]
		} else {
			above = nil
		}
		if len(r.nics) == 0 {
			s := r.address + ", " + r.what
			if r.link != "" {
				s += ", " + r.link
			}
			p.text(x, y+14, "start", "", cutText(s, topoWidth-topoPad-x))
			above = append(above, end{x, y + 18})
			y += height
			continue
		}
		above = append(above, end{x, y + height - 4})
		for _, n := range r.nics {
			p.nic(n, r, x, y)
			y += boxHeight + 4
		}
	}
	return y
}

// nic draws an interface's box.
func (p *topoPicture) nic(n *topo.NIC, r topoRow, x, y float64) {
	width := topoWidth - topoPad - x
	first, second := nicTexts(n, r)
	k, keyed := p.keys[n.Name]
	class := "nicbox"
	if keyed {
		class += fmt.Sprintf(" s%d", 1+k%7)
	}
	p.sb.WriteString(`<g class="box">`)
	p.rect(x, y, width, boxHeight-4, class, n.Heading())
	at := x + 8
	if keyed {
		p.rect(x+6, y+5, 15, 13, fmt.Sprintf("tag s%d", 1+k%7), "")
		p.text(x+13.5, y+15, "middle", "letter", keyLetter(k))
		at = x + 27
	}
	p.text(at, y+16, "start", "name", cutText(first, topoWidth-topoPad-at-6))
	p.text(x+8, y+32, "start", "", cutText(second, width-14))
	p.sb.WriteString("</g>")
}
