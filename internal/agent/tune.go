package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/tune"
)

// Tuning is a value that a setting of package tune is to have until the next
// Configure, or the session's end.
type Tuning struct {
	Setting string `json:"setting"`
	Target  string `json:"target,omitempty"` // a NIC of [Configure]; "": the machine
	Value   string `json:"value"`
}

// TunablesOf says of which NICs the settings are wanted.
type TunablesOf struct {
	NICs []string `json:"nics,omitempty"`
}

// Tunable is a setting of the host or of a NIC.
type Tunable struct {
	Setting    string     `json:"setting"`
	Scope      tune.Scope `json:"scope"`
	Target     string     `json:"target,omitempty"` // as in [Tuning]
	Doc        string     `json:"doc"`
	Value      string     `json:"value,omitempty"`      // in force
	Candidates []string   `json:"candidates,omitempty"` // worth trying
	// NotSupported says why the host can't have it, and the mend. There is then no value.
	NotSupported string `json:"not_supported,omitempty"`
}

const wholeMachine = "machine" // package tune's target

// tunable is what a session may tune: the machine and these NICs.
func (s *session) tunable(nics []string) *tune.Machine {
	return &tune.Machine{Root: s.root, NICs: nics}
}

// tune sets values in the order of the catalogue, after the settings of base, and
// adds what they come to on this host to base.
func (s *session) tune(ctx context.Context, ts []Tuning) error {
	if len(ts) == 0 {
		return nil
	}
	m := s.tunable(s.nics)
	var plan []tune.Want
	for _, t := range ts {
		if t.Target == "" {
			t.Target = wholeMachine
		}
		item, err := m.Item(t.Setting, t.Target)
		if err != nil {
			return badInput(err)
		}
		w, err := item.Want(t.Value)
		if err != nil {
			return badInput(err)
		}
		plan = append(plan, w)
	}
	order := map[string]int{}
	for n, d := range tune.Catalogue() {
		order[d.Name] = n
	}
	slices.SortStableFunc(plan, func(a, b tune.Want) int { return order[a.Item.Name] - order[b.Item.Name] })
	if err := tune.Put(ctx, s.set, plan); err != nil {
		return badInput(err)
	}
	for _, w := range plan {
		settings, err := w.Item.Resolve(w.Value)
		if err != nil {
			return err
		}
		s.base = append(s.base, settings...)
	}
	return nil
}

// badInput gives what the controller can mend its code.
func badInput(err error) error {
	if errors.Is(err, host.ErrInput) {
		return &Error{Code: "bad-request", Text: err.Error()}
	}
	return err
}

func (s *session) tunables(_ context.Context, of TunablesOf) ([]Tunable, error) {
	if !s.options.AllowSettings {
		return nil, errNoSettings
	}
	m := s.tunable(of.NICs)
	if err := m.Validate(true, ""); err != nil {
		return nil, badInput(err)
	}
	var out []Tunable
	for _, i := range m.Items() {
		t := Tunable{Setting: i.Name, Scope: i.Scope, Target: i.Target, Doc: i.Doc}
		if t.Target == wholeMachine {
			t.Target = ""
		}
		r := i.Reading()
		switch {
		case host.IsNotSupported(r.Err):
			t.NotSupported = r.Err.Error()
		case r.Err != nil:
			return nil, r.Err
		default:
			t.Value, t.Candidates = r.Value, i.Candidates()
		}
		out = append(out, t)
	}
	return out, nil
}
