package ustack

import (
	"cmp"
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
	count("gather", "frames that pass the layers together on receive, 1 to 1024; default 64",
		gatherDefault, func(t *Techniques) *int { return &t.Gather }),
	count("bunch", "frames that leave together, 1 to 1024; default 128",
		bunchDefault, func(t *Techniques) *int { return &t.Bunch }),
	word("checksum", "when TCP checksums are verified: on arrival, or in the reader's copy",
		func(t *Techniques) *Checksum { return &t.Checksum }, "arrival", OnArrival, "reader", InReader),
	routine("copy", "copy routine on receive, one of package memcopy's ('stackmeter copy' lists them), or auto",
		func(t *Techniques) *string { return &t.Copy }),
	routine("send-copy", "copy routine on send, as copy",
		func(t *Techniques) *string { return &t.SendCopy }),
	routine("fused", "routine that copies and sums: on receive with checksum=reader, on send where the device makes no checksums",
		func(t *Techniques) *string { return &t.Fused }),
	word("align", "whether payloads begin at a cache line of 64 bytes, or where their headers end",
		func(t *Techniques) *bool { return &t.Align }, "off", false, "on", true),
	word("acks", "what is acknowledged at once: all of a bunch, or every second segment",
		func(t *Techniques) *ACKs { return &t.ACKs }, "bunch", ACKBunch, "second", ACKSecond),
	word("buffers", "how frames are come by: recycled, allocated in bulk, or each on its own",
		func(t *Techniques) *frame.Buffers { return &t.Buffers }, "recycled", frame.Recycled, "bulk", frame.Bulk, "single", frame.Single),
	word("locality", "where a flow's packets are processed: in its shard, or spread over all CPUs one by one",
		func(t *Techniques) *Locality { return &t.Locality }, "shard", LocalShard, "spread", Spread),
	word("wake", "where a goroutine woken by the shard runs: on the same thread next, or on any",
		func(t *Techniques) *Wake { return &t.Wake }, "same", WakeSame, "any", WakeAny),
	word("thread", "whether each shard has a thread of its own, on which nothing else runs",
		func(t *Techniques) *bool { return &t.LockThread }, "shared", false, "own", true),
}

// count is a switch that is a number of frames.
func count(name, doc string, none int, at func(*Techniques) *int) Technique {
	return Technique{
		Name: name, Doc: doc,
		set: func(t *Techniques, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > 1024 {
				return fmt.Errorf("%q: want 1 to 1024 frames", v)
			}
			*at(t) = n
			return nil
		},
		get: func(t *Techniques) string { return strconv.Itoa(cmp.Or(*at(t), none)) },
	}
}

// routine is a switch that names a routine of package memcopy.
func routine(name, doc string, at func(*Techniques) *string) Technique {
	return Technique{
		Name: name, Doc: doc,
		set: func(t *Techniques, v string) error {
			if v == "auto" {
				v = ""
			}
			var try Techniques
			*at(&try) = v
			if _, _, err := try.complete(); err != nil {
				return err
			}
			*at(t) = v
			return nil
		},
		get: func(t *Techniques) string { return cmp.Or(*at(t), "auto") },
	}
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
