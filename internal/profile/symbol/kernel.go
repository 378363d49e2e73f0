package symbol

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// ErrHidden says that the kernel hides its addresses from this process.
var ErrHidden = errors.New("kallsyms shows no addresses: run as root, or set kernel.kptr_restrict to 0 and hold CAP_SYSLOG")

// ReadKernel reads the running kernel's symbols.
func ReadKernel() (*Table, error) {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseKallsyms(f)
}

// ParseKallsyms reads the functions of a kallsyms (kernel/kallsyms.c, s_show): lines
// of an address in hexadecimal, a type, a name and, after a tab, a module in brackets.
func ParseKallsyms(r io.Reader) (*Table, error) {
	t := &Table{entries: make([]entry, 0, 1<<17)}
	seen := false
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		addr, rest, _ := bytes.Cut(sc.Bytes(), []byte(" "))
		kind, name, ok := bytes.Cut(rest, []byte(" "))
		if !ok || len(kind) != 1 {
			return nil, fmt.Errorf("kallsyms:%d: %q is no symbol", n, sc.Text())
		}
		seen = true
		if !bytes.ContainsAny(kind, "tTwW") {
			continue // data
		}
		start, err := strconv.ParseUint(string(addr), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("kallsyms:%d: %q is no address", n, addr)
		}
		if start == 0 {
			continue
		}
		name, _, _ = bytes.Cut(name, []byte("\t")) // a module
		t.entries = append(t.entries, entry{start, string(name)})
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if seen && len(t.entries) == 0 {
		return nil, ErrHidden
	}
	t.sort()
	return t, nil
}
