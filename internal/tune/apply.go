package tune

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// RefusedError says which of a plan could not be had, as it turned out when it was set: some
// drivers tell of a setting that they then don't let be changed.
type RefusedError struct {
	Want Want
	Err  error
}

func (e *RefusedError) Error() string { return State{Want: e.Want, Err: e.Err}.located().Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// Put sets a plan in a set, item by item, and verifies all of it at the end, when
// nothing moves any more. What was changed stays noted in the set's journal even where an error is
// returned: the caller restores the set, or lets the journal be recovered.
func Put(ctx context.Context, set *knob.Set, plan []Want) error {
	for _, w := range plan {
		settings, err := w.Item.Resolve(w.Value)
		if err != nil {
			return &RefusedError{w, err}
		}
		for _, s := range settings {
			if err := set.Put(ctx, s.Knob, s.Value); err != nil {
				return &RefusedError{w, explain(s, err)}
			}
		}
	}
	return set.Verify()
}

// explain gives errors of the kernel that say little their reason.
func explain(s knob.Setting, err error) error {
	i := s.Knob.Info()
	switch {
	case i.Kind == "irq" && errors.Is(err, unix.EIO):
		return &host.NotSupportedError{
			What: fmt.Sprintf("%s of %s", i.Name, i.Target), Reason: "the kernel places this interrupt itself (a managed interrupt)",
			Mend: "leave irq-affinity out for this NIC",
		}
	case i.Kind == "sysctl" && errors.Is(err, unix.ENOENT):
		return &host.NotSupportedError{
			What: fmt.Sprintf("%s = %s", i.Name, s.Value), Reason: "this kernel, or this network namespace, has nothing of that name",
			Mend: "load its module, or choose another",
		}
	case i.Kind == "ethtool" && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE)):
		return &host.NotSupportedError{
			What: fmt.Sprintf("%s of %s = %s", i.Name, i.Target, s.Value), Reason: "the driver takes no such value",
			Mend: "try another: drivers have gaps that they don't tell of",
		}
	case errors.Is(err, unix.EOPNOTSUPP):
		return &host.NotSupportedError{
			What: fmt.Sprintf("%s of %s = %s", i.Name, i.Target, s.Value), Reason: "the driver refuses it as the NIC now is",
			Mend: "leave it out, or bring the NIC up first (veth has NAPI only where gro is on)",
		}
	}
	return err
}

// Outcome is what came of a commitment.
type Outcome struct {
	// Changed are the changes that are in force and kept, in the order in which they were made; none
	// where all was so already.
	Changed []knob.Change
	// Back is what was put back after a failure.
	Back knob.Report
}

// Commit sets a plan, all of it or nothing, and keeps the journal of it in dir (see
// knob.Dir) under a name, for knob.Undo. On an error everything is as before, unless
// Outcome.Back.Err() says otherwise. A process killed meanwhile leaves a journal that knob.Recover
// undoes. The caller holds knob.Exclusive.
func Commit(ctx context.Context, root host.Root, dir, name string, plan []Want) (Outcome, error) {
	journal, err := knob.NewJournal(root, dir)
	if err != nil {
		return Outcome{}, err
	}
	set := knob.NewSet(root, journal)
	err = Put(ctx, set, plan)
	if err == nil {
		changed := set.Changes()
		if err = journal.Keep(name); err == nil {
			return Outcome{Changed: changed}, nil
		}
	}
	return Outcome{Back: set.Restore()}, errors.Join(err, journal.Close())
}

// CommitPossible is Commit without what turns out, when it is set, not to be supported: that is left
// out, the rest is set from the start again, and the reasons are given.
func CommitPossible(ctx context.Context, root host.Root, dir, name string, plan []Want) (o Outcome, skipped []error, err error) {
	for {
		o, err = Commit(ctx, root, dir, name, plan)
		var refused *RefusedError
		if !errors.As(err, &refused) || !host.IsNotSupported(err) || o.Back.Err() != nil {
			return o, skipped, err
		}
		skipped = append(skipped, refused)
		plan = slices.DeleteFunc(slices.Clone(plan), func(w Want) bool {
			return w.Item.Name == refused.Want.Item.Name && w.Item.Target == refused.Want.Item.Target
		})
	}
}
