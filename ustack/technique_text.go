package ustack

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Technique describes one switch of [Techniques] for flags, files and experiments.
type Technique struct {
	Name   string
	Doc    string   // what it is about
	Values []string // all of them, the default first; nil: see Doc
	set    func(t *Techniques, v string) error
	get    func(t *Techniques) string
}

// TechniqueNames lists the switches, in the order of the fields.
func TechniqueNames() []Technique { return slices.Clone(switches) }

var switches = []Technique{
	{
		Name: "gather", Doc: "frames that pass the layers together, 1 to 1024; default 64",
		set: func(t *Techniques, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > 1024 {
				return fmt.Errorf("%q: want 1 to 1024 frames", v)
			}
			t.Gather = n
			return nil
		},
		get: func(t *Techniques) string {
			if t.Gather == 0 {
				return strconv.Itoa(gatherDefault)
			}
			return strconv.Itoa(t.Gather)
		},
	},
	word("checksum", "when TCP checksums are verified: on arrival, or in the reader's copy",
		func(t *Techniques) *Checksum { return &t.Checksum }, "arrival", OnArrival, "reader", InReader),
	{
		Name: "copy", Doc: "copy routine, one of package memcopy's ('stackmeter copy' lists them), or auto",
		set: func(t *Techniques, v string) error {
			if v == "auto" {
				v = ""
			}
			try := Techniques{Copy: v}
			if _, _, err := try.complete(); err != nil {
				return err
			}
			t.Copy = v
			return nil
		},
		get: func(t *Techniques) string {
			if t.Copy == "" {
				return "auto"
			}
			return t.Copy
		},
	},
	word("buffers", "how frames are come by: recycled, allocated in bulk, or each on its own",
		func(t *Techniques) *frame.Buffers { return &t.Buffers }, "recycled", frame.Recycled, "bulk", frame.Bulk, "single", frame.Single),
	word("thread", "whether each shard has a thread of its own, on which nothing else runs",
		func(t *Techniques) *bool { return &t.LockThread }, "shared", false, "own", true),
}

// word is a switch whose values have names: pairs is name, value, name, value ...
func word[T comparable](name, doc string, at func(*Techniques) *T, pairs ...any) Technique {
	k := Technique{Name: name, Doc: doc}
	for i := 0; i < len(pairs); i += 2 {
		k.Values = append(k.Values, pairs[i].(string))
	}
	k.set = func(t *Techniques, v string) error {
		i := slices.Index(k.Values, v)
		if i < 0 {
			return fmt.Errorf("%q: want %s", v, strings.Join(k.Values, ", "))
		}
		*at(t) = pairs[2*i+1].(T)
		return nil
	}
	k.get = func(t *Techniques) string {
		for i, v := range k.Values {
			if pairs[2*i+1].(T) == *at(t) {
				return v
			}
		}
		return fmt.Sprint(*at(t))
	}
	return k
}

// Set sets a switch by its name, as Set("gather", "1").
func (t *Techniques) Set(name, value string) error {
	var known []string
	for _, s := range switches {
		if s.Name == name {
			if err := s.set(t, value); err != nil {
				return fmt.Errorf("technique %s: %w", name, err)
			}
			return nil
		}
		known = append(known, s.Name)
	}
	return fmt.Errorf("no technique is called %q: known are %s", name, strings.Join(known, ", "))
}

// Strings returns the value of every switch by its name.
func (t Techniques) Strings() map[string]string {
	all := map[string]string{}
	for _, s := range switches {
		all[s.Name] = s.get(&t)
	}
	return all
}

// Techniques returns the switches that are in force.
func (st *Stack) Techniques() Techniques { return st.cfg.Techniques }
