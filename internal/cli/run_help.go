package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// helpWidth is where the help's lines are broken.
func helpWidth(c *cobra.Command) int {
	if f, ok := c.OutOrStdout().(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return min(max(int(size.Col), 60), 120)
		}
	}
	return 100
}

// help shows the examples first, then the flags by what they are about.
func (f *runFlags) help(c *cobra.Command, _ []string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nExamples:\n%s\n\nUsage:\n  %s\n", c.Long, c.Example, c.UseLine())
	for _, g := range f.groups {
		fmt.Fprintf(&b, "\n%s:\n%s", g.title, g.flags.FlagUsagesWrapped(helpWidth(c)))
	}
	b.WriteString("\nEvery flag with what it does to a figure: doc/run.md. The Go package: meter.\n")
	_, _ = c.OutOrStdout().Write([]byte(b.String()))
}
