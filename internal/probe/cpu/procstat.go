package cpu

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// userHZ is the unit of /proc/stat, USER_HZ: 100 a second on every architecture
// that Go runs on.
const userHZ = 100

// Ticks are the columns of one line of /proc/stat in seconds, named like the
// fields of kcpustat (fs/proc/stat.c). Guest time is part of User and Nice
// already and left out.
type Ticks struct {
	User, Nice, System, Idle, IOWait, IRQ, SoftIRQ, Steal float64
}

// Stat is /proc/stat by online CPU.
type Stat struct {
	CPUs map[int]Ticks
}

// Online lists the CPUs in ascending order.
func (s *Stat) Online() []int {
	var cpus []int
	for n := range s.CPUs {
		cpus = append(cpus, n)
	}
	slices.Sort(cpus)
	return cpus
}

// ParseStat reads the lines cpu0, cpu1, ... of /proc/stat. Lines end before
// steal on old kernels; absent columns are zero.
func ParseStat(r io.Reader) (*Stat, error) {
	s := &Stat{CPUs: map[int]Ticks{}}
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		rest, ok := bytes.CutPrefix(line, []byte("cpu"))
		if !ok {
			break // the lines of CPUs come first
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, errors.New("/proc/stat: a cpu line is too long")
		}
		fields := bytes.Fields(rest)
		if len(fields) > 0 && rest[0] != ' ' { // not the line of the total
			if err := s.add(fields); err != nil {
				return nil, err
			}
		}
		if err != nil {
			break
		}
	}
	if len(s.CPUs) == 0 {
		return nil, errors.New("/proc/stat: no line of a CPU")
	}
	return s, nil
}

func (s *Stat) add(fields [][]byte) error {
	n, err := strconv.ParseUint(string(fields[0]), 10, 16)
	if err != nil {
		return fmt.Errorf("/proc/stat: cpu%s: not a CPU number", fields[0])
	}
	var t Ticks
	columns := []*float64{&t.User, &t.Nice, &t.System, &t.Idle, &t.IOWait, &t.IRQ, &t.SoftIRQ, &t.Steal}
	if len(fields) < 5 {
		return fmt.Errorf("/proc/stat: cpu%d has %d columns, want at least 4", n, len(fields)-1)
	}
	for i, f := range fields[1:min(len(fields), len(columns)+1)] {
		v, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return fmt.Errorf("/proc/stat: cpu%d: column %d: %q is no number", n, i+1, f)
		}
		*columns[i] = float64(v) / userHZ
	}
	s.CPUs[int(n)] = t
	return nil
}

func readStat(proc string) (*Stat, error) {
	f, err := os.Open(filepath.Join(proc, "stat"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseStat(f)
}

// sub is what passed between two readings. Columns that went back, as iowait may,
// count as zero.
func (t Ticks) sub(from Ticks) Ticks {
	d := func(a, b float64) float64 { return max(0, a-b) }
	return Ticks{
		User: d(t.User, from.User), Nice: d(t.Nice, from.Nice), System: d(t.System, from.System),
		Idle: d(t.Idle, from.Idle), IOWait: d(t.IOWait, from.IOWait), IRQ: d(t.IRQ, from.IRQ),
		SoftIRQ: d(t.SoftIRQ, from.SoftIRQ), Steal: d(t.Steal, from.Steal),
	}
}

// busy is the sum of the columns in which the CPU worked, by tick.
func (t Ticks) busy() float64 { return t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ }

func (t Ticks) sum() float64 { return t.busy() + t.Idle + t.IOWait + t.Steal }

func (t Ticks) plus(o Ticks) Ticks {
	return Ticks{
		User: t.User + o.User, Nice: t.Nice + o.Nice, System: t.System + o.System, Idle: t.Idle + o.Idle,
		IOWait: t.IOWait + o.IOWait, IRQ: t.IRQ + o.IRQ, SoftIRQ: t.SoftIRQ + o.SoftIRQ, Steal: t.Steal + o.Steal,
	}
}
