package vm

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// moduleTree is the modules of a kernel. What depends on what is read from the modules
// themselves (the field "depends" of .modinfo): a package that was never installed has no
// modules.dep.
type moduleTree struct {
	dir     string
	files   map[string]string // by module name, with '_'
	builtin map[string]bool
}

// module is one to load.
type module struct {
	name    string
	content []byte // decompressed ELF
}

func moduleName(file string) string {
	base := filepath.Base(file)
	if i := strings.Index(base, ".ko"); i >= 0 {
		base = base[:i]
	}
	return strings.ReplaceAll(base, "-", "_")
}

// openModules finds the modules under dir, which holds "kernel/..." as /lib/modules/RELEASE does.
func openModules(dir string) (*moduleTree, error) {
	t := &moduleTree{dir: dir, files: map[string]string{}, builtin: map[string]bool{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch filepath.Ext(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(path, ".xz"), ".zst"), ".gz")) {
		case ".ko":
			t.files[moduleName(path)] = path
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the guest kernel's modules: %w", err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, line := range strings.Fields(string(list)) {
		t.builtin[moduleName(line)] = true
	}
	return t, nil
}

// load returns the wanted modules and what they need, in the order in which to load them.
// Those built into the kernel are left out.
func (t *moduleTree) load(wanted ...string) ([]module, error) {
	var out []module
	done := map[string]bool{}
	var add func(name, why string) error
	add = func(name, why string) error {
		if done[name] || t.builtin[name] {
			return nil
		}
		done[name] = true
		file, ok := t.files[name]
		if !ok {
			return &host.NotSupportedError{
				What: "the guest's " + why, Reason: fmt.Sprintf("its kernel has no module %s in %s", name, t.dir),
				Mend: "choose another kernel with --kernel and --modules; Debian's linux-image-amd64 has them all",
			}
		}
		content, err := readModule(file)
		if err != nil {
			return err
		}
		needs, err := moduleNeeds(content)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, n := range needs {
			if err := add(n, "module "+name); err != nil {
				return err
			}
		}
		out = append(out, module{name, content})
		return nil
	}
	for _, name := range wanted {
		if err := add(name, "driver "+name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// has reports whether the kernel has a module, built in or not.
func (t *moduleTree) has(name string) bool { return t.builtin[name] || t.files[name] != "" }

// readModule returns a module's ELF file.
func readModule(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if err := decompress(&b, f, file); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// moduleNeeds reads the names of the modules that one depends on.
func moduleNeeds(content []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return nil, errors.New("no kernel module: it has no section .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	for _, field := range bytes.Split(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(field, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(strings.ReplaceAll(string(list), "-", "_"), ","), nil
		}
	}
	return nil, nil
}
