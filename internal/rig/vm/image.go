package vm

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/stackmeter/stackmeter/internal/host"
)

// moduleDir is where init finds the modules, in the order in which to load them.
const moduleDir = "/modules"

// besides are modules that the program can use and that nothing in a guest could load later;
// those that a kernel hasn't got are left out.
var besides = []string{"veth", "tun", "ifb", "sch_fq", "sch_fq_codel", "sch_tbf", "sch_netem", "tcp_bbr", "tcp_dctcp"}

// writeImage writes the guest's initramfs: this program, the libraries it was linked to, if
// any, and modules.
func writeImage(w io.Writer, load []module) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	a := newArchive(buffered)
	for _, d := range []string{"proc", "sys", "tmp", "run", "root", "etc"} {
		a.dir(d)
	}
	a.console()
	if err := a.file("init", "/proc/self/exe"); err != nil {
		return err
	}
	libraries, err := neededLibraries("/proc/self/exe")
	if err != nil {
		return err
	}
	for _, l := range libraries {
		if err := a.file(l, l); err != nil {
			return err
		}
	}
	for i, m := range load {
		a.bytes(fmt.Sprintf("%s/%03d-%s.ko", moduleDir, i, m.name), m.content)
	}
	if err := a.end(); err != nil {
		return err
	}
	return buffered.Flush()
}

// libraryDirs are where a dynamically linked program's libraries are looked for.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// neededLibraries lists the files that a program needs to start: none where it is static.
func neededLibraries(program string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	var add func(file string) error
	add = func(file string) error {
		f, err := elf.Open(file)
		if err != nil {
			return fmt.Errorf("libraries of the guest's program: %s: %w", file, err)
		}
		defer f.Close()
		names, err := f.ImportedLibraries()
		if err != nil {
			return fmt.Errorf("libraries of the guest's program: %s: %w", file, err)
		}
		for _, p := range f.Progs {
			if p.Type != elf.PT_INTERP {
				continue
			}
			b, err := io.ReadAll(p.Open())
			if err != nil {
				return err
			}
			interpreter := string(b[:max(len(b)-1, 0)]) // ends with 0
			if !seen[filepath.Base(interpreter)] {
				seen[filepath.Base(interpreter)] = true
				out = append(out, interpreter)
			}
		}
		for _, n := range names {
			if seen[n] {
				continue
			}
			seen[n] = true
			path, err := findLibrary(n)
			if err != nil {
				return err
			}
			out = append(out, path)
			if err := add(path); err != nil {
				return err
			}
		}
		return nil
	}
	return out, add(program)
}

func findLibrary(name string) (string, error) {
	for _, d := range libraryDirs {
		path := filepath.Join(d, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", &host.NotSupportedError{
		What: "run this program in a guest", Reason: fmt.Sprintf("it is linked to %s, which is in none of %v", name, libraryDirs),
		Mend: "build it with CGO_ENABLED=0",
	}
}

// wantedModules are those of the NICs and of the port, and of besides what there is.
func wantedModules(c *Config, t *moduleTree) ([]module, error) {
	wanted := []string{"virtio_pci", "virtio_console"}
	for _, n := range c.NICs {
		wanted = append(wanted, modules[n.Driver])
	}
	for _, m := range besides {
		if t.has(m) {
			wanted = append(wanted, m)
		}
	}
	return t.load(wanted...)
}

// buildImage writes the initramfs for a machine to file.
func buildImage(c *Config, k Kernel, file string) (err error) {
	t, err := openModules(k.Modules)
	if err != nil {
		return err
	}
	load, err := wantedModules(c, t)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return writeImage(f, load)
}
