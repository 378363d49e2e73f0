package report

import (
	"cmp"
	"html/template"
	"math"
	"strings"
)

// mark is one measured value in a chart, in the unit of its axis.
type mark struct {
	Has       bool
	V, Lo, Hi float64
	Ideal     float64 // 0: none; drawn as a dashed cap over a bar
	Paper     float64 // 0: none; the paper's value, drawn as a hollow diamond
	Color     int     // of its bar, in a chart whose bars are the cases
	Tip       string
}

// series is one colour of a chart, with a mark for each category.
type series struct {
	Name   string
	Color  int // index of the palette; also the shape of its markers
	Marks  []mark
	Dashed bool // a reference, no measurement: a line without markers
	Hollow bool // the paper's
	// Curve is drawn instead of marks, over a numeric axis: a fitted function.
	Curve func(x float64) float64
}

// chart has a category axis, or with Xs a numeric one, and a value axis.
type chart struct {
	Title, Desc  string // for those who can't see it
	Caption      string
	XTitle       string
	YTitle       string
	Cats         []string
	Xs           []float64
	Series       []series
	Bars         bool // else lines with markers
	IdealLegend  bool
	PaperLegend  bool
	colorPerMark bool   // one series whose bars are the cases
	whiskers     string // what the error bars are; empty: 95 % intervals
}

// catBreak parts the levels in the name of a cell.
const catBreak = " · "

// The frame of a chart, in the units of its viewBox. Small enough that its
// text can be read when a phone scales it down.
const (
	chartW, chartH                   = 480.0, 290.0
	chartL, chartR, chartT, chartBot = 44.0, 10.0, 26.0, 44.0
)

// frame maps values to coordinates; height is that of the plot.
type frame struct{ lo, hi, height float64 }

func (f frame) y(v float64) float64 {
	return chartT + f.height*(1-(v-f.lo)/(f.hi-f.lo))
}

func (c *chart) SVG() template.HTML {
	var s svg
	s.open(chartW, chartH, "chart", c.Title, c.Desc)
	lo, hi := 0.0, 0.0
	for _, sr := range c.Series {
		for _, m := range sr.Marks {
			if m.Has {
				lo, hi = min(lo, m.Lo, m.V, m.Paper), max(hi, m.Hi, m.V, m.Ideal, m.Paper)
			}
		}
	}
	tk := ticks(lo, hi)
	// A category of several levels takes a line for each.
	lines := 1
	for _, name := range c.Cats {
		lines = max(lines, 1+strings.Count(name, catBreak))
	}
	bottom := chartBot + 14*float64(lines-1)
	f := frame{tk[0], tk[len(tk)-1], chartH - chartT - bottom}
	for _, v := range tk {
		class := "grid"
		if v == 0 {
			class = "axis"
		}
		s.line(chartL, f.y(v), chartW-chartR, f.y(v), class)
		s.text(chartL-6, f.y(v)+4, "end", "tick", tickLabel(v))
	}
	s.text(4, 13, "start", "ytitle", c.YTitle)
	for i, name := range c.Cats {
		for j, part := range strings.Split(name, catBreak) {
			s.text(c.x(i), chartH-bottom+17+14*float64(j), "middle", "tick", part)
		}
	}
	s.text((chartL+chartW-chartR)/2, chartH-6, "middle", "xtitle", c.XTitle)
	if c.Bars {
		c.bars(&s, f)
	} else {
		c.lines(&s, f)
	}
	return s.close()
}

// x is the middle of a category.
func (c *chart) x(i int) float64 {
	inner := chartW - chartL - chartR
	if c.Xs == nil {
		return chartL + inner*(float64(i)+.5)/float64(len(c.Cats))
	}
	lo, hi := c.Xs[0], c.Xs[len(c.Xs)-1]
	if hi == lo {
		return chartL + inner/2
	}
	return chartL + 24 + (inner-48)*(c.Xs[i]-lo)/(hi-lo)
}

func (c *chart) bars(s *svg, f frame) {
	slot := (chartW - chartL - chartR) / float64(len(c.Cats))
	width := min(slot*.8/float64(len(c.Series)), 44)
	for k, sr := range c.Series {
		for i, m := range sr.Marks {
			if !m.Has {
				continue
			}
			x := c.x(i) + width*(float64(k)-float64(len(c.Series))/2)
			color := sr.Color
			if c.colorPerMark {
				color = m.Color
			}
			top, bottom := f.y(max(m.V, 0)), f.y(min(m.V, 0))
			s.rect(x+1, top, width-2, bottom-top, "bar "+colorClass(color), m.Tip)
			errorBar(s, f, x+width/2, m)
			if m.Ideal > 0 {
				s.line(x, f.y(m.Ideal), x+width, f.y(m.Ideal), "ideal")
			}
			if m.Paper != 0 {
				s.symbol(3, x+width/2, f.y(m.Paper), min(4, width/3), "paper", "the paper: "+tickLabel(m.Paper))
			}
		}
	}
}

