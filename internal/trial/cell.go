package trial

import (
	"slices"
	"strings"
)

// Cell names the combination of levels, whatever the order of the factors:
// "affinity=both,nics=2". Trials of one experiment with the same cell are
// replicates of each other.
func Cell(levels map[string]string) string {
	parts := make([]string, 0, len(levels))
	for f, l := range levels {
		parts = append(parts, f+"="+l)
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}
