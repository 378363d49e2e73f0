package tune

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// Want is a value that an item is to have.
type Want struct {
	Item  Item
	Value string // canonical
	Field string // where a profile says so; "" where none does
}

// Want checks a value's form.
func (i Item) Want(value string) (Want, error) {
	v, err := i.Canonical(value)
	return Want{Item: i, Value: v}, err
}

// Plan gives what a profile asks of this machine, in the order in which it is to be applied.
// It is an error, which wraps host.ErrInput, if the profile asks for something that was not
// handed over.
func (m *Machine) Plan(p *Profile) ([]Want, error) {
	for _, v := range p.Values {
		switch targets := m.targets(v.Definition.Scope); {
		case len(targets) == 0:
			return nil, fmt.Errorf("%w: %s: none was handed over; give %s, or take it out of the profile", host.ErrInput, v.Field, flagOf(v.Definition.Scope))
		case v.NIC != "" && !slices.Contains(targets, v.NIC):
			return nil, fmt.Errorf("%w: %s: NIC %s was not handed over; give --nic %s, or take it out of the profile", host.ErrInput, v.Field, v.NIC, v.NIC)
		}
	}
	var out []Want
	for _, i := range m.Items() {
		var mine *Value
		for n, v := range p.Values {
			if v.Definition.Name == i.Name && (v.NIC == i.Target || v.NIC == "" && mine == nil) {
				mine = &p.Values[n]
			}
		}
		if mine != nil {
			out = append(out, Want{i, mine.Text, mine.Field})
		}
	}
	return out, nil
}

// State is how a wanted value stands to the machine.
type State struct {
	Want
	Now string // in the form of profiles; "" where it can't be read
	// Parts are the knobs of which it is made. They are those of the machine as it is: queues and threads
	// that another setting of the plan makes are not among them.
	Parts []Part
	// Later says that the parts are known only once another setting of the plan is in
	// force.
	Later bool
	Err   error // why it can't be had: a *host.NotSupportedError, or what else went wrong
}

// Part is a knob with its values.
type Part struct {
	Setting knob.Setting
	Now     string
}

// Differs reports whether applying the plan changes something for this value.
func (s State) Differs() bool {
	return s.Later || slices.ContainsFunc(s.Parts, func(p Part) bool { return p.Now != p.Setting.Value })
}

// States compares a plan with the machine and changes nothing.
func States(plan []Want) []State {
	out := make([]State, len(plan))
	moving := map[string]bool{} // NICs whose queues or threads the plan changes
	for n, w := range plan {
		s := State{Want: w}
		s.Now, _ = w.Item.Read()
		settings, err := w.Item.Resolve(w.Value)
		for _, k := range settings {
			now, readErr := k.Knob.Read()
			if readErr != nil && err == nil {
				err = w.Item.lacking(readErr)
			}
			s.Parts = append(s.Parts, Part{k, now})
		}
		s.Err = err
		if moving[w.Item.Target] && placed(w.Item.Name) {
			s.Later, s.Err = true, nil
		}
		if s.Err == nil && makesQueues(w.Item.Name) && s.Differs() {
			moving[w.Item.Target] = true
		}
		out[n] = s
	}
	return out
}

// makesQueues reports whether a setting makes or ends what others place.
func makesQueues(name string) bool {
	return strings.HasSuffix(name, "-channels") || name == "threaded-napi"
}

func placed(name string) bool {
	return slices.Contains([]string{"irq-affinity", "napi-cpus", "rfs", "rps", "xps"}, name)
}

// Possible refuses a plan of which the machine can't have all. With skip it gives the
// plan without what is not supported, and the errors of that; other errors refuse it all the
// same.
func Possible(plan []Want, skip bool) (rest []Want, skipped []error, err error) {
	var errs []error
	for _, s := range States(plan) {
		for _, p := range s.Parts {
			if s.Err == nil && !s.Later && p.Now != p.Setting.Value {
				s.Err = knob.Writable(p.Setting.Knob)
			}
		}
		switch {
		case s.Err == nil:
			rest = append(rest, s.Want)
		case skip && host.IsNotSupported(s.Err):
			skipped = append(skipped, s.Err)
		default:
			errs = append(errs, s.located())
		}
	}
	if len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	return rest, skipped, nil
}

func (s State) located() error {
	if s.Field == "" {
		return s.Err
	}
	return fmt.Errorf("%s: %w", s.Field, s.Err)
}
