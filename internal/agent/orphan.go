package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Orphaned reports whether process pid, which holds a journal, will end soon: it
// is an agent whose controller has died and that is putting its host back, or it is dying
// itself. An agent's parent runs the same program; an orphan's is init or a subreaper. A
// dying process has no program any more while the kernel still closes its files, as when it was
// killed in the middle of taking a CPU off.
func Orphaned(root host.Root, pid int) bool {
	own := root.Exe(pid)
	parent, err := parentOf(root, pid)
	if own == "" || err != nil {
		return true
	}
	return root.Exe(parent) != own
}

// parentOf reads field 4 of /proc/PID/stat.
func parentOf(root host.Root, pid int) (int, error) {
	b, err := os.ReadFile(filepath.Join(root.Proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 2 {
		return 0, fmt.Errorf("stat of process %d: too few fields", pid)
	}
	return strconv.Atoi(f[1])
}
