// Package study holds the named plans, which repeat the paper's experiments,
// and reads plans from YAML. The built-in plans are YAML files of the same form that
// users write (folder plans); `study --show NAME` prints one to start from.
package study

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/experiment"
)

//go:embed plans/*.yaml
var plans embed.FS

// Machine is what a plan's automatic levels depend on.
type Machine struct {
	CPUs int // that may be used
	NICs int // that the user gave; 0: the rig makes as many as are wanted
	// Clusters are the numbers of these CPUs by the last cache that they share; nil: one of the
	// numbers from 0.
	Clusters [][]int
}

// Names lists the built-in plans, quick first.
func Names() []string {
	entries, err := plans.ReadDir("plans")
	if err != nil {
		panic(err) // embedded
	}
	names := []string{"quick"}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".yaml"); name != "quick" {
			names = append(names, name)
		}
	}
	return names
}

// Source returns the YAML of a built-in plan.
func Source(name string) ([]byte, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("unknown plan %q: known are %s; a file's name ends in .yaml or .yml", name, strings.Join(Names(), ", "))
	}
	return plans.ReadFile("plans/" + name + ".yaml")
}

// Load reads a built-in plan by name or a file by its path, and resolves it for
// the machine. Notes say what was left out for this machine's sake.
func Load(nameOrFile string, m Machine, o Overrides) (plan *experiment.Plan, notes []string, err error) {
	name, data := nameOrFile, []byte(nil)
	if ext := filepath.Ext(nameOrFile); ext == ".yaml" || ext == ".yml" {
		data, err = os.ReadFile(nameOrFile)
	} else {
		name += ".yaml"
		data, err = Source(nameOrFile)
	}
	if err != nil {
		return nil, nil, err
	}
	plan, notes, err = parse(data, m, o)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return plan, notes, nil
}
