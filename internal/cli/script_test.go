package cli_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptExit runs the program and wants an exit code: exit 2 study nosuch. What it prints is
// in stdout and stderr, as after exec.
func scriptExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exit CODE [argument ...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec("stackmeter", args[1:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run: %v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// scriptAsWas checks that the machine is as it was before the script and that
// nothing that the script started still runs.
func scriptAsWas(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: as-was")
	}
	if left := leftovers(ts.Getenv(marker)); left != "" {
		ts.Fatalf("%s", left)
	}
}

// scriptJSON checks that a file (stdout: of the last command) is one JSON value.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: json FILE")
	}
	if ok := json.Valid([]byte(ts.ReadFile(args[0]))); ok == neg {
		ts.Fatalf("valid JSON: %v", ok)
	}
}

// scriptNoFile checks that the directory has no entry but those named.
func scriptNoFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: no-file DIR [but ...]")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	allowed := map[string]bool{}
	for _, a := range args[1:] {
		allowed[a] = true
	}
	for _, e := range entries {
		if !allowed[e.Name()] {
			ts.Fatalf("%s is in %s", e.Name(), args[0])
		}
	}
}
