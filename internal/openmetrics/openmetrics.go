// Package openmetrics writes text in the format OpenMetrics 1.0 (https://openmetrics.io),
// which Prometheus and its relatives read.
package openmetrics

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ContentType is what an HTTP server calls such a text.
const ContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

// Text is a text in the making: families of samples, one after the other.
type Text struct {
	bytes.Buffer
	family string
	suffix string // of the family's samples
}

// Begin begins a family of a kind: "gauge", "counter", "info" or "histogram". Unit is what
// its name ends with, "" where it has none.
func (t *Text) Begin(family, kind, unit, help string) {
	t.family, t.suffix = family, map[string]string{"counter": "_total", "info": "_info"}[kind]
	fmt.Fprintf(t, "# TYPE %s %s\n", family, kind)
	if unit != "" {
		fmt.Fprintf(t, "# UNIT %s %s\n", family, unit)
	}
	fmt.Fprintf(t, "# HELP %s %s\n", family, escaped.Replace(help))
}

// Sample writes one sample of the family. Labels are names and values in turn.
func (t *Text) Sample(value float64, labels ...string) { t.write(t.suffix, value, labels) }

// Bucket writes how many records of a histogram were at most le, in its unit.
func (t *Text) Bucket(le, count float64) {
	t.write("_bucket", count, []string{"le", number(le)})
}

// Sum ends a histogram of count records.
func (t *Text) Sum(count, sum float64) {
	t.Bucket(math.Inf(1), count)
	t.write("_count", count, nil)
	t.write("_sum", sum, nil)
}

func (t *Text) write(suffix string, value float64, labels []string) {
	t.WriteString(t.family + suffix)
	for i := 0; i < len(labels); i += 2 {
		fmt.Fprintf(t, `%s%s="%s"`, map[bool]string{true: "{", false: ","}[i == 0], labels[i], escaped.Replace(strings.ToValidUTF8(labels[i+1], "")))
	}
	if len(labels) > 0 {
		t.WriteByte('}')
	}
	fmt.Fprintf(t, " %s\n", number(value))
}

// End ends the text.
func (t *Text) End() { t.WriteString("# EOF\n") }

var escaped = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// number writes whole numbers as such: not all readers take an exponent for a count.
func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
