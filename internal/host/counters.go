package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Counters reads the counters of the calling thread's network namespace that
// tell whether a window was clean. Names are the kernel's: "softnet.dropped" (struct
// softnet_data), "Tcp.RetransSegs", "TcpExt.TCPRcvQDrop" (net/ipv4/proc.c),
// "sm0.rx_packets" (struct rtnl_link_stats64). softnet counts the whole machine's
// CPUs that are online, whatever the namespace: compare readings with the same CPUs
// online only.
func (r Root) Counters() (map[string]uint64, error) {
	out := map[string]uint64{}
	dir := r.NetProc()
	for _, src := range []struct {
		file  string
		parse func(io.Reader, map[string]uint64) error
	}{
		{"softnet_stat", ParseSoftnet},
		{"snmp", ParseSNMP},
		{"netstat", ParseSNMP},
		{"dev", ParseDev},
	} {
		f, err := os.Open(filepath.Join(dir, src.file))
		if errors.Is(err, fs.ErrNotExist) && src.file == "softnet_stat" {
			continue // shown in the initial network namespace only by some kernels
		}
		if err != nil {
			return nil, err
		}
		err = src.parse(f, out)
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Difference is after less before, for counters that are in both; one that
// went backwards (its CPU or NIC went away) is left out.
func Difference(before, after map[string]uint64) map[string]uint64 {
	d := make(map[string]uint64, len(after))
	for name, a := range after {
		if b, ok := before[name]; ok && a >= b {
			d[name] = a - b
		}
	}
	return d
}

// ParseSoftnet adds the sums over CPUs of /proc/net/softnet_stat (softnet_seq_show
// in net/core/net-procfs.c) to out. Each CPU's counters are 32 bits wide: a sum goes
// backwards when one wraps.
func ParseSoftnet(r io.Reader, out map[string]uint64) error {
	columns := map[int]string{0: "processed", 1: "dropped", 2: "time_squeeze", 9: "received_rps", 10: "flow_limit_count"}
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		for i, f := range strings.Fields(sc.Text()) {
			v, err := strconv.ParseUint(f, 16, 32)
			if err != nil {
				return fmt.Errorf("softnet_stat: %q is no 32-bit hexadecimal count", f)
			}
			if name, ok := columns[i]; ok {
				out["softnet."+name] += v
			}
		}
	}
	return sc.Err()
}

// ParseSNMP adds the TCP, UDP and extended TCP counters of /proc/net/snmp and
// /proc/net/netstat to out. Both are pairs of lines: "Tcp: names", "Tcp:
// values". A value that is no counter (MaxConn is -1) is left out.
func ParseSNMP(r io.Reader, out map[string]uint64) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		names := strings.Fields(sc.Text())
		if !sc.Scan() {
			break
		}
		values := strings.Fields(sc.Text())
		if len(names) == 0 || len(values) != len(names) || names[0] != values[0] {
			return fmt.Errorf("snmp: heading %.30q does not fit the line after it", strings.Join(names, " "))
		}
		group, ok := strings.CutSuffix(names[0], ":")
		if !ok || (group != "Tcp" && group != "TcpExt" && group != "Udp") {
			continue
		}
		for i, name := range names[1:] {
			if v, err := strconv.ParseUint(values[i+1], 10, 64); err == nil {
				out[group+"."+name] = v
			}
		}
	}
	return sc.Err()
}

// ParseDev adds the interfaces' counters of /proc/net/dev (dev_seq_printf_stats
// in net/core/net-procfs.c) to out.
func ParseDev(r io.Reader, out map[string]uint64) error {
	columns := map[int]string{
		0: "rx_bytes", 1: "rx_packets", 2: "rx_errors", 3: "rx_dropped",
		8: "tx_bytes", 9: "tx_packets", 10: "tx_errors", 11: "tx_dropped",
	}
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		i := strings.LastIndexByte(sc.Text(), ':')
		if i < 0 {
			continue // the heading
		}
		name, fields := strings.TrimSpace(sc.Text()[:i]), strings.Fields(sc.Text()[i+1:])
		if len(fields) < 16 {
			return fmt.Errorf("net/dev: %s has %d columns, not 16", name, len(fields))
		}
		for i, column := range columns {
			v, err := strconv.ParseUint(fields[i], 10, 64)
			if err != nil {
				return fmt.Errorf("net/dev: %s: %q is no count", name, fields[i])
			}
			out[name+"."+column] = v
		}
	}
	return sc.Err()
}
