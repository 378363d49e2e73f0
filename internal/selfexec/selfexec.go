// Package selfexec starts the running program again in another role: a load
// worker, an agent in a namespace. The role travels in an environment variable,
// so that tests and other programs can play the roles too: their main (or
// TestMain) calls [Dispatch] first.
package selfexec

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
)

// roleVariable names the role that a process was started in.
const roleVariable = "STACKMETER_ROLE"

// Dispatch runs the main function of the role that this process was started
// in and exits; it returns where the process was started by a user. A role that
// is not in the table is a fault of the program that started it: exit code 2.
func Dispatch(roles map[string]func() int) {
	role, ok := os.LookupEnv(roleVariable)
	if !ok {
		return
	}
	os.Unsetenv(roleVariable) // children start as themselves
	run, ok := roles[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "%s=%q: no such role in this program\n", roleVariable, role)
		os.Exit(2)
	}
	os.Exit(run())
}

// Command is this program in the given role, with env added to the environment.
// The caller sets files and attributes and starts it.
func Command(ctx context.Context, role string, env ...string) *exec.Cmd {
	// /proc/self/exe stays right when the file was replaced or deleted.
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args[0] = "stackmeter-" + role
	cmd.Env = slices.Concat(os.Environ(), env, []string{Environment(role)})
	return cmd
}

// Environment is the assignment ("NAME=value") that makes this program play a role where
// somebody else starts it.
func Environment(role string) string { return roleVariable + "=" + role }
