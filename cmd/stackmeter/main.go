// Command stackmeter tells why the TCP/IP stack of a machine does not scale
// over CPUs and NICs, and measures what fixes it. See `stackmeter --help`.
package main

import (
	"os"

	"github.com/stackmeter/stackmeter/internal/cli"
)

func main() { os.Exit(cli.Main()) }
