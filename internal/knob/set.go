package knob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// Set is the settings that a process holds, in the order in which they were made. It
// acts in the network namespace of the calling thread, which must be the same for all
// calls. It is not safe for concurrent use.
type Set struct {
	root    host.Root
	journal *Journal
	held    []held
	guarded []held
	left    Report // what releases on the way could not undo, for Restore
}

type held struct {
	Setting          // Value is canonical
	entries []*entry // what was changed for it, oldest first; none if it was so already
}

// NewSet makes an empty set that writes its changes to journal first.
func NewSet(root host.Root, journal *Journal) *Set { return &Set{root: root, journal: journal} }

func same(a, b Knob) bool {
	x, y := a.Info(), b.Info()
	return x.Kind == y.Kind && x.Key == y.Key
}

func (s *Set) find(k Knob) *held {
	for i := range s.held {
		if same(s.held[i].Knob, k) {
			return &s.held[i]
		}
	}
	return nil
}

// Put sets a knob and verifies it. What was changed stays noted even where an
// error is returned: call Restore. Where this process may not set the knob the error
// is a *host.NotSupportedError.
func (s *Set) Put(ctx context.Context, k Knob, value string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info := k.Info()
	want, err := k.Canonical(value)
	if err != nil {
		return err
	}
	old, err := k.Read()
	if err != nil {
		return fmt.Errorf("read %s of %s: %w", info.Name, info.Target, err)
	}
	h := s.find(k)
	if h == nil {
		s.held = append(s.held, held{Setting: Setting{k, want}})
		h = &s.held[len(s.held)-1]
	}
	h.Knob, h.Value = k, want
	if old == want {
		return nil
	}
	if err := Harmless(k, want); err != nil {
		return err
	}
	es, err := disturbed(s.root, info, old, want)
	if err != nil {
		return err
	}
	e := &entry{Type: "change", Kind: info.Kind, Key: info.Key, Name: info.Name, Target: info.Target, Old: old, New: want, Rounds: rounds(info.Kind)}
	if e.place, err = placeOf(info); err != nil {
		return err
	}
	es = append(es, e)
	if err := s.journal.append(es...); err != nil {
		return err
	}
	h.entries = append(h.entries, es...)
	if err := k.Write(want); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return &host.NotSupportedError{What: fmt.Sprintf("set %s of %s to %q", info.Name, info.Target, want), Reason: err.Error(), Mend: "run as root of the machine, not of a user namespace"}
		}
		return fmt.Errorf("set %s of %s to %q: %w", info.Name, info.Target, want, err)
	}
	if err := Verify(k, want); err != nil {
		return err
	}
	return s.journal.verified(e)
}

// Apply makes the settings in force those of want and no others: what is held
// and not wanted is restored first, then each is set in the order given and all are
// verified. As CPU hotplug undoes affinities, a change of the CPUs in use restores
// everything and starts anew; it goes first whatever its place in want.
func (s *Set) Apply(ctx context.Context, want []Setting) error {
	want = slices.Clone(want)
	slices.SortStableFunc(want, func(a, b Setting) int { return cpusFirst(a.Knob) - cpusFirst(b.Knob) })
	keep := func(h held) bool {
		return slices.ContainsFunc(want, func(w Setting) bool { return same(w.Knob, h.Knob) })
	}
	for _, k := range append(s.knobs(), knobsOf(want)...) {
		if k.Info().Kind != "cpus" {
			continue
		}
		h := s.find(k)
		i := slices.IndexFunc(want, func(w Setting) bool { return same(w.Knob, k) })
		if h != nil && i >= 0 {
			if c, err := k.Canonical(want[i].Value); err == nil && c == h.Value {
				continue
			}
		}
		keep = func(held) bool { return false }
	}
	failed := len(s.left.Failed)
	s.release(keep)
	if now := s.left.Failed[failed:]; len(now) > 0 {
		return errors.Join(errorsOf(now)...)
	}
	for _, w := range want {
		if err := s.Put(ctx, w.Knob, w.Value); err != nil {
			return err
		}
	}
	return s.Verify()
}

func cpusFirst(k Knob) int {
	if k.Info().Kind == "cpus" {
		return 0
	}
	return 1
}

func (s *Set) knobs() []Knob {
	var ks []Knob
	for _, h := range s.held {
		ks = append(ks, h.Knob)
	}
	return ks
}

func knobsOf(ss []Setting) []Knob {
	var ks []Knob
	for _, w := range ss {
		ks = append(ks, w.Knob)
	}
	return ks
}

// Verify reads all settings back and returns the errors of those that are not in
// force.
func (s *Set) Verify() error {
	var errs []error
	for _, h := range s.held {
		errs = append(errs, Verify(h.Knob, h.Value))
	}
	return errors.Join(errs...)
}

// Record reads all settings for the record of a trial. Targets get prefix, such
// as "server:", unless they are the machine's.
func (s *Set) Record(prefix string) ([]trial.Knob, error) {
	var out []trial.Knob
	for _, h := range s.held {
		v, err := h.Knob.Read()
		if err != nil {
			return nil, err
		}
		i := h.Knob.Info()
		if i.Target != "machine" || i.InNetNS { // each host has sysctls of its own
			i.Target = prefix + i.Target
		}
		out = append(out, trial.Knob{Name: i.Name, Target: i.Target, Value: v, Mechanism: i.Mechanism})
	}
	return out, nil
}

// Restore puts everything back in reverse order. What can't be put back stays in the
// journal; the report has the commands.
func (s *Set) Restore() Report {
	s.Unguard()
	s.release(func(held) bool { return false })
	r := s.left
	s.left = Report{}
	return r
}

// release restores all but what keep says, latest first.
func (s *Set) release(keep func(held) bool) {
	var kept []held
	for _, h := range slices.Backward(s.held) {
		if keep(h) {
			kept = append(kept, h)
			continue
		}
		s.undo(h)
	}
	slices.Reverse(kept)
	s.held = kept
}

// undo puts back what was changed for one setting.
func (s *Set) undo(h held) {
	for _, e := range slices.Backward(h.entries) {
		e.Rounds = e.Rounds || !e.verified
		var given Knob
		if e.Type != "bystander" {
			given = h.Knob
		}
		if !undoHere(s.root, given, e, &s.left) {
			continue
		}
		if err := s.journal.undone(e.Seq); err != nil {
			s.left.Failed = append(s.left.Failed, failure(s.root, e, err, h.Knob.Command(e.Old)))
		}
	}
}

// Changes lists what was changed, in the order in which it was.
func (s *Set) Changes() []Change {
	var es []*entry
	for _, h := range s.held {
		for _, e := range h.entries {
			if e.Type == "change" {
				es = append(es, e)
			}
		}
	}
	slices.SortFunc(es, func(a, b *entry) int { return a.Seq - b.Seq })
	var out []Change
	for _, e := range es {
		out = append(out, change(e))
	}
	return out
}
