package advise

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// fewToScreen is how many remedies are measured at once: screening them saves no trials.
const fewToScreen = 2

// screen tries all remedies in a screening design and gives those that are looked at again:
// the first that mends the first cause, whatever the screening shows, and those that stand out. Where
// there are few, or the budget has no trials for it, all go on, of which [session.confirm] takes what fits.
func (s *session) screen(remedies []Remedy) (survivors []Remedy, err error) {
	n := min(len(remedies), mostScreened)
	for n > 0 && len(design(n)) > s.left()-2*replicates[1] {
		n = smaller(n)
	}
	if n == 0 || len(remedies) <= fewToScreen {
		return remedies, nil
	}
	first := ""
	if len(s.report.Causes) > 0 {
		first = s.report.Causes[0].Name
	}
	linked := func(r Remedy) bool { return slices.Contains(r.For, first) }
	// What mends the first cause is measured in any case: that needs its own trials.
	reserve := 0
	if slices.ContainsFunc(remedies[:n], linked) {
		reserve = 2 * fewest
	}
	runs, err := s.screening(remedies[:n], design(n), reserve)
	if errors.Is(err, errBudget) {
		return remedies, nil
	}
	if err != nil {
		return nil, err
	}
	found := effects(remedies[:n], runs, linked)
	if slices.ContainsFunc(found, Screened.undecided) && s.left() >= len(runs)+2*replicates[1] {
		more, err := s.screening(remedies[:n], folded(design(n)), reserve)
		if err != nil && !errors.Is(err, errBudget) {
			return nil, err
		}
		if err == nil {
			runs = append(runs, more...)
			found = effects(remedies[:n], runs, linked)
		}
	}
	s.untested(remedies[n:], "the budget has no trial for it: "+raiseBudget)
	s.report.Screened = found
	for _, r := range runs {
		if r.t.Status == trial.Failed {
			s.report.Notes = append(s.report.Notes, "screening: "+r.t.Error)
		}
	}
	return s.surviving(remedies[:n], linked), nil
}

// surviving are the remedies that are looked at again. The others have their verdicts.
func (s *session) surviving(remedies []Remedy, linked func(Remedy) bool) (survivors []Remedy) {
	byName := map[string]Screened{}
	for _, x := range s.report.Screened {
		byName[x.Name] = x
	}
	has := func(name string) bool {
		return slices.ContainsFunc(survivors, func(r Remedy) bool { return r.Name == name })
	}
	of := map[string]Remedy{}
	for _, r := range remedies {
		of[r.Name] = r
		if linked(r) && len(survivors) == 0 && byName[r.Name].Error == "" {
			survivors = append(survivors, r)
		}
	}
	for _, x := range s.report.Screened {
		if len(survivors) < maxSurvivors && x.Survives && !has(x.Name) {
			survivors = append(survivors, of[x.Name])
		}
	}
	for _, x := range s.report.Screened {
		if !has(x.Name) {
			s.report.Verdicts = append(s.report.Verdicts, screenedOnly(of[x.Name], x))
		}
	}
	return survivors
}

// smaller is the largest number of remedies that a smaller design takes.
func smaller(n int) int {
	size := 0
	for _, row := range plackettBurman {
		if k := len(row); k < n && len(design(k)) < len(design(n)) {
			size = k
		}
	}
	return size
}

// screening runs the rows of a design, in random order. It gives up as soon as the budget has no trials
// for the rest of them beside those that are kept.
func (s *session) screening(remedies []Remedy, rows [][]bool, kept int) (runs []screened, err error) {
	for i, at := range shuffled(len(rows), s.Seed) {
		row := rows[at]
		var with []Remedy
		for j, r := range remedies {
			if row[j] {
				with = append(with, r)
			}
		}
		if s.left() < len(rows)-i+kept {
			s.report.Notes = append(s.report.Notes, fmt.Sprintf("the budget has no trials for all of the screening, which was given up after %d of %d: %s", i, len(rows), raiseBudget))
			return nil, errBudget
		}
		t, err := s.step("screening", change(with), 1, i, len(rows))
		if err != nil {
			return nil, err
		}
		runs = append(runs, screened{row, t})
	}
	return runs, nil
}
