package study

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// file is a plan as people write it; see doc/plan-format.md.
type file struct {
	Name          string           `yaml:"name"`
	Title         string           `yaml:"title"`
	Rig           string           `yaml:"rig"`
	Defaults      map[string]level `yaml:"defaults"`
	RampUp        string           `yaml:"ramp_up"`
	Window        string           `yaml:"window"`
	Interval      string           `yaml:"interval"`
	Replicates    int              `yaml:"replicates"`
	MaxAttempts   int              `yaml:"max_attempts"`
	StrangerLimit string           `yaml:"stranger_limit"`
	Profile       level            `yaml:"profile"`
	InsideStack   bool             `yaml:"inside_stack"`
	Experiments   []fileExperiment `yaml:"experiments"`
}

type fileExperiment struct {
	Name     string             `yaml:"name"`
	Title    string             `yaml:"title"`
	Factors  yaml.MapSlice      `yaml:"factors"`
	Include  []map[string]level `yaml:"include"`
	Baseline map[string]level   `yaml:"baseline"`
	Effects  bool               `yaml:"effects"`
	Half     bool               `yaml:"half"`
}

// level is a level as written: a word, a number or a truth value.
type level string

// UnmarshalYAML takes any scalar.
func (l *level) UnmarshalYAML(unmarshal func(any) error) error {
	var v any
	if err := unmarshal(&v); err != nil {
		return err
	}
	s, err := scalar(v)
	*l = level(s)
	return err
}

func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		if v {
			return "on", nil
		}
		return "off", nil
	case int64, uint64, int, float64:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("%v: want one word or number", v)
}

// parse reads a plan. Errors of form carry line and column, errors of meaning the
// field's path.
func parse(data []byte, m Machine, o Overrides) (*experiment.Plan, []string, error) {
	f := file{RampUp: "300ms", Window: "1s", Interval: "100ms", Replicates: 6, MaxAttempts: 3, StrangerLimit: "2%"}
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	err := dec.Decode(&f)
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("the plan is empty: want name and experiments")
	}
	if err != nil {
		return nil, nil, errors.New(yaml.FormatError(err, false, true))
	}
	o.apply(&f)
	p := &experiment.Plan{
		Name: f.Name, Title: f.Title, Rig: f.Rig, Defaults: levels(f.Defaults),
		Replicates: f.Replicates, MaxAttempts: f.MaxAttempts, InsideStack: f.InsideStack,
	}
	for _, d := range []struct {
		field, text string
		to          *time.Duration
	}{
		{"ramp_up", f.RampUp, &p.Timing.RampUp}, {"window", f.Window, &p.Timing.Window}, {"interval", f.Interval, &p.Timing.Interval},
	} {
		v, err := time.ParseDuration(d.text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %q is no duration; write 300ms, 1s or 2m", d.field, d.text)
		}
		*d.to = v
	}
	limit, err := unit.ParsePercent(f.StrangerLimit)
	if err != nil || !strings.HasSuffix(f.StrangerLimit, "%") {
		return nil, nil, fmt.Errorf("stranger_limit: %q, want a percentage such as 2%%", f.StrangerLimit)
	}
	p.StrangerLimit = limit
	if p.Profile, err = profileOf(f.Profile); err != nil {
		return nil, nil, err
	}
	r := resolver{machine: m, overrides: o}
	for i, fe := range f.Experiments {
		e, err := r.experiment(fe)
		if err != nil {
			return nil, nil, fmt.Errorf("experiments[%d].%w", i, err)
		}
		if e != nil {
			p.Experiments = append(p.Experiments, *e)
		}
	}
	r.defaults(p.Defaults)
	if err := p.Normalize(); err != nil {
		return nil, nil, err
	}
	return p, r.notes, nil
}

// DefaultProfile is for how long a trial is profiled where a plan says no more than
// that it is.
const DefaultProfile = 5 * time.Second

func profileOf(l level) (time.Duration, error) {
	switch l {
	case "", "off":
		return 0, nil
	case "on":
		return DefaultProfile, nil
	}
	d, err := time.ParseDuration(string(l))
	if err != nil {
		return 0, fmt.Errorf("profile: %q, want true, false or a duration such as 10s", l)
	}
	return d, nil
}

func levels(in map[string]level) experiment.Levels {
	out := experiment.Levels{}
	for k, v := range in {
		out[k] = string(v)
	}
	return out
}
