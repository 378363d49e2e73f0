package experiment

import (
	"fmt"
	"strings"
	"testing"
)

// TestHalfFractionTellsEffectsApart holds half fractions against what is promised of
// them: half of the cells, the first levels of all among them, and the columns of every
// factor and of every two factors orthogonal to all others.
func TestHalfFractionTellsEffectsApart(t *testing.T) {
	for k := 5; k <= 8; k++ {
		factors := []FactorLevels{{"constant", []string{"x"}}}
		for i := range k {
			factors = append(factors, FactorLevels{fmt.Sprint("f", i), []string{"off", "on"}})
		}
		cells := HalfFraction(factors)
		if len(cells) != 1<<(k-1) || strings.Contains(cells[0].Key(), "=on") {
			t.Fatalf("%d factors: %d cells, the first %s", k, len(cells), cells[0].Key())
		}
		columns := map[string][]int{"mean": make([]int, len(cells))}
		sign := func(c Levels, i int) int {
			if c[fmt.Sprint("f", i)] == "on" {
				return 1
			}
			return -1
		}
		for n, c := range cells {
			columns["mean"][n] = 1
			for i := range k {
				a := fmt.Sprint(i)
				columns[a] = append(columns[a], sign(c, i))
				for j := range i {
					ab := fmt.Sprint(i, "x", j)
					columns[ab] = append(columns[ab], sign(c, i)*sign(c, j))
				}
			}
		}
		for a, x := range columns {
			for b, y := range columns {
				dot := 0
				for n := range x {
					dot += x[n] * y[n]
				}
				if a != b && dot != 0 {
					t.Errorf("%d factors: %s and %s are mixed", k, a, b)
				}
			}
		}
	}
	four := HalfFraction([]FactorLevels{{"a", []string{"0", "1"}}, {"b", []string{"0", "1"}}, {"c", []string{"0", "1"}}, {"d", []string{"0", "1"}}})
	if len(four) != 16 {
		t.Errorf("%d cells of four factors, half of which could not tell two interactions apart; want all 16", len(four))
	}
}
