package symbol

import (
	"bufio"
	"debug/elf"
	"debug/gosym"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Mapping is a part of a file that a process may execute.
type Mapping struct {
	Start, End, Offset uint64
	Path               string // as the process sees it; "[vdso]" and the like for none
}

// ParseMaps reads the executable mappings of a /proc/PID/maps.
func ParseMaps(r io.Reader) ([]Mapping, error) {
	var out []Mapping
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 5 || len(f[1]) < 3 || f[1][2] != 'x' {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		offset, err3 := strconv.ParseUint(f[2], 16, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("maps: %q: %w", sc.Text(), err)
		}
		m := Mapping{Start: start, End: end, Offset: offset}
		if len(f) > 5 {
			m.Path = f[5]
		}
		out = append(out, m)
	}
	return out, sc.Err()
}

// Processes names addresses in processes. It reads a process's mappings when first
// asked for it, so ask while the process lives; the symbols of a file are read once. It
// is not safe for concurrent use.
type Processes struct {
	proc  string
	maps  map[int][]Mapping
	files map[fileID]*file
}

type fileID struct {
	dev, ino uint64
}

// file is an ELF file: its symbols by virtual address, and where its segments lie.
type file struct {
	table    Table
	segments []elf.ProgHeader
}

// NewProcesses reads below /proc.
func NewProcesses() *Processes {
	return &Processes{proc: "/proc", maps: map[int][]Mapping{}, files: map[fileID]*file{}}
}

// Load notes the mappings of a process that lives.
func (p *Processes) Load(pid int) {
	if _, known := p.maps[pid]; known {
		return
	}
	p.maps[pid] = nil
	f, err := os.Open(filepath.Join(p.proc, strconv.Itoa(pid), "maps"))
	if err != nil {
		return // gone, or not ours to look at: its addresses stay without names
	}
	defer f.Close()
	if maps, err := ParseMaps(f); err == nil {
		p.maps[pid] = maps
	}
}

// Find names an address of a process. An address without a symbol has the name of
// the file that it is in.
func (p *Processes) Find(pid int, addr uint64) (name string, ok bool) {
	p.Load(pid)
	for _, m := range p.maps[pid] {
		if addr < m.Start || addr >= m.End {
			continue
		}
		name = "[" + filepath.Base(m.Path) + "]"
		if strings.HasPrefix(m.Path, "[") {
			name = m.Path
		}
		f := p.open(pid, m)
		if f == nil {
			return name, true
		}
		at := addr - m.Start + m.Offset
		for _, seg := range f.segments {
			if at < seg.Off || at >= seg.Off+seg.Filesz {
				continue
			}
			if found, ok := f.table.Find(at - seg.Off + seg.Vaddr); ok {
				name = found
			}
		}
		return name, true
	}
	return "", false
}

// open reads a mapped file through the process's own root, so that files in
// containers are found; nil where it can't be.
func (p *Processes) open(pid int, m Mapping) *file {
	if !strings.HasPrefix(m.Path, "/") {
		return nil
	}
	name := filepath.Join(p.proc, strconv.Itoa(pid), "root", m.Path)
	st, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		name = m.Path // the process is gone
		st, err = os.Stat(name)
	}
	if err != nil {
		return nil
	}
	id := identify(st)
	if f, known := p.files[id]; known {
		return f
	}
	f, err := readELF(name)
	if err != nil {
		f = nil
	}
	p.files[id] = f
	return f
}

func readELF(name string) (*file, error) {
	e, err := elf.Open(name)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	f := &file{}
	for _, prog := range e.Progs {
		if prog.Type == elf.PT_LOAD && prog.Flags&elf.PF_X != 0 {
			f.segments = append(f.segments, prog.ProgHeader)
		}
	}
	f.table.entries = functions(e)
	f.table.sort()
	return f, nil
}

// functions are those of the symbol table; of a stripped file those of Go's own
// table, which programs keep to print their stacks, or the exported ones.
func functions(e *elf.File) []entry {
	syms, err := e.Symbols()
	if err != nil || len(syms) == 0 {
		if out := goFunctions(e); len(out) > 0 {
			return out
		}
		if syms, err = e.DynamicSymbols(); err != nil {
			return nil
		}
	}
	var out []entry
	for _, s := range syms {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Section != elf.SHN_UNDEF {
			out = append(out, entry{s.Value, s.Name})
		}
	}
	return out
}

func goFunctions(e *elf.File) []entry {
	text, table := e.Section(".text"), e.Section(".gopclntab")
	if text == nil || table == nil {
		return nil
	}
	data, err := table.Data()
	if err != nil {
		return nil
	}
	t, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return nil
	}
	var out []entry
	for _, f := range t.Funcs {
		out = append(out, entry{f.Entry, f.Name})
	}
	return out
}
