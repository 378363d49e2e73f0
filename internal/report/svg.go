package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// svg writes an SVG image element by element. Colours come from the page's
// style by class, so that a chart follows the light and the dark scheme.
type svg struct {
	sb strings.Builder
}

// num writes a coordinate in as few bytes as a screen needs.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

func (s *svg) open(width, height float64, class, title, desc string) {
	fmt.Fprintf(&s.sb, `<svg viewBox="0 0 %s %s" class="%s" role="img" aria-label="%s">`,
		num(width), num(height), class, html.EscapeString(strings.TrimSpace(title+". "+desc)))
}

func (s *svg) close() template.HTML {
	s.sb.WriteString("</svg>")
	return template.HTML(s.sb.String()) //nolint:gosec // every text went through EscapeString
}

func (s *svg) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&s.sb, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`, num(x1), num(y1), num(x2), num(y2), class)
}

func (s *svg) rect(x, y, w, h float64, class, tip string) {
	fmt.Fprintf(&s.sb, `<rect x="%s" y="%s" width="%s" height="%s" class="%s"`, num(x), num(y), num(max(w, 0)), num(max(h, 0)), class)
	s.tip("rect", tip)
}

func (s *svg) circle(x, y, r float64, class, tip string) {
	fmt.Fprintf(&s.sb, `<circle cx="%s" cy="%s" r="%s" class="%s"`, num(x), num(y), num(r), class)
	s.tip("circle", tip)
}

func (s *svg) path(d, class, tip string) {
	fmt.Fprintf(&s.sb, `<path d="%s" class="%s"`, d, class)
	s.tip("path", tip)
}

// tip closes an element, with what a pointer resting on it shows.
func (s *svg) tip(element, text string) {
	if text == "" {
		s.sb.WriteString("/>")
		return
	}
	fmt.Fprintf(&s.sb, "><title>%s</title></%s>", html.EscapeString(text), element)
}

func (s *svg) text(x, y float64, anchor, class, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(&s.sb, `<text x="%s" y="%s" text-anchor="%s" class="%s">%s</text>`, num(x), num(y), anchor, class, html.EscapeString(text))
}

// symbol draws the marker of a series; shapes differ so that colour need not
// tell them apart.
func (s *svg) symbol(shape int, x, y, r float64, class, tip string) {
	switch shape % 5 {
	case 0:
		s.circle(x, y, r, class, tip)
	case 1:
		s.rect(x-r*.9, y-r*.9, 1.8*r, 1.8*r, class, tip)
	case 2:
		s.path(polygon(x, y-1.2*r, x+1.1*r, y+.9*r, x-1.1*r, y+.9*r), class, tip)
	case 3:
		s.path(polygon(x, y-1.3*r, x+1.3*r, y, x, y+1.3*r, x-1.3*r, y), class, tip)
	default:
		s.path(polygon(x, y+1.2*r, x+1.1*r, y-.9*r, x-1.1*r, y-.9*r), class, tip)
	}
}

func polygon(xy ...float64) string {
	var sb strings.Builder
	for i := 0; i+1 < len(xy); i += 2 {
		sb.WriteString(map[bool]string{true: "M", false: "L"}[i == 0] + num(xy[i]) + " " + num(xy[i+1]))
	}
	return sb.String() + "Z"
}

// ticks are round numbers from at or below lo to at or above hi, about five.
func ticks(lo, hi float64) []float64 {
	if !(hi > lo) {
		hi = lo + 1
	}
	raw := (hi - lo) / 5
	mag := math.Pow(10, math.Floor(math.Log10(raw)))
	step := mag * 10
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*mag >= raw*0.999 {
			step = m * mag
			break
		}
	}
	var out []float64
	for i := math.Floor(lo/step + 1e-9); ; i++ {
		out = append(out, i*step)
		if i*step >= hi-1e-9*step {
			return out
		}
	}
}

func tickLabel(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}
