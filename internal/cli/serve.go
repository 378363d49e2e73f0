package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/agent"
)

// defaultPort is the agent's control port.
const defaultPort = "4777"

func newServe() *cobra.Command {
	var listen, keyFile string
	limits := agent.DefaultLimits()
	c := &cobra.Command{
		Use:   "serve",
		Short: "Lend this host's network load to a controller elsewhere",
		Long: `Run an agent: a controller on another host that holds the same key may make
this host send or receive network load. It may not change any setting here.

The agent listens on loopback unless told otherwise, serves one controller at a
time, and holds to its own limits whatever it is asked.`,
		Example: `  stackmeter keys new stackmeter.key      # copy it to the other host
  stackmeter serve --listen 10.0.0.2:4777 --key-file stackmeter.key`,
		Args: argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			key, err := agent.ReadKey(keyFile)
			if err != nil {
				return usage(err)
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return usage(fmt.Errorf("--listen: %w", err))
			}
			log := func(format string, args ...any) {
				fmt.Fprintf(c.ErrOrStderr(), time.Now().Format("15:04:05 ")+format+"\n", args...)
			}
			log("listening on %v", l.Addr())
			a := &agent.Listener{Key: key, Options: agent.Options{Limits: limits}, Log: log}
			return a.Serve(c.Context(), l)
		},
	}
	fl := c.Flags()
	fl.StringVar(&listen, "listen", net.JoinHostPort("127.0.0.1", defaultPort), "`ADDRESS` to listen on")
	fl.StringVar(&keyFile, "key-file", "stackmeter.key", "`FILE` with the shared key")
	fl.IntVar(&limits.Flows, "max-flows", limits.Flows, "flows of one load, at most")
	fl.DurationVar(&limits.Lifetime, "max-duration", limits.Lifetime, "length of one load, at most")
	return c
}

func newKeys() *cobra.Command {
	c := &cobra.Command{
		Use: "keys", Short: "Make the key that controller and agents share",
		Example: "  stackmeter keys new stackmeter.key",
		Args:    knownCommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(&cobra.Command{
		Use: "new FILE", Short: "Write a new random key to FILE (mode 0600); an existing file is refused",
		Example: "  stackmeter keys new stackmeter.key && scp stackmeter.key peer:",
		Args:    argCheck(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return usage(fmt.Errorf("key file: %w; name another one, or remove it if no agent uses its key", err))
			}
			_, err = fmt.Fprintln(f, agent.NewKey())
			return errors.Join(err, f.Close())
		},
	})
	return c
}
