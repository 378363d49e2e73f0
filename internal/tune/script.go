package tune

import (
	"fmt"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// Numbers of interrupts, threads and processes change with every boot, so scripts look
// them up. Each command is a line of its own that needs nothing of the others.

// irqScript finds interrupts by the names that the driver gave them.
func irqScript(m *Machine, nic string, ss []knob.Setting) ([]string, error) {
	irqs, err := m.Root.NICIRQs(nic)
	if err != nil {
		return nil, err
	}
	name := map[string]string{}
	for _, i := range irqs {
		name[fmt.Sprint(i.IRQ)] = i.Action
	}
	var out []string
	for _, s := range ss {
		key := s.Knob.Info().Key
		words := strings.Fields(name[key])
		if len(words) == 0 {
			return nil, fmt.Errorf("interrupt %s of %s has no name any more", key, nic)
		}
		out = append(out, fmt.Sprintf(
			`for i in $(awk -v a=%s '$NF == a { sub(":", "", $1); print $1 }' /proc/interrupts); do echo %s > /proc/irq/$i/smp_affinity_list; done`,
			quote(words[len(words)-1]), quote(s.Value)))
	}
	return out, nil
}

// napiScript finds the kernel threads by their names, "napi/NIC-ID", in the order of the ids.
func napiScript(_ *Machine, nic string, ss []knob.Setting) ([]string, error) {
	var out []string
	for n, s := range ss {
		out = append(out, fmt.Sprintf(
			`taskset -pc %s $(grep -sx 'napi/%s-[0-9]*' /proc/[0-9]*/comm | sed 's|^/proc/\([0-9]*\)/.*-\([0-9]*\)$|\2 \1|' | sort -n | sed -n '%ds/.* //p') > /dev/null`,
			s.Value, nic, n+1))
	}
	return out, nil
}

// affinityScript finds processes by their names.
func affinityScript(_ *Machine, spec string, ss []knob.Setting) ([]string, error) {
	if strings.Trim(spec, "0123456789") == "" {
		return nil, fmt.Errorf("%w: affinity of process %s: numbers change; hand the process over by its name", host.ErrInput, spec)
	}
	return []string{fmt.Sprintf(`for p in $(pgrep -x %s); do taskset -acp %s $p > /dev/null; done`, quote(spec), ss[0].Value)}, nil
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// commands are the shell commands that set settings of an item.
func (i Item) commands(ss []knob.Setting) ([]string, error) {
	if i.emit != nil {
		return i.emit(i.m, i.Target, ss)
	}
	var out []string
	for _, s := range ss {
		out = append(out, s.Knob.Command(s.Value))
	}
	return out, nil
}
