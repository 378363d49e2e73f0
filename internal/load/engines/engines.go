// Package engines puts the engines that load workers know together.
package engines

import (
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/kernel"
	"github.com/stackmeter/stackmeter/internal/load/userstack"
)

// All returns the engines by name.
func All() map[string]load.Engine {
	return map[string]load.Engine{"kernel": kernel.Engine{}, "null": load.Null{}, load.Ustack: userstack.Engine{}}
}

// Worker is the main function of load workers, for package selfexec's role
// [load.WorkerRole].
func Worker() int { return load.WorkerMain(All()) }
