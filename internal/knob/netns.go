package knob

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// undoEntry undoes a journal's entry in the network namespace to which it belongs.
func undoEntry(root host.Root, e *entry, r *Report) bool {
	here, err := sysx.NetNS()
	if err != nil {
		r.Failed = append(r.Failed, failure(root, e, err, ""))
		return false
	}
	if e.NetNS == 0 || e.NetNS == here {
		return undoHere(root, nil, e, r)
	}
	path := findNetNS(root, e.NetNS)
	if path == "" {
		r.Gone = append(r.Gone, change(e))
		return true
	}
	var ok bool
	err = sysx.InNetNS(path, func(sysfs string) error {
		ok = undoHere(host.Root{Proc: root.Proc, Sys: sysfs}, nil, e, r)
		return nil
	})
	if err != nil {
		r.Failed = append(r.Failed, failure(root, e, err, ""))
	}
	return ok && err == nil
}

// undoHere undoes an entry in the calling thread's network namespace. given is its knob, or nil
// for the one that the entry names.
func undoHere(root host.Root, given Knob, e *entry, r *Report) bool {
	key, err := e.locate(e.Kind, e.Key)
	if gone(err) {
		r.Gone = append(r.Gone, change(e))
		return true
	}
	if err == nil && (given == nil || key != e.Key) {
		given, err = open(root, e.Kind, key)
	}
	if err != nil {
		r.Failed = append(r.Failed, failure(root, e, err, ""))
		return false
	}
	return undo(root, given, e, r)
}

// namedNetNS is where ip-netns(8) mounts the namespaces that it names.
const namedNetNS = "/run/netns"

// findNetNS looks for a named mount (ip netns) or a process that holds the
// namespace; "" where there is none.
func findNetNS(root host.Root, id uint64) string {
	self := filepath.Join(root.Proc, fmt.Sprint(os.Getpid()), "ns/net")
	for _, pattern := range []string{filepath.Join(namedNetNS, "*"), filepath.Join(root.Proc, "[0-9]*/ns/net")} {
		paths, _ := filepath.Glob(pattern)
		for _, p := range paths {
			if n, err := sysx.NetNSOf(p); err == nil && n == id && p != self {
				return p
			}
		}
	}
	return ""
}

// fromOutside makes of a command for a network namespace one that can be given where this
// process was started, such as in the shell before `ip netns exec`: there the same name may be another NIC's.
func fromOutside(root host.Root, id uint64, command string) string {
	outside, err := sysx.NetNSOf(filepath.Join(root.Proc, fmt.Sprint(os.Getppid()), "ns/net"))
	if command == "" || id == 0 || (err == nil && id == outside) {
		return command
	}
	path := findNetNS(root, id)
	switch {
	case path == "":
		return command
	case filepath.Dir(path) == namedNetNS:
		return fmt.Sprintf("ip netns exec %s sh -c %s", filepath.Base(path), quote(command))
	case strings.Contains(command, "/sys/"):
		// nsenter(1) keeps the sysfs of the caller, which shows the NICs of its namespace.
		return fmt.Sprintf("nsenter --net=%s unshare --mount sh -c %s", path, quote("mount -t sysfs sysfs /sys && "+command))
	}
	return fmt.Sprintf("nsenter --net=%s sh -c %s", path, quote(command))
}

// oneOfSameNumber notes, once for a journal, that it doesn't tell namespaces apart that had the
// same number one after the other: one of an older version, or of a kernel that can't tell.
func oneOfSameNumber(root host.Root, path string, entries []*entry, r *Report) {
	first, err := sysx.NetNSOf(filepath.Join(root.Proc, "1/ns/net"))
	for _, e := range entries {
		if e.NetNS != 0 && e.Cookie == 0 && (err != nil || e.NetNS != first) {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: knows its network namespace by an inode number only, which the kernel gives again to a later one: written by an older stackmeter, or Linux before 5.14", path))
			return
		}
	}
}
