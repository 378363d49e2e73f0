package cli_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stackmeter/stackmeter/internal/cli"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// TestMain makes the test binary play every part: under the name "stackmeter" it
// is the program, in a role it is an agent, a worker or a host of these tests.
func TestMain(m *testing.M) {
	roles := cli.Roles()
	roles[hostRole], roles[enterRole] = hostMain, enterMain
	selfexec.Dispatch(roles)
	testscript.Main(m, map[string]func(){"stackmeter": func() { os.Exit(cli.Main()) }})
}

// TestScripts runs the program as users do. Scripts begin with what they need:
// [root], [!short].
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv(marker, env.WorkDir)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit":    scriptExit,
			"as-was":  scriptAsWas,
			"json":    scriptJSON,
			"no-file": scriptNoFile,
		},
		RequireExplicitExec: true,
	})
}
