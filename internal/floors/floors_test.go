package floors

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/stackmeter/stackmeter"

// rank orders the packages of the house. A package may import only packages of
// a lower rank; the hundreds are the floors of the design (F0 values .. F5
// faces), the rest orders a floor within itself. A new package must be entered
// here.
var rank = map[string]int{
	// F0 values
	"internal/clock":       0,
	"internal/cycles":      0,
	"internal/unit":        0,
	"internal/trial":       0,
	"internal/stats":       0,
	"internal/hist":        0,
	"internal/openmetrics": 0,
	"memcopy":              0,
	// F1 host
	"internal/sysx":           100,
	"internal/selfexec":       100,
	"internal/host":           110,
	"internal/knob":           120,
	"internal/topo":           120,
	"internal/topo/madeup":    130,
	"internal/probe/cpu":      120,
	"internal/probe/cpu/bpf":  110,
	"internal/probe/cpucheck": 130,
	"internal/probe/counter":  120,
	"internal/profile/stage":  110,
	"internal/profile/symbol": 110,
	"internal/profile/sample": 120,
	"internal/profile/attach": 120,
	"internal/profile/count":  130,
	"internal/profile/flow":   130,
	"internal/profile/lock":   130,
	"internal/profile":        140,
	"internal/profile/pmu":    130,
	// F2 engines
	"internal/load":        200,
	"internal/load/wire":   203,
	"internal/load/kernel": 205,
	"internal/rig":         220,
	"internal/rig/wire":    222,
	"internal/rig/vm":      222,
	"internal/tune":        225,
	"internal/rig/spoil":   226,

	"ustack/internal/wire":       230,
	"ustack/internal/tcp":        240,
	"ustack/internal/siphash":    230,
	"ustack/internal/reassembly": 235,
	"ustack/frame":               230,
	"ustack":                     250,
	"ustack/device/wake":         230,
	"ustack/internal/netns":      230,
	"ustack/device/vnet":         240,
	"ustack/device/fault":        260,
	"ustack/device/capture":      260,
	"ustack/device/tun":          260,
	"ustack/device/packet":       260,
	"ustack/device/xdp":          260,
	"ustack/device/devicetest":   270,
	"ustack/device/pipe":         260,
	"ustack/device":              290,

	"internal/attach":          275,
	"internal/stackserver":     280,
	"internal/load/userstack":  280,
	"internal/load/engines":    285,
	"ustack/internal/scenario": 280,
	// F3 experiment
	"internal/agent":      300,
	"internal/experiment": 310,
	"internal/study":      320,
	"internal/copylab":    330,
	"internal/stacklab":   330,
	"meter":               340,
	// F4 tell
	"internal/result":    400,
	"internal/synthetic": 402,
	"internal/analysis":  405,
	"internal/advise":    407,
	"internal/report":    410,
	"internal/export":    410,
	// F5 faces
	"internal/tui":   500,
	"internal/cli":   510,
	"cmd/stackmeter": 520,
	// outside the house: tests of its structure and of its documents
	"internal/floors":   900,
	"internal/fielddoc": 900,
}

// TestImportsPointDown holds every import between packages of this module
// against the floors.
func TestImportsPointDown(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "bench" || name == "testdata" || (strings.HasPrefix(name, ".") && name != ".." && name != ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		own, ok := rank[pkg]
		if !ok {
			if !seen[pkg] {
				t.Errorf("package %s is on no floor: enter it in the table of this test", pkg)
			}
			seen[pkg] = true
			return nil
		}
		seen[pkg] = true
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			dep, inside := strings.CutPrefix(name, module+"/")
			if !inside {
				continue
			}
			if r, ok := rank[dep]; !ok || r >= own {
				t.Errorf("%s (rank %d) imports %s (rank %d): imports point down only", path, own, dep, r)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) == 0 {
		t.Fatal("saw no package")
	}
}
