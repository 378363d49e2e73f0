package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/agent"
)

func newKeys() *cobra.Command {
	c := &cobra.Command{
		Use: "keys", Short: "Make what controller and agents know each other by",
		Long: `Controller and agents speak TLS 1.3 and let in only those who belong to them. Either
all hold one secret (keys new), or each has a certificate of one authority (keys
authority, keys issue): then each can be named in an agent's log, and none can pass
for an agent that its certificate does not name.

Whoever holds the shared key, or any certificate of the authority, may put any of
the agents to work. There is no list of revoked certificates: they are short-lived.
To shut one out before its end, make a new authority.`,
		Example: `  stackmeter keys new stackmeter.key             # one secret for all
  stackmeter keys authority ca                   # or an authority ...
  stackmeter keys issue --authority ca lab1 10.0.0.2
  stackmeter keys issue --authority ca desk`,
		Args: knownCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newKeysNew(), newKeysAuthority(), newKeysIssue())
	return c
}

func newKeysNew() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "new FILE", Short: "Write a new random key to FILE (mode 0600); an existing file is refused",
		Example: "  stackmeter keys new stackmeter.key && scp stackmeter.key peer:",
		Args:    argCheck(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return usage(fmt.Errorf("key file: %w; name another one, or remove it if no agent uses its key", err))
			}
			_, err = fmt.Fprintln(f, agent.NewKey())
			if err := errors.Join(err, f.Close()); err != nil || !asJSON {
				return err
			}
			return writeJSON(c.OutOrStdout(), map[string]string{"key_file": args[0]})
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func newKeysAuthority() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "authority DIR", Short: "Make an authority in DIR: ca.pem for every host, ca-key.pem for none",
		Long: `Make an authority in DIR, for ten years. Its certificate, ca.pem, goes to every host; its
key, ca-key.pem, stays where it is: who has it can make controllers and agents.`,
		Example: "  stackmeter keys authority ca",
		Args:    argCheck(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if err := agent.NewAuthority(args[0]); err != nil {
				return usage(fmt.Errorf("authority: %w; name another directory, or remove its files if no certificate of it is used", err))
			}
			if !asJSON {
				return nil
			}
			return writeJSON(c.OutOrStdout(), map[string]string{"authority": args[0]})
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func newKeysIssue() *cobra.Command {
	var asJSON bool
	var dir string
	var days int
	c := &cobra.Command{
		Use: "issue --authority DIR NAME [HOST...]", Short: "Make a certificate, NAME.pem, and its key, NAME-key.pem, for a controller or an agent",
		Long: `Make a certificate and its key in the current directory, for a controller or an agent. A
controller takes an agent only if its certificate names the host that it dialled: give
the agent's host names and addresses, as NAME or after it. Make a new one before it
ends, and start the agent anew with it.`,
		Example: `  stackmeter keys issue --authority ca lab1 lab1.example.net 10.0.0.2
  scp lab1.pem lab1-key.pem ca/ca.pem lab1:
  lab1$ stackmeter serve --listen 10.0.0.2:4777 --certificate lab1.pem --private-key lab1-key.pem --authority ca.pem`,
		Args: argCheck(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if dir == "" {
				return usage(errors.New("--authority: name the directory of `stackmeter keys authority`"))
			}
			a, err := agent.ReadAuthority(dir)
			if err != nil {
				return usage(err)
			}
			certificate, key, end, err := a.Issue(".", args[0], args[1:], time.Duration(days)*24*time.Hour)
			if err != nil {
				return usage(err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), map[string]string{"certificate": certificate, "private_key": key, "valid_until": end.Format(time.RFC3339)})
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s, %s: for %s, until %s\n", certificate, key, strings.Join(args, ", "), end.Format(time.DateOnly))
			return err
		},
	}
	fl := c.Flags()
	fl.StringVar(&dir, "authority", "", "`DIR` of the authority")
	fl.IntVar(&days, "days", 90, "how long the certificate is valid")
	jsonFlag(c, &asJSON)
	return c
}
