package tune

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
)

// step is the shell commands of one wanted value.
type step struct {
	Want
	set, back []string // back gives it the value that is in force now; none where that is the one wanted
	stays     string   // why back can't be written, "" where it can
}

// steps resolves a plan to commands. Where queues or threads are made by the plan itself the commands
// can't be known: it must be applied first.
func steps(plan []Want) ([]step, error) {
	var out []step
	for _, s := range States(plan) {
		if s.Err != nil {
			return nil, s.located()
		}
		if s.Later {
			return nil, fmt.Errorf("%w: %s of %s: its queues or threads are made by another setting of the plan; apply the profile once, then emit it", host.ErrInput, s.Item.Name, s.Item.Target)
		}
		var now, want []knob.Setting
		for _, p := range s.Parts {
			want = append(want, p.Setting)
			now = append(now, knob.Setting{Knob: p.Setting.Knob, Value: p.Now})
		}
		st := step{Want: s.Want}
		var err error
		if st.set, err = s.Item.commands(want); err != nil {
			return nil, err
		}
		if s.Differs() {
			if st.back, err = s.Item.commands(now); host.IsNotSupported(err) {
				st.stays = err.Error()
			} else if err != nil {
				return nil, err
			}
		}
		out = append(out, st)
	}
	return out, nil
}

// Script is a shell script that sets a plan, for those who want no new program on
// the machine. It stops at the first command that fails, and verifies nothing.
func Script(name string, plan []Want) (string, error) {
	all, err := steps(plan)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# The profile of settings %s%s.\nset -eu\n", comment(name), of(plan))
	for _, s := range all {
		fmt.Fprintf(&b, "\n# %s of %s: %s\n%s\n", s.Item.Name, comment(s.Item.Target), comment(s.Value), strings.Join(s.set, "\n"))
	}
	return b.String(), nil
}

// of names the NICs of a plan.
func of(plan []Want) string {
	nics := nicsOf(plan)
	if len(nics) == 0 {
		return ""
	}
	return " for " + strings.Join(nics, ", ")
}

func nicsOf(plan []Want) []string {
	var nics []string
	for _, w := range plan {
		if w.Item.Scope == NIC && !slices.Contains(nics, w.Item.Target) {
			nics = append(nics, w.Item.Target)
		}
	}
	return nics
}

// comment keeps text on its line.
func comment(s string) string { return strings.Join(strings.Fields(s), " ") }

// Unit is a systemd unit of the type oneshot that sets a plan once its NICs are there and, when
// stopped, sets what was in force when the unit was made.
func Unit(name string, plan []Want) (string, error) {
	all, err := steps(plan)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=Profile of settings %s%s\n", unitText(comment(name)), of(plan))
	var wantedBy []string
	for _, n := range nicsOf(plan) {
		device := "sys-subsystem-net-devices-" + unitName(n) + ".device"
		fmt.Fprintf(&b, "BindsTo=%s\nAfter=%s\n", device, device)
		wantedBy = append(wantedBy, device)
	}
	if len(wantedBy) == 0 {
		wantedBy = []string{"multi-user.target"}
	} else { // drivers ask for their interrupts when the NIC is brought up
		fmt.Fprint(&b, "Wants=network-online.target\nAfter=network-online.target\n")
	}
	fmt.Fprint(&b, "\n[Service]\nType=oneshot\nRemainAfterExit=yes\n")
	for _, s := range all {
		for _, c := range s.set {
			fmt.Fprintf(&b, "ExecStart=/bin/sh -ec \"%s\"\n", unitText(c))
		}
	}
	for _, s := range slices.Backward(all) {
		if s.stays != "" {
			fmt.Fprintf(&b, "# Stopping leaves %s of %s as it is: %s\n", s.Item.Name, comment(s.Item.Target), comment(s.stays))
		}
		for _, c := range slices.Backward(s.back) {
			fmt.Fprintf(&b, "ExecStop=-/bin/sh -ec \"%s\"\n", unitText(c))
		}
	}
	fmt.Fprintf(&b, "\n[Install]\nWantedBy=%s\n", strings.Join(wantedBy, " "))
	return b.String(), nil
}

// unitText escapes what systemd.service(5) would expand between double quotes.
func unitText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(s)
}

// unitName escapes a name as systemd-escape(1) does.
func unitName(s string) string {
	var b strings.Builder
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == ':', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// Tuned is a profile of tuned: the text of its tuned.conf, and of the script beside it that
// does what tuned's plugins sysctl and sysfs can't. script is empty where there is no need of it.
func Tuned(name string, plan []Want) (conf, script string, err error) {
	all, err := steps(plan)
	if err != nil {
		return "", "", err
	}
	var sysctls, sysfs, start, stop []string
	scripted := false
	for _, s := range all {
		if s.Item.Scope == Host {
			sysctls = append(sysctls, s.Item.Name+"="+s.Value)
			continue
		}
		files := filesOf(s.Want)
		scripted = scripted || files == nil
		sysfs = append(sysfs, files...)
		back := slices.Clone(s.back)
		if s.stays != "" {
			back = append(back, "# "+comment(s.Item.Name+" of "+s.Item.Target+" stays as it is: "+s.stays))
		}
		start, stop = append(start, s.set...), append(back, stop...)
	}
	// tuned's plugins run in an order of their own: where one setting needs the script, all go there.
	if scripted {
		sysfs = nil
	} else {
		start = nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[main]\nsummary=Profile of settings %s%s\n", comment(name), of(plan))
	section := func(name string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n[%s]\n%s\n", name, strings.Join(lines, "\n"))
		}
	}
	section("sysctl", sysctls)
	section("sysfs", sysfs)
	if len(start) > 0 {
		section("script", []string{"script=${i:PROFILE_DIR}/script.sh"})
		script = fmt.Sprintf("#!/bin/sh\nset -eu\ncase $1 in\nstart)\n%s\n;;\nstop)\n%s\n;;\nesac\n", strings.Join(start, "\n"), strings.Join(append(stop, ":"), "\n"))
	}
	return b.String(), script, nil
}

// filesOf gives an item's settings as lines of tuned's section sysfs; nil where one of them is no file
// of sysfs. tuned puts these back by itself.
func filesOf(w Want) []string {
	settings, err := w.Item.Resolve(w.Value)
	if err != nil {
		return nil
	}
	var out []string
	for _, s := range settings {
		path := knob.Path(s.Knob)
		if !strings.HasPrefix(path, "/sys/") {
			return nil
		}
		out = append(out, path+"="+s.Value)
	}
	return out
}
