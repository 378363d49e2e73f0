package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
)

// NAPI is one NAPI instance of a NIC.
type NAPI struct {
	ID  int `json:"id,omitempty"`  // the kernel's; 0 where not known
	IRQ int `json:"irq,omitempty"` // 0 where the driver doesn't say
	PID int `json:"pid,omitempty"` // its kernel thread where threaded, else 0
}

// Of Documentation/netlink/specs/netdev.yaml.
const (
	cmdNAPIGet      = 11
	attrNAPIIfindex = 1
	attrNAPIID      = 2
	attrNAPIIRQ     = 3
	attrNAPIPID     = 4
)

// NAPIs lists the NAPI instances of a NIC of the calling thread's network
// namespace, ascending by id. It asks the netdev generic netlink family (Linux 6.8) and, on
// older kernels, looks for kernel threads named "napi/NIC-ID", which finds threaded
// instances of NICs with short names only.
func (r Root) NAPIs(name string) ([]NAPI, error) {
	index, err := number(r.NICDir(name), "ifindex")
	if err != nil {
		return nil, fmt.Errorf("NIC %s: %w", name, err)
	}
	if r.IsLive() {
		if napis, err := napiGet(index); err == nil {
			return napis, nil
		}
	}
	return r.napiThreads(name)
}

func napiGet(ifindex int) ([]NAPI, error) {
	var napis []NAPI
	err := netdevDump(cmdNAPIGet, attrNAPIIfindex, ifindex, func(d *netlink.AttributeDecoder) {
		var n NAPI
		for d.Next() {
			switch d.Type() {
			case attrNAPIID:
				n.ID = int(d.Uint32())
			case attrNAPIIRQ:
				n.IRQ = int(d.Uint32())
			case attrNAPIPID:
				n.PID = int(d.Uint32())
			}
		}
		napis = append(napis, n)
	})
	slices.SortFunc(napis, func(a, b NAPI) int { return a.ID - b.ID })
	return napis, err
}

// napiThreads finds threads by name. comm is "napi/%s-%d" (napi_kthread_create in
// net/core/dev.c), which kernel threads show whole in /proc/PID/comm since Linux 5.17
// and cut to 15 bytes before. NICs of the same name in other namespaces match too,
// so it serves only where netlink can't be asked.
func (r Root) napiThreads(name string) ([]NAPI, error) {
	entries, err := os.ReadDir(r.Proc)
	if err != nil {
		return nil, err
	}
	var napis []NAPI
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		comm := optional(r.Proc, e.Name(), "comm")
		rest, ok := strings.CutPrefix(comm, "napi/"+name+"-")
		if !ok {
			continue
		}
		id, err := strconv.Atoi(rest)
		if err != nil {
			continue
		}
		if optional(filepath.Join(r.Proc, e.Name(), "cmdline")) != "" {
			continue // a process that took the name, not a kernel thread
		}
		napis = append(napis, NAPI{ID: id, PID: pid})
	}
	slices.SortFunc(napis, func(a, b NAPI) int { return a.ID - b.ID })
	return napis, nil
}
