package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// fact is something known about a machine or a study.
type fact struct{ Name, Value string }

// studyFacts are what the manifest and the trials say of the study.
func studyFacts(d *result.Dir) []fact {
	m := &d.Manifest
	fs := []fact{
		{"plan", m.Plan.Name},
		{"rig", m.Rig},
		{"stand-ins", standIns[m.Rig]},
		{"started", m.Started.UTC().Format("2006-01-02 15:04:05 MST")},
		{"kernel", m.Versions.Kernel},
		{"stackmeter", m.Versions.Stackmeter + ", " + m.Versions.Go},
		{"command", strings.Join(m.CommandLine, " ")},
		{"seed", strconv.FormatUint(m.Seed, 10)},
		{"trials", countTrials(d).String()},
	}
	if s := cpuSources(d); s != "" {
		fs = append(fs, fact{"CPU time", s})
	}
	if len(d.Trials) > 0 {
		if t := d.Trials[0].WindowSeconds; t > 0 {
			fs = append(fs, fact{"window", fmt.Sprintf("%.2f s", t)})
		}
	}
	return slices.DeleteFunc(fs, func(f fact) bool { return f.Value == "" })
}

func cpuSources(d *result.Dir) string {
	var out []string
	for i := range d.Trials {
		t := &d.Trials[i]
		if t.Status != trial.OK {
			continue
		}
		s := t.CPU.Source
		if !t.CPU.Exact {
			s += " (not exact)"
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}

// hostFacts flattens the facts about a host into names and values, in the
// order of the file: {"cpu":{"model":"x"}} becomes "cpu model: x". Lists of
// plain values become one value; of objects, one fact an element.
func hostFacts(raw json.RawMessage) []fact {
	var out []fact
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	flatten(dec, "", &out)
	return out
}

func flatten(dec *json.Decoder, name string, out *[]fact) {
	tok, err := dec.Token()
	if err != nil {
		return
	}
	switch tok {
	case json.Delim('{'):
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return
			}
			flatten(dec, join(name, fmt.Sprint(key)), out)
		}
		_, _ = dec.Token()
	case json.Delim('['):
		var plain []string
		for i := 0; dec.More(); i++ {
			var sub []fact
			flatten(dec, name, &sub)
			if len(sub) == 1 && sub[0].Name == name {
				plain = append(plain, sub[0].Value)
				continue
			}
			// One line an element: its own fields, without the list's name.
			var parts []string
			for _, f := range sub {
				parts = append(parts, strings.TrimPrefix(f.Name, name+" ")+" "+f.Value)
			}
			if len(parts) > 0 {
				*out = append(*out, fact{fmt.Sprintf("%s %d", name, i), strings.Join(parts, ", ")})
			}
		}
		_, _ = dec.Token()
		if len(plain) > 0 {
			*out = append(*out, fact{name, strings.Join(plain, " ")})
		}
	default:
		if v := fmt.Sprint(tok); tok != nil && v != "" {
			*out = append(*out, fact{name, v})
		}
	}
}

func join(prefix, key string) string {
	key = strings.ReplaceAll(key, "_", " ")
	if prefix == "" {
		return key
	}
	return prefix + " " + key
}

// roles are the hosts' roles, server first.
func roles(h result.Hosts) []string {
	rs := slices.Sorted(maps.Keys(h))
	slices.SortStableFunc(rs, func(a, b string) int {
		rank := func(s string) int { return map[string]int{"server": 0, "client": 1}[s] }
		return rank(a) - rank(b)
	})
	return rs
}
