package report

import (
	"io"
	"strings"
	"unicode/utf8"
)

// style is an ANSI attribute; the zero style is plain.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	green  style = "32"
	red    style = "31"
	yellow style = "33"
)

type textCell struct {
	text  string
	style style
}

// table is a table of text. The first columns are left-aligned, as many as
// Left says.
type table struct {
	left int
	rows [][]textCell
}

func (t *table) row(cells ...textCell) { t.rows = append(t.rows, cells) }

func (t *table) head(names ...string) {
	cells := make([]textCell, len(names))
	for i, n := range names {
		cells[i] = textCell{n, dim}
	}
	t.row(cells...)
}

// printer writes text, with or without colour.
type printer struct {
	w     io.Writer
	color bool
	width int
	err   error
}

func (p *printer) print(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

func (p *printer) paint(s string, st style) string {
	if !p.color || st == plain || s == "" {
		return s
	}
	return "\x1b[" + string(st) + "m" + s + "\x1b[0m"
}

// line writes a line, cut at the width.
func (p *printer) line(s string, st style) { p.print(p.paint(cut(s, p.width), st) + "\n") }

// table writes the table. If it is too wide, the columns that don't fit follow
// below, each part with the left columns again; nothing is dropped. A column without a
// heading stays with the one before it.
func (p *printer) table(t *table) {
	var widths []int
	for _, r := range t.rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	left := 0
	for _, w := range widths[:min(t.left, len(widths))] {
		left += w + 2
	}
	for from := t.left; from < len(widths); {
		to, used := from, left
		for to < len(widths) && (to == from || used+2+widths[to] <= p.width) {
			used += 2 + widths[to]
			to++
		}
		for to < len(widths) && to-1 > from && t.untitled(to) {
			to--
		}
		if from > t.left {
			p.print("\n")
		}
		p.columns(t, widths, from, to)
		from = to
	}
}

// untitled reports whether column i has no heading.
func (t *table) untitled(i int) bool { return i >= len(t.rows[0]) || t.rows[0][i].text == "" }

func (p *printer) columns(t *table, widths []int, from, to int) {
	for _, r := range t.rows {
		var sb strings.Builder
		blank := true
		for i, c := range r {
			if i >= t.left && (i < from || i >= to) {
				continue
			}
			blank = blank && c.text == ""
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			sb.WriteString("  ")
			if i < t.left {
				sb.WriteString(p.paint(c.text, c.style) + pad)
			} else {
				sb.WriteString(pad + p.paint(c.text, c.style))
			}
		}
		if !blank {
			p.print(strings.TrimRight(sb.String(), " ") + "\n")
		}
	}
}

// wrap writes text over several lines. The first keeps its leading blanks, each
// other is indented by indent. A word that is too long for a line, as a path, is
// left whole.
func (p *printer) wrap(s string, indent int, st style) {
	pad := strings.Repeat(" ", indent)
	first := s[:len(s)-len(strings.TrimLeft(s, " "))]
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = first + word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > p.width:
			p.print(p.paint(line, st) + "\n")
			line = pad + word
		default:
			line += " " + word
		}
	}
	if line != "" {
		p.print(p.paint(line, st) + "\n")
	}
}

// cut shortens a text to at most n runes, with an ellipsis.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:max(0, n-1)]) + "…"
}
