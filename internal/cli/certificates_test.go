package cli_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/rig"
)

// TestStudyWithCertificates runs a study over two hosts that know each other by certificates, and
// refuses one whose agent is called otherwise.
func TestStudyWithCertificates(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	server, client := newHost(t), newHost(t)
	if err := rig.Veth(server, client, rig.Plan(1)); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tiny.yaml", fmt.Sprintf(tiny, 1, "nics: [1]"))
	run(t, dir, 0, "keys", "authority", "ca")
	run(t, dir, 0, "keys", "issue", "--authority", "ca", "peer", "198.18.0.2")
	run(t, dir, 0, "keys", "issue", "--authority", "ca", "desk")
	with := func(name string) []string {
		return []string{"--certificate", name + ".pem", "--private-key", name + "-key.pem", "--authority", "ca/ca.pem"}
	}
	serve := func(name, port string) *program {
		p := inHost(prepare(t, dir, append([]string{"serve", "--listen", "198.18.0.2:" + port}, with(name)...)...), client).start()
		t.Cleanup(func() {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			_ = p.cmd.Wait()
		})
		until(t, "the agent listens", func() bool { return strings.Contains(p.stderr.String(), "listening") })
		return p
	}
	peer := serve("peer", "4777")
	args := append([]string{"study", "tiny.yaml", "--nic", "srv0", "--out", "r"}, with("desk")...)
	inHost(prepare(t, dir, append(args, "--peer", "198.18.0.2")...), server).start().wait(0, time.Minute)
	until(t, "the agent names its controller", func() bool { return strings.Contains(peer.stderr.String(), "(desk): session ended") })

	serve("desk", "4778")
	p := inHost(prepare(t, dir, append(args, "--peer", "198.18.0.2:4778", "--out", "r2")...), server).start()
	p.wait(2, 20*time.Second)
	if !strings.Contains(p.stderr.String(), "keys issue NAME 198.18.0.2") {
		t.Errorf("does not say what certificate it wants:\n%s", p.stderr.String())
	}
}
