// Package export writes the trials of a result in formats that other tools
// read. It derives nothing: each trial that counts becomes one row or line, so
// that the other tool's statistics work on the same single values.
package export

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/result"
)

// Encoder writes a result in one format.
type Encoder func(w io.Writer, d *result.Dir) error

// Format is a format by its name on the command line.
type Format struct {
	Name   string
	Doc    string
	Encode Encoder
}

// Formats lists all formats.
func Formats() []Format {
	return []Format{
		{"csv", "one row a trial, every trial, with its status", CSV},
		{"gobench", "the Go benchmark format, for benchstat (trials with status ok)", GoBench},
	}
}

// Find returns the format of that name.
func Find(name string) (Format, error) {
	var known []string
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
		known = append(known, f.Name)
	}
	return Format{}, fmt.Errorf("unknown export format %q: known are %s", name, strings.Join(known, ", "))
}

// factors are the names of all factors of the result, in alphabetical order
// but for the message size, which leads as in the paper's tables.
func factors(d *result.Dir) []string {
	all := map[string]bool{}
	for i := range d.Trials {
		for f := range d.Trials[i].Levels {
			all[f] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		rank := func(s string) int {
			if s == "message_size" {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
}
