package advise

import (
	"errors"
	"fmt"
)

// affordable says how many of the first of these remedies are measured, in which cells (bit i is remedy i)
// and how often each: in every combination, or, where the budget is too small, each alone.
func (s *session) affordable(remedies []Remedy) (n int, at []int, times int) {
	left := s.left()
	for n := min(len(remedies), maxSurvivors); n > 0; n-- {
		if (1<<n)*replicates[n] <= left {
			for x := range 1 << n {
				at = append(at, x)
			}
			return n, at, replicates[n]
		}
		if times := min(replicates[1], left/(n+1)); times >= fewest {
			at = []int{0}
			for i := range n {
				at = append(at, 1<<i)
			}
			return n, at, times
		}
	}
	return 0, nil, 0
}

// confirm measures combinations of the survivors, interleaved, and chooses.
func (s *session) confirm(survivors []Remedy) error {
	n, at, times := s.affordable(survivors)
	s.untested(survivors[n:], "the budget has no trials to measure it: "+raiseBudget)
	if survivors = survivors[:n]; n == 0 {
		return nil
	}
	if len(at) < 1<<n {
		s.report.Notes = append(s.report.Notes, "the budget has no trials of remedies together: "+raiseBudget)
	}
	kept := s.reserve
	s.reserve = 0 // what was begun is worth more than the proof
	total := len(at) * times
	got := cells{}
	done := 0
	var err error
	for rep := 0; rep < times && err == nil; rep++ {
		for _, j := range shuffled(len(at), s.Seed+uint64(rep)+1) {
			if err = s.measure(got, survivors, at[j], done, total); err != nil {
				break
			}
			done++
		}
	}
	s.reserve = kept
	if errors.Is(err, errBudget) {
		s.report.Notes = append(s.report.Notes, fmt.Sprintf("the budget ended after %d of %d trials of the factorial: %s", done, total, raiseBudget))
	} else if err == nil {
		err = s.repeat(survivors, got)
	}
	if err != nil && !errors.Is(err, errBudget) {
		return err
	}
	first := ""
	if len(s.report.Causes) > 0 {
		first = s.report.Causes[0].Name
	}
	advice, taken := choose(survivors, got, first)
	s.report.Advice = append(s.report.Advice, advice...)
	s.report.Verdicts = append(verdicts(survivors, got, taken), s.report.Verdicts...)
	if len(advice) > 1 {
		s.report.Together = got.gains(0, taken)
	}
	return nil
}

// measure adds a trial of a cell of these remedies.
func (s *session) measure(to cells, remedies []Remedy, cell, done, total int) error {
	var with []Remedy
	for i, r := range remedies {
		if cell&(1<<i) != 0 {
			with = append(with, r)
		}
	}
	t, err := s.step("factorial", change(with), len(to[cell])+1, done, total)
	if err == nil {
		to[cell] = append(to[cell], t)
	}
	return err
}

// repeats is how often trials are added at most.
const repeats = 2

// repeat adds trials of a remedy alone and as found, where they seem to differ by enough and the
// interval is too wide to tell: a disturbed machine needs more of them.
func (s *session) repeat(survivors []Remedy, got cells) error {
	for i, r := range survivors {
		for round := range repeats {
			g := got.gains(0, 1<<i)
			if g == nil || g.gained(r.expected()) || g.lost() || !g.undecided() {
				break
			}
			if s.left() < 2*replicates[1] {
				s.report.Notes = append(s.report.Notes, r.Name+": the budget has no trials to add, which it would take to tell: "+raiseBudget)
				break
			}
			if round == 0 {
				s.report.Notes = append(s.report.Notes, r.Name+": trials were added, as the interval was too wide to tell")
			}
			for n := range 2 * replicates[1] {
				if err := s.measure(got, survivors, (n%2)<<i, n, 2*replicates[1]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
