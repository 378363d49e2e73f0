package knob

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// TestCommandsQuote runs the words of commands about a NIC with a name that a shell would take apart.
func TestCommandsQuote(t *testing.T) {
	const nic = `a;id $x'y`
	size, err := LinkSize(nic, "gso-max-size")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := Ethtool(nic, "rx-ring")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []Knob{MTU(host.Live(), nic), RPS(host.Live(), nic, 0), Offload(nic, "gro"), size, ring} {
		command := k.Command("1")
		// Each word on a line of its own, instead of the command; no file is written.
		out, err := exec.Command("sh", "-c", "printf '%s\\n' "+strings.ReplaceAll(command, " > ", " ")).Output()
		if err != nil || !strings.Contains(string(out), nic) || strings.Contains(string(out), "uid=") {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
	for word, want := range map[string]string{"eth0": "eth0", "enp1s0f0np0.100": "enp1s0f0np0.100", "-x": "'-x'", "a b": "'a b'", "": "''"} {
		if got := shellWord(word); got != want {
			t.Errorf("%q is written %s, want %s", word, got, want)
		}
	}
}
