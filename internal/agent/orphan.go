package agent

import "github.com/stackmeter/stackmeter/internal/host"

// Orphaned reports whether process pid, which holds a journal, will end soon: it
// is an agent whose controller has died and that is putting its host back, or it is dying
// itself. An agent's parent runs the same program; an orphan's is init or a subreaper. A
// dying process has no program any more while the kernel still closes its files, as when it was
// killed in the middle of taking a CPU off.
func Orphaned(root host.Root, pid int) bool {
	own := root.Exe(pid)
	parent, err := root.Parent(pid)
	if own == "" || err != nil {
		return true
	}
	return root.Exe(parent) != own
}
