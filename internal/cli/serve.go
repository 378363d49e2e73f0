package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// defaultPort is the agent's control port.
const defaultPort = "4777"

func newServe() *cobra.Command {
	var listen, metrics, maxRate string
	var cred credentialFlags
	var asJSON bool
	limits := agent.DefaultLimits()
	c := &cobra.Command{
		Use:   "serve",
		Short: "Lend this host's network load to a controller elsewhere",
		Long: `Run an agent: a controller on another host that holds the same key, or a certificate
of the same authority, may make this host send or receive network load. It may not
change any setting here. See stackmeter keys.

The agent listens on loopback unless told otherwise, serves one controller at a
time and tells others who it is, ends a session whose controller makes no call for
two minutes (and the length of its load), and holds to its own limits whatever it is
asked.`,
		Example: `  stackmeter keys new stackmeter.key      # copy it to the other host
  stackmeter serve --listen 10.0.0.2:4777 --key-file stackmeter.key`,
		Args: argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			own, err := cred.read()
			if err != nil {
				return err
			}
			if maxRate != "" {
				if limits.BitsPerSecond, err = unit.ParseBitRate(maxRate); err != nil {
					return usage(fmt.Errorf("--max-rate: %w", err))
				}
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return usage(fmt.Errorf("--listen: %w", err))
			}
			log := logger(c, asJSON)
			a := &agent.Listener{Credentials: own, Options: agent.Options{Limits: limits}, Log: log}
			if metrics != "" {
				end, err := serveMetrics(c.Context(), a, metrics, log)
				if err != nil {
					return errors.Join(err, l.Close())
				}
				defer end()
			}
			log("listening on %v", l.Addr())
			return a.Serve(c.Context(), l)
		},
	}
	fl := c.Flags()
	fl.StringVar(&listen, "listen", net.JoinHostPort("127.0.0.1", defaultPort), "`ADDRESS` to listen on")
	cred.register(fl)
	fl.StringVar(&metrics, "metrics", "", "`ADDRESS` to serve GET /metrics on in the OpenMetrics format, e.g. 127.0.0.1:9477; it asks nobody for credentials (default: off)")
	fl.IntVar(&limits.Flows, "max-flows", limits.Flows, "flows of one load, at most")
	fl.DurationVar(&limits.Lifetime, "max-duration", limits.Lifetime, "length of one load, at most")
	fl.StringVar(&maxRate, "max-rate", "", "what one load may send, at most, e.g. 1Gb/s (default: what the link takes)")
	fl.BoolVar(&asJSON, "json", false, "log JSON lines to standard output")
	return c
}

// serveMetrics serves an agent's metrics until end is called.
func serveMetrics(ctx context.Context, a *agent.Listener, at string, log func(string, ...any)) (end func(), err error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, usage(fmt.Errorf("--metrics: %w", err))
	}
	log("metrics at http://%v/metrics", l.Addr())
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.ServeMetrics(ctx, l, version()); err != nil {
			log("metrics: %v", err)
		}
	}()
	return func() { cancel(); <-done }, nil
}

// logger writes one line about each connection.
func logger(c *cobra.Command, asJSON bool) func(format string, args ...any) {
	if !asJSON {
		return func(format string, args ...any) {
			fmt.Fprintf(c.ErrOrStderr(), time.Now().Format("15:04:05 ")+format+"\n", args...)
		}
	}
	enc := json.NewEncoder(c.OutOrStdout())
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(map[string]string{"time": time.Now().Format(time.RFC3339Nano), "text": fmt.Sprintf(format, args...)})
	}
}
