package host

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Route flags of include/uapi/linux/route.h.
const (
	routeUp     = 0x1
	routeReject = 0x200
)

// ParseRoute returns the interfaces of the default routes in /proc/net/route
// (fib_route_seq_show in net/ipv4/fib_trie.c: the main table). Half-routes
// (0.0.0.0/1, as VPNs set them) count as default routes.
func ParseRoute(r io.Reader) ([]string, error) {
	var names []string
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 8 {
			continue
		}
		flags, err1 := strconv.ParseUint(f[3], 16, 32)
		mask, err2 := strconv.ParseUint(f[7], 16, 32)
		if err1 != nil || err2 != nil { // the heading
			continue
		}
		// The mask is in network order as the host prints it: /1 is 00000080 or 80000000.
		short := mask == 0 || mask == 0x80 || mask == 0x80000000
		if short && flags&routeUp != 0 && flags&routeReject == 0 {
			names = append(names, f[0])
		}
	}
	slices.Sort(names)
	return slices.Compact(names), sc.Err()
}

// ParseRoute6 returns the interfaces of the default routes in
// /proc/net/ipv6_route (rt6_info_route in net/ipv6/ip6_fib.c).
func ParseRoute6(r io.Reader) ([]string, error) {
	var names []string
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) != 10 {
			continue
		}
		flags, err := strconv.ParseUint(f[8], 16, 64)
		prefix, err2 := strconv.ParseUint(f[1], 16, 16)
		if err != nil || err2 != nil {
			continue
		}
		// 2000::/3 is all of the global unicast space.
		if prefix <= 3 && flags&routeUp != 0 && flags&routeReject == 0 {
			names = append(names, f[9])
		}
	}
	slices.Sort(names)
	return slices.Compact(names), sc.Err()
}

// DefaultRoutes returns the interfaces that carry a default route of IPv4 or
// IPv6 in the main table of the calling thread's network namespace. Routes of
// other tables (policy routing) are not seen.
func (r Root) DefaultRoutes() ([]string, error) {
	var all []string
	for file, parse := range map[string]func(io.Reader) ([]string, error){"route": ParseRoute, "ipv6_route": ParseRoute6} {
		f, err := os.Open(filepath.Join(r.NetProc(), file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the kernel was built without this family
		}
		if err != nil {
			return nil, err
		}
		names, err := parse(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// CarriesDefaultRoute returns the interface through which a default route runs
// over the NIC name: name itself, or a bridge, bond or VLAN above it. It is ""
// where none does.
func (r Root) CarriesDefaultRoute(name string) (string, error) {
	routes, err := r.DefaultRoutes()
	if err != nil {
		return "", err
	}
	seen := map[string]bool{}
	for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
		nic := todo[0]
		if seen[nic] {
			continue
		}
		seen[nic] = true
		if slices.Contains(routes, nic) {
			return nic, nil
		}
		uppers, err := filepath.Glob(filepath.Join(r.NICDir(nic), "upper_*"))
		if err != nil {
			return "", err
		}
		for _, u := range uppers {
			todo = append(todo, strings.TrimPrefix(filepath.Base(u), "upper_"))
		}
	}
	return "", nil
}
