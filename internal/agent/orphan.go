package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Orphaned reports whether process pid is an agent whose controller has died, so
// that it is putting its host back and will end. An agent's parent runs the same program;
// an orphan's is init or a subreaper.
func Orphaned(root host.Root, pid int) bool {
	own := root.Exe(pid)
	parent, err := parentOf(root, pid)
	return err == nil && own != "" && root.Exe(parent) != own
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