func errorBar(s *svg, f frame, x float64, m mark) {
	if m.Hi <= m.Lo {
		return
	}
	lo, hi := f.y(m.Lo), f.y(m.Hi)
	s.path("M"+num(x)+" "+num(lo)+"V"+num(hi)+"M"+num(x-3)+" "+num(lo)+"h6M"+num(x-3)+" "+num(hi)+"h6", "error", "")
}

func (c *chart) lines(s *svg, f frame) {
	for _, sr := range c.Series {
		var d strings.Builder
		pen := "M"
		if sr.Curve != nil {
			first, last := c.Xs[0], c.Xs[len(c.Xs)-1]
			for i := range 41 {
				v := first + (last-first)*float64(i)/40
				x := c.x(0) + (c.x(len(c.Xs)-1)-c.x(0))*float64(i)/40
				d.WriteString(pen + num(x) + " " + num(f.y(sr.Curve(v))))
				pen = "L"
			}
			s.path(d.String(), "fit "+colorClass(sr.Color), "")
			continue
		}
		for i, m := range sr.Marks {
			if !m.Has {
				pen = "M"
				continue
			}
			d.WriteString(pen + num(c.x(i)) + " " + num(f.y(m.V)))
			pen = "L"
		}
		class := "line " + colorClass(sr.Color)
		if sr.Dashed {
			class = "ideal"
		}
		if sr.Hollow {
			class = "paperline"
		}
		s.path(d.String(), class, "")
	}
	for _, sr := range c.Series {
		for i, m := range sr.Marks {
			switch {
			case !m.Has || sr.Dashed:
			case sr.Hollow:
				s.symbol(3, c.x(i), f.y(m.V), 4, "paper", m.Tip)
			default:
				errorBar(s, f, c.x(i), m)
				s.symbol(sr.Color, c.x(i), f.y(m.V), 4, "dot "+colorClass(sr.Color), m.Tip)
			}
		}
	}
}

// key is an entry of a legend.
type key struct {
	Name   string
	Swatch template.HTML
}

// Legend names the series and the kinds of marks.
func (c *chart) Legend() []key {
	var out []key
	swatch := func(draw func(*svg)) template.HTML {
		var s svg
		s.sb.WriteString(`<svg viewBox="0 0 22 12" class="swatch" aria-hidden="true">`)
		draw(&s)
		return s.close()
	}
	if !c.colorPerMark {
		for _, sr := range c.Series {
			out = append(out, key{sr.Name, swatch(func(s *svg) {
				switch {
				case sr.Dashed:
					s.line(0, 6, 22, 6, "ideal")
				case sr.Hollow:
					s.line(0, 6, 22, 6, "paperline")
					s.symbol(3, 11, 6, 4, "paper", "")
				case sr.Curve != nil:
					s.line(0, 6, 22, 6, "fit "+colorClass(sr.Color))
				case c.Bars:
					s.rect(4, 1, 14, 10, "bar "+colorClass(sr.Color), "")
				default:
					s.line(0, 6, 22, 6, "line "+colorClass(sr.Color))
					s.symbol(sr.Color, 11, 6, 4, "dot "+colorClass(sr.Color), "")
				}
			})})
		}
	}
	if c.IdealLegend {
		out = append(out, key{"ideal", swatch(func(s *svg) { s.line(2, 6, 20, 6, "ideal") })})
	}
	if c.PaperLegend {
		out = append(out, key{"the paper, 2002", swatch(func(s *svg) { s.symbol(3, 11, 6, 4, "paper", "") })})
	}
	return append(out, key{cmp.Or(c.whiskers, "95 % interval"), swatch(func(s *svg) { s.path("M11 1V11M8 1h6M8 11h6", "error", "") })})
}

// palette is how many colours the style defines.
const palette = 8

func colorClass(i int) string { return "s" + string(rune('0'+i%palette)) }

// rateScale picks the unit of an axis of bit rates.
func rateScale(largest float64) (divisor float64, name string) {
	switch {
	case largest >= 1e9:
		return 1e9, "Gb/s"
	case largest >= 1e6:
		return 1e6, "Mb/s"
	}
	return 1e3, "kb/s"
}

func (m mark) scaled(by float64) mark {
	m.V, m.Lo, m.Hi, m.Ideal, m.Paper = m.V/by, m.Lo/by, m.Hi/by, m.Ideal/by, m.Paper/by
	return m
}

// rescale brings all marks of a chart of bit rates to one unit and returns its
// name.
func (c *chart) rescale() string {
	largest := 0.0
	for _, s := range c.Series {
		for _, m := range s.Marks {
			largest = math.Max(largest, m.V)
		}
	}
	by, name := rateScale(largest)
	for _, s := range c.Series {
		for i := range s.Marks {
			s.Marks[i] = s.Marks[i].scaled(by)
		}
	}
	return name
}
