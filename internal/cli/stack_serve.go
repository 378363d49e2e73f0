package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackmeter/stackmeter/internal/stackserver"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// stackServing is what is told once a server can be reached.
type stackServing struct {
	Event     string            `json:"event"` // "serving"
	Server    string            `json:"server"`
	Device    string            `json:"device"`
	Mode      string            `json:"mode,omitempty"`
	Interface string            `json:"interface"`
	Address   netip.Prefix      `json:"address"`
	Host      netip.Addr        `json:"host_address,omitzero"`
	Listen    string            `json:"listen,omitempty"`
	Switches  map[string]string `json:"techniques"`
}

// stackEnd is what is told at the end.
type stackEnd struct {
	Event       string            `json:"event"` // "end"
	Seconds     float64           `json:"seconds"`
	Connections int64             `json:"connections"`
	Flows       int64             `json:"udp_flows,omitempty"` // echo: datagrams
	Requests    int64             `json:"requests,omitempty"`
	Failed      int64             `json:"failed,omitempty"`
	In          int64             `json:"in_bytes,omitempty"`
	Out         int64             `json:"out_bytes,omitempty"`
	Counters    map[string]uint64 `json:"counters"` // of the stack; those that are zero are left out
}

// log tells people what happens on the way.
func (f *stackFlags) log(c *cobra.Command) func(format string, args ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		if f.quiet {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(c.ErrOrStderr(), time.Now().Format("15:04:05 ")+format+"\n", args...)
	}
}

// progressEvery is how often a server tells of what it does, if it did anything.
const progressEvery = 10 * time.Second

// serve makes the stack, runs a server until it is interrupted, and tells what it did.
func (f *stackFlags) serve(c *cobra.Command, name string, run func(context.Context, *stackserver.Place, *stackserver.Counts) error) error {
	if err := f.parse(); err != nil {
		return usage(err)
	}
	p, err := stackserver.Open(f.place)
	if err != nil {
		return usage(err)
	}
	began := time.Now()
	var n stackserver.Counts
	if err := f.told(c, name, p); err != nil {
		_ = p.End()
		return err
	}
	ctx, cancel := context.WithCancel(c.Context())
	var told sync.WaitGroup
	told.Go(func() { f.tell(ctx, c, &n) })
	err = run(ctx, p, &n)
	cancel()
	told.Wait()
	counters := p.Counters()
	if ended := p.End(); err == nil {
		err = ended
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	maps.DeleteFunc(counters, func(_ string, v uint64) bool { return v == 0 })
	end := stackEnd{
		Event: "end", Seconds: time.Since(began).Seconds(), Connections: n.Connections.Load(), Flows: n.Flows.Load(), Requests: n.Requests.Load(),
		Failed: n.Failed.Load(), In: n.In.Load(), Out: n.Out.Load(), Counters: counters,
	}
	if f.asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(end)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s in %s\n", summary(&n), unit.Seconds(end.Seconds))
	return err
}

// told says where the server can be reached.
func (f *stackFlags) told(c *cobra.Command, name string, p *stackserver.Place) error {
	s := stackServing{
		Event: "serving", Server: name, Device: f.place.Device, Mode: p.Mode, Interface: p.Name, Address: f.place.Address, Host: p.Host, Listen: f.listen,
		Switches: p.Techniques().Strings(),
	}
	if f.asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(s)
	}
	at := ""
	if f.listen != "" {
		at = ", listening on " + f.listen
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "%s: stack at %v on %s %s%s; Ctrl-C ends it\n", name, s.Address.Addr(), s.Device, s.Interface, at)
	return err
}

// tell tells of what happened, now and then.
func (f *stackFlags) tell(ctx context.Context, c *cobra.Command, n *stackserver.Counts) {
	log, last := f.log(c), ""
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := fmt.Sprintf("%d open; %s", n.Open.Load(), summary(n)); now != last {
			log("%s", now)
			last = now
		}
	}
}

func summary(n *stackserver.Counts) string {
	s := fmt.Sprintf("%d connections", n.Connections.Load())
	if v := n.Requests.Load(); v > 0 {
		return s + fmt.Sprintf(", %d requests", v)
	}
	if v := n.Flows.Load(); v > 0 {
		s += fmt.Sprintf(", %d over UDP", v)
	}
	if v := n.Failed.Load(); v > 0 {
		s += fmt.Sprintf(", %d failed", v)
	}
	return s + fmt.Sprintf(", %s in, %s out", unit.Size(n.In.Load()), unit.Size(n.Out.Load()))
}
