package selfexec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/selfexec"
)

func TestMain(m *testing.M) {
	selfexec.Dispatch(map[string]func() int{
		"speak": func() int {
			fmt.Println(os.Args[0], os.Getenv("WORD"), os.Getenv("STACKMETER_ROLE") == "")
			return 7
		},
		"wait": func() int { time.Sleep(time.Minute); return 0 },
	})
	os.Exit(m.Run())
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -2
}

// TestCommandPlaysTheRole wants the role's own name, environment and exit code, and its children to be no
// role's.
func TestCommandPlaysTheRole(t *testing.T) {
	out, err := selfexec.Command(t.Context(), "speak", "WORD=hello").Output()
	if exitCode(err) != 7 || string(out) != "stackmeter-speak hello true\n" {
		t.Errorf("said %q, ended with %v", out, err)
	}
}

func TestUnknownRole(t *testing.T) {
	cmd := selfexec.Command(t.Context(), "nosuch")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); exitCode(err) != 2 || !strings.Contains(said.String(), `"nosuch": no such role`) {
		t.Errorf("said %q, ended with %v", said.String(), err)
	}
}

func TestCommandEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := selfexec.Command(ctx, "wait").Run(); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("ended with %v after %v", err, time.Since(began))
	}
}
