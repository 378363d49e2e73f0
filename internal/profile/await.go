package profile

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stackmeter/stackmeter/internal/host"
)

// What Await takes for traffic: so many bytes in each of so many intervals in a row.
const (
	awaitInterval = 200 * time.Millisecond
	awaitBytes    = 20_000
	awaitInRow    = 3
)

// Await returns when IP receives at least 100 kB/s in the network namespaces of a process and of
// those that it and they started, or when a channel is closed. Where any of them has left our own
// namespace, what others do in that does not count. A process that was not started by these, as a
// daemon that acts for them, is not looked for.
func Await(ctx context.Context, pid int, until <-chan struct{}) error {
	var last map[uint32]uint64
	for row := 0; row < awaitInRow; {
		now, err := bytesByNamespace("/proc", pid)
		if err != nil {
			return err
		}
		var grown uint64
		for ns, n := range now {
			grown += n - min(n, last[ns])
		}
		switch {
		case last == nil:
		case grown >= awaitBytes:
			row++
		default:
			row = 0
		}
		last = now
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-until:
			return nil
		case <-time.After(awaitInterval):
		}
	}
	return nil
}

// bytesByNamespace is what IP has received in each namespace of a process and its descendants that
// there is now.
func bytesByNamespace(proc string, pid int) (map[uint32]uint64, error) {
	pids, err := family(proc, pid)
	if err != nil {
		return nil, err
	}
	m := &meter{proc: proc, inNet: map[uint32]*namespace{}}
	defer m.close()
	seen := map[uint32]bool{}
	for _, p := range pids {
		m.add(filepath.Join(proc, strconv.Itoa(p)), seen)
	}
	own, _ := namespaceOf(filepath.Join(proc, "self"))
	out := map[uint32]uint64{}
	for inode, n := range m.inNet {
		if inode == own && len(m.inNet) > 1 {
			continue
		}
		if out[inode], err = m.bytes(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// family is a process, its children, theirs, and so on, as far as they live.
func family(proc string, pid int) ([]int, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, err
	}
	root := host.Root{Proc: proc}
	children := map[int][]int{}
	for _, e := range entries {
		p, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, err := root.Parent(p); err == nil { // else it has ended
			children[parent] = append(children[parent], p)
		}
	}
	out := []int{pid}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i]]...)
	}
	return out, nil
}
