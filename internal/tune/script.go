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
		out = append(out, irqLine(words[len(words)-1], s.Value))
	}
	return out, nil
}

// irqLine steers the interrupts with a name.
func irqLine(name, cpus string) string {
	return fmt.Sprintf(
		`i=$(awk -v a=%[1]s '$NF == a { sub(":", "", $1); print $1 }' /proc/interrupts); [ -n "$i" ] || { echo no interrupt is named %[1]s >&2; exit 1; }; for i in $i; do echo %[2]s > /proc/irq/$i/smp_affinity_list; done`,
		quote(name), quote(cpus))
}

// napiScript finds the kernel threads by their names, "napi/NIC-ID", in the order of the ids.
func napiScript(_ *Machine, nic string, ss []knob.Setting) ([]string, error) {
	var out []string
	for n, s := range ss {
		out = append(out, fmt.Sprintf(
			`taskset -pc %s $(grep -sx %s /proc/[0-9]*/comm | sed 's|^/proc/\([0-9]*\)/.*-\([0-9]*\)$|\2 \1|' | sort -n | sed -n '%ds/.* //p') > /dev/null`,
			s.Value, quote("napi/"+basic.Replace(nic)+"-[0-9]*"), n+1))
	}
	return out, nil
}

// basic escapes what has a meaning in basic regular expressions.
var basic = strings.NewReplacer(`\`, `\\`, ".", `\.`, "*", `\*`, "[", `\[`, "]", `\]`, "^", `\^`, "$", `\$`)

// affinityScript finds processes by their names.
func affinityScript(_ *Machine, spec string, ss []knob.Setting) ([]string, error) {
	if strings.Trim(spec, "0123456789") == "" {
		return nil, fmt.Errorf("%w: affinity of process %s: numbers change; hand the process over by its name", host.ErrInput, spec)
	}
	for _, s := range ss {
		if s.Value != ss[0].Value {
			return nil, &host.NotSupportedError{
				What: "a command for the affinity of " + spec, Reason: "its threads have affinities of their own", Mend: "use `stackmeter tune apply` and `restore`",
			}
		}
	}
	return []string{fmt.Sprintf(`p=$(pgrep -x %[1]s) || { echo no process is named %[1]s >&2; exit 1; }; for p in $p; do taskset -acp %[2]s $p > /dev/null; done`, quote(spec), ss[0].Value)}, nil
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
