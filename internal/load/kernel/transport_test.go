package kernel

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestStreamTransports runs every workload over every stream transport.
func TestStreamTransports(t *testing.T) {
	for name, f := range map[string]load.FlowSpec{
		"tcp6":  {Local: netip.MustParseAddrPort("[::1]:0")},
		"unix":  {Transport: load.Unix},
		"mptcp": {Transport: load.MPTCP},
	} {
		for _, workload := range []string{"stream", "maerts", "bidir", "rr", "crr"} {
			for _, model := range models {
				if (testing.Short() || name == "tcp6") && (workload == "maerts" || workload == "bidir" || model == load.Thread && workload == "rr") {
					continue
				}
				t.Run(fmt.Sprint(name, "-", workload, "-", model), func(t *testing.T) {
					f.Count, f.MessageBytes, f.ResponseBytes, f.NoDelay = 3, 200, 500, true
					r := carry(t, workload, model, f, nil)
					if workload != "bidir" {
						r.agree(t)
					}
					if workload == "rr" || workload == "crr" {
						if c := r.client; c.Transactions == 0 || c.Received != 500*c.Transactions {
							t.Errorf("client: %+v", c)
						}
					}
					if name != "mptcp" || workload == "crr" {
						return
					}
					for _, e := range append(r.serverEnds, r.clientEnds...) {
						// An end may be looked at when the connection is closed.
						if e.Socket.Subflows > 2 {
							t.Errorf("flow %d: %d subflows", e.ID, e.Socket.Subflows)
						}
					}
				})
			}
		}
	}
}

// TestFellBack connects by TCP to a server that speaks MPTCP: the server must say that it is not
// MPTCP.
func TestFellBack(t *testing.T) {
	_, err := try(t, "stream", load.Thread, load.FlowSpec{Transport: load.MPTCP, MessageBytes: 100}, func(_, client *load.FlowSpec) {
		client.Transport = load.TCP
	})
	if err == nil || !strings.Contains(err.Error(), "fell back") {
		t.Errorf("got %v", err)
	}
}

// TestUnixLeavesNothing looks for the socket's directory during and after a run.
func TestUnixLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	l, err := Engine{}.Listen(&load.FlowSpec{Transport: load.Unix, MessageBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(l.Address(), "unix:")
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of %s: %v, %v", path, info, err)
	}
	l.Close()
	if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestVSock runs over the machine's own vsock, where it has one that answers.
func TestVSock(t *testing.T) {
	for _, model := range models {
		r, err := try(t, "rr", model, load.FlowSpec{Transport: load.VSock, MessageBytes: 100}, nil)
		if err != nil {
			t.Skipf("no vsock of this machine's to talk to: %v", err)
		}
		r.agree(t)
	}
}

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ transport, to, wrong string }{
		{"tcp", "unix:/x", "not one of transport"},
		{"unix", "127.0.0.1:1", "not one of transport"},
		{"vsock", "127.0.0.1:1", "not one of transport"},
		{"vsock", "vsock:1", "CID:PORT"},
		{"vsock", "vsock:1:99999999999", "CID:PORT"},
		{"vsock", "vsock:1:1025", ""},
		{"unix", "unix:/x", ""},
		{"udp", "127.0.0.1", "ADDRESS:PORT"},
		{"tcp", "[fe80::1%no-such]:80", "no NIC"},
		{"tcp", "[fe80::1%lo]:80", ""},
	} {
		_, err := parseAddress(&load.FlowSpec{Transport: c.transport}, c.to)
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s %s: %v, want %q", c.transport, c.to, err, c.wrong)
		}
	}
}
