package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// userVariable tells a program that it was started again in a user namespace,
// and as which user outside.
const userVariable = "STACKMETER_USERNS_UID"

// InUserNamespace reports whether [EnterUserNamespace] started this process,
// and the user's number outside.
func InUserNamespace() (uid int, ok bool) {
	uid, err := strconv.Atoi(os.Getenv(userVariable))
	return uid, err == nil
}

// EnterUserNamespace runs this program again, with the same arguments and
// files, as root of a new user namespace, waits for it and returns its exit code.
// There it may make network namespaces and NICs. The error says why the kernel refused.
func EnterUserNamespace(ctx context.Context) (exitCode int, err error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), userVariable+"="+strconv.Itoa(os.Getuid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	// The child is in our process group: a terminal's Ctrl-C reaches it too, and
	// it is the one to act on it. A signal sent to us alone is passed on.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	signal.Ignore(os.Interrupt)
	defer signal.Reset(os.Interrupt)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("make a user namespace: %w; run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces above 0)", err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}
