package knob

import (
	"path/filepath"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// undoEntry undoes a journal's entry in the network namespace to which it belongs.
func undoEntry(root host.Root, e *entry, r *Report) bool {
	here, err := sysx.NetNS()
	if err != nil {
		r.Failed = append(r.Failed, Failure{change(e), err.Error(), ""})
		return false
	}
	in := func(root host.Root) bool {
		k, err := open(root, e.Kind, e.Key)
		if err != nil {
			r.Failed = append(r.Failed, Failure{change(e), err.Error(), ""})
			return false
		}
		return undo(k, e, r)
	}
	if e.NetNS == 0 || e.NetNS == here {
		return in(root)
	}
	path := findNetNS(root, e.NetNS)
	if path == "" {
		r.Gone = append(r.Gone, change(e))
		return true
	}
	var ok bool
	err = sysx.InNetNS(path, func(sysfs string) error {
		ok = in(host.Root{Proc: root.Proc, Sys: sysfs})
		return nil
	})
	if err != nil {
		r.Failed = append(r.Failed, Failure{change(e), err.Error(), ""})
	}
	return ok && err == nil
}

// findNetNS looks for a process or a named mount (ip netns) that holds the
// namespace; "" where there is none.
func findNetNS(root host.Root, id uint64) string {
	for _, pattern := range []string{filepath.Join(root.Proc, "[0-9]*/ns/net"), "/run/netns/*"} {
		paths, _ := filepath.Glob(pattern)
		for _, p := range paths {
			if n, err := sysx.NetNSOf(p); err == nil && n == id {
				return p
			}
		}
	}
	return ""
}
