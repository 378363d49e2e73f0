package agent

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// openMetrics is the content type of what [exposition] writes.
const openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"

// exposition is a text in the format OpenMetrics 1.0 (https://openmetrics.io): families of
// samples, one after the other.
type exposition struct {
	bytes.Buffer
	family string
	kind   string
}

// begin begins a family. Unit is what its name ends with, "" where it has none.
func (e *exposition) begin(family, kind, unit, help string) {
	e.family, e.kind = family, kind
	fmt.Fprintf(e, "# TYPE %s %s\n", family, kind)
	if unit != "" {
		fmt.Fprintf(e, "# UNIT %s %s\n", family, unit)
	}
	fmt.Fprintf(e, "# HELP %s %s\n", family, escaped.Replace(help))
}

// sample writes one sample of the family. Labels are names and values in turn.
func (e *exposition) sample(value float64, labels ...string) {
	e.WriteString(e.family)
	switch e.kind {
	case "counter":
		e.WriteString("_total")
	case "info":
		e.WriteString("_info")
	}
	for i := 0; i < len(labels); i += 2 {
		fmt.Fprintf(e, `%s%s="%s"`, map[bool]string{true: "{", false: ","}[i == 0], labels[i], escaped.Replace(strings.ToValidUTF8(labels[i+1], "")))
	}
	if len(labels) > 0 {
		e.WriteByte('}')
	}
	fmt.Fprintf(e, " %s\n", number(value))
}

// end ends the text.
func (e *exposition) end() { e.WriteString("# EOF\n") }

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
