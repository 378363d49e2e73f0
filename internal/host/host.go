// Package host tells what a Linux host is and what its network stack has
// counted: CPUs and how they share packages and caches, NICs with their queues,
// interrupts and NAPI threads, the kernel's settings that bear on network
// performance, and the counters of /proc/net.
//
// It only reads. Every path hangs off a [Root], and every parser takes an
// io.Reader, so that captured trees of other machines can be read with the same
// code. What comes over netlink or ioctl rather than from files (offloads, NAPI
// ids) is read on the live host only and is absent elsewhere.
//
// A network namespace has a /proc/net and a /sys/class/net of its own. /proc/net
// is read as the calling thread's; sysfs shows the namespace of whoever mounted it,
// so a process that entered a namespace must have mounted it afresh (see
// [Root.CheckNIC]).
package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Root is where a host's /proc and /sys are.
type Root struct {
	Proc string // "/proc" on the live host
	Sys  string // "/sys" on the live host
}

// Live is this host.
func Live() Root { return Root{Proc: "/proc", Sys: "/sys"} }

// At is the host whose file tree was captured under root. At("/") is Live.
func At(root string) Root {
	return Root{Proc: filepath.Join(root, "proc"), Sys: filepath.Join(root, "sys")}
}

// IsLive reports whether r is this machine, so that netlink and ioctl speak of
// the same host as the files. A sysfs mounted elsewhere is still live.
func (r Root) IsLive() bool { return r.Proc == "/proc" }

// NetProc is the directory of the calling thread's network namespace in /proc.
func (r Root) NetProc() string {
	own := filepath.Join(r.Proc, "thread-self", "net")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return filepath.Join(r.Proc, "net")
}

// NICDir is the directory of a NIC in sysfs.
func (r Root) NICDir(name string) string { return filepath.Join(r.Sys, "class", "net", name) }

// CPUDir is the directory of the CPUs in sysfs.
func (r Root) CPUDir() string { return filepath.Join(r.Sys, "devices", "system", "cpu") }

// NotSupportedError says that this host lacks something, why, and what would
// mend it. It is an answer, not a fault.
type NotSupportedError struct {
	What   string // "take CPU 0 offline"
	Reason string // "the kernel gives it no 'online' file"
	Mend   string // what the reader can do; empty if nothing
}

func (e *NotSupportedError) Error() string {
	s := e.What + ": not supported here: " + e.Reason
	if e.Mend != "" {
		s += "; " + e.Mend
	}
	return s
}

// IsNotSupported reports whether err is or wraps a NotSupportedError.
func IsNotSupported(err error) bool {
	var n *NotSupportedError
	return errors.As(err, &n)
}

// text is a file's content without white space around it.
func text(path ...string) (string, error) {
	b, err := os.ReadFile(filepath.Join(path...))
	return strings.TrimSpace(string(b)), err
}

// optional is a file's content, or "" where it can't be read: for facts whose
// absence is an answer.
func optional(path ...string) string {
	s, _ := text(path...)
	return s
}

// number is the integer in a file.
func number(path ...string) (int, error) {
	s, err := text(path...)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number", filepath.Join(path...), s)
	}
	return n, nil
}
