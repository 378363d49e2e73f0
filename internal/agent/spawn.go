package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// Role is the name under which a program must dispatch to [Main].
const Role = "agent"

const controlFD = 3

// Place where an agent that is started for a study lives.
type Home int

const (
	// OnHost is the machine's own network.
	OnHost Home = iota
	// InNamespace is a network and mount namespace of its own, with a sysfs
	// that shows its NICs.
	InNamespace
)

// Environment of a started agent: where it is and what it is called in records.
const (
	homeVariable = "STACKMETER_AGENT_HOME"
	nameVariable = "STACKMETER_AGENT_NAME"
)

// CloseTimeout is how long an agent has to put its host back.
const CloseTimeout = 15 * time.Second

// Spawn starts an agent of this program as a child process. It ends when the
// client is closed or this process dies.
func Spawn(name string, home Home) (*Client, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket of the agent %q: %w", name, err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	env := homeVariable + "=host"
	attr := &syscall.SysProcAttr{Setpgid: true} // Ctrl-C in a terminal is for the controller alone
	if home == InNamespace {
		env = homeVariable + "=namespace"
		attr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWNS
	}
	cmd := selfexec.Command(context.Background(), Role, env, nameVariable+"="+name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("start the agent %q: %w", name, err)
	}
	c := NewClient(name, conn)
	c.pid = cmd.Process.Pid
	c.wait = waiter(name, cmd, &stderr)
	return c, nil
}

// waiter returns the function that waits for the agent once.
func waiter(name string, cmd *exec.Cmd, stderr *bytes.Buffer) func() error {
	return func() error {
		kill := time.AfterFunc(CloseTimeout, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		err := cmd.Wait()
		said := bytes.TrimSpace(stderr.Bytes())
		switch {
		case err != nil:
			return fmt.Errorf("agent %q: %w\n%s", name, err, said)
		case len(said) > 0:
			return fmt.Errorf("agent %q: %s", name, said)
		}
		return nil
	}
}

// PID is the process of a spawned agent, 0 of a remote one.
func (c *Client) PID() int { return c.pid }

// Main is the main function of a spawned agent; it returns the exit code, 3
// where something could not be put back.
func Main() int {
	// An agent samples and waits; a collection in the window would show.
	debug.SetGCPercent(400)
	namespace := os.Getenv(homeVariable) == "namespace"
	if namespace {
		if err := settle(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	conn, err := net.FileConn(os.NewFile(controlFD, "control"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent: control socket:", err)
		return 1
	}
	err = Serve(context.Background(), conn, Options{Name: os.Getenv(nameVariable), Limits: DefaultLimits(), AllowSettings: true, Namespace: namespace})
	var left *NotRestoredError
	switch {
	case errors.As(err, &left):
		fmt.Fprintln(os.Stderr, left)
		return 3
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// settle makes a new mount namespace private and mounts a sysfs in it that
// shows the NICs of the new network namespace.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("agent: make the mounts private: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("agent: mount a sysfs of the network namespace: %w", err)
	}
	return nil
}
