package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// marker is a variable whose value is inherited by every process of a test.
const marker = "STACKMETER_TEST"

// before is the machine as this process found it.
var before = links()

func links() []string {
	all, err := net.Interfaces()
	if err != nil {
		panic(err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names
}

// leftovers says what a test with that marker left behind, giving it a second to
// go; empty: nothing.
func leftovers(mark string) string {
	var said string
	for range 100 {
		var found []string
		for _, pid := range marked(mark) {
			found = append(found, fmt.Sprintf("process %d (%s) still runs", pid, host.Live().Exe(pid)))
		}
		found = append(found, looseJournals()...)
		found = append(found, changedLinks()...)
		if said = strings.Join(found, "\n"); said == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return said
}

// marked lists the processes, but this one, with the marker in their environment. What
// has ended and not been waited for has none.
func marked(mark string) []int {
	var pids []int
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, p := range paths {
		var pid int
		_, _ = fmt.Sscanf(p, "/proc/%d/environ", &pid)
		env, err := os.ReadFile(p)
		if err == nil && pid != os.Getpid() && bytes.Contains(env, []byte(marker+"="+mark+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// looseJournals lists journals of this test binary whose owner is dead.
func looseJournals() []string {
	dir, err := knob.Dir(host.Live())
	if err != nil {
		return []string{err.Error()}
	}
	self, err := os.Executable()
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	paths, _ := filepath.Glob(filepath.Join(dir, "*.journal*"))
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			continue // gone meanwhile
		}
		var head struct{ Owner struct{ Exe string } }
		err = json.NewDecoder(f).Decode(&head)
		if err == nil && head.Owner.Exe == self && unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			out = append(out, "journal "+p+" is left")
		}
		f.Close()
	}
	return out
}

// changedLinks lists NICs that are gone or that are the rig's. Others may come and go:
// the machine is not ours alone.
func changedLinks() []string {
	now := map[string]bool{}
	var out []string
	for _, name := range links() {
		now[name] = true
		if strings.HasPrefix(name, "srv") || strings.HasPrefix(name, "cli") {
			out = append(out, "NIC "+name+" is in the machine's own network")
		}
	}
	if !now["lo"] {
		out = append(out, "lo is gone: looked in the wrong network namespace")
	}
	for _, name := range before {
		if !now[name] {
			out = append(out, "NIC "+name+" is gone")
		}
	}
	return out
}
