package trial

import "testing"

func TestCell(t *testing.T) {
	for want, levels := range map[string]map[string]string{
		"":                     nil,
		"nics=2":               {"nics": "2"},
		"affinity=both,nics=2": {"nics": "2", "affinity": "both"},
	} {
		if got := Cell(levels); got != want {
			t.Errorf("Cell(%v) = %q, want %q", levels, got, want)
		}
	}
}
