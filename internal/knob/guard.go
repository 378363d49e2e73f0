package knob

import (
	"context"
	"fmt"
)

// Guard notes a knob that the caller is going to change by itself, over and
// over: Restore, or Recover after a crash, puts its present value back whatever it
// is by then.
func (s *Set) Guard(ctx context.Context, k Knob) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info := k.Info()
	old, err := k.Read()
	if err != nil {
		return fmt.Errorf("read %s of %s: %w", info.Name, info.Target, err)
	}
	e := &entry{Type: "bystander", Kind: info.Kind, Key: info.Key, Name: info.Name, Target: info.Target, Old: old}
	if e.place, err = placeOf(info); err != nil {
		return err
	}
	if err := s.journal.append(e); err != nil {
		return err
	}
	s.guarded = append(s.guarded, held{Setting: Setting{k, old}, entries: []*entry{e}})
	return nil
}

// Unguard puts back what was guarded.
func (s *Set) Unguard() {
	for len(s.guarded) > 0 {
		h := s.guarded[len(s.guarded)-1]
		s.guarded = s.guarded[:len(s.guarded)-1]
		s.undo(h)
	}
}
