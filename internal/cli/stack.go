package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/stackserver"
)

func newStack() *cobra.Command {
	c := &cobra.Command{
		Use:   "stack",
		Short: "Serve over the user-space TCP/IP stack: HTTP, echo, a transparent proxy",
		Long: `Small servers on ustack, the TCP/IP stack in user space that is part of stackmeter.

By default each makes a TUN device of its own with the subnet 198.51.100.0/24 (set apart
for documentation by RFC 5737), the stack at .2 and the host at .1: nothing that exists is
touched, and all goes when the server ends. With --device packet or xdp the stack has an
address of its own on an interface that is there, beside the kernel. Needs root, or a user and
network namespace of your own (unshare -Urn).`,
		Args: knownCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newStackHTTP(), newStackEcho(), newStackForward())
	return c
}

func newStackHTTP() *cobra.Command {
	f := stackFlags{listen: ":80"}
	var page string
	c := &cobra.Command{
		Use:   "http [DIRECTORY]",
		Short: "Serve the files of a directory, or a page, over HTTP",
		Example: `  stackmeter stack http /srv/www              # http://198.51.100.2/, from this host
  stackmeter stack http --page hello --listen :8080
  stackmeter stack http . --device packet --interface eth1 --address 192.0.2.10/24`,
		Args: argCheck(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			h := stackserver.Page(page)
			switch {
			case len(args) > 0 && page != "":
				return usage(errors.New("--page: a directory is named, too: choose one"))
			case len(args) > 0:
				files, err := stackserver.Files(args[0])
				if err != nil {
					return usage(err)
				}
				h = files
			case page == "":
				h = stackserver.Page("stackmeter's user-space TCP/IP stack\n")
			}
			return f.serve(c, "http", func(ctx context.Context, p *stackserver.Place, n *stackserver.Counts) error {
				return stackserver.HTTP(ctx, p, f.listen, h, n)
			})
		},
	}
	f.register(c, true)
	c.Flags().StringVar(&page, "page", "", "`TEXT` of the page that every request gets")
	return c
}

func newStackEcho() *cobra.Command {
	f := stackFlags{listen: ":7"}
	c := &cobra.Command{
		Use:   "echo",
		Short: "Send back what comes over TCP and UDP (RFC 862)",
		Example: `  stackmeter stack echo                       # then: nc 198.51.100.2 7
  stackmeter stack echo --listen :9000 --technique gather=1 --capture echo.pcapng`,
		Args: argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return f.serve(c, "echo", func(ctx context.Context, p *stackserver.Place, n *stackserver.Counts) error {
				return stackserver.Echo(ctx, p, f.listen, n)
			})
		},
	}
	f.register(c, true)
	return c
}

func newStackForward() *cobra.Command {
	f := stackFlags{}
	fwd := stackserver.Forwarder{Most: 4096}
	var routes []string
	c := &cobra.Command{
		Use:   "forward",
		Short: "A transparent proxy: what is routed into a TUN device goes on over the host's sockets",
		Long: `Make a TUN device, route prefixes into it, accept every TCP connection and UDP flow that
comes there, for whatever address and port, and carry it on over an ordinary socket of the
host to where its client wanted to go. A connection that can't be made is reset.

With --netns the device is in another network namespace and the sockets are in this one:
so a namespace gets a way out without a veth, a bridge or a NAT. Without, the host's own
sockets would be routed back into the device: name the interface to leave by with --via.`,
		Example: `  ip netns add box && stackmeter stack forward --netns /run/netns/box --route 0.0.0.0/0
  stackmeter stack forward --route 203.0.113.0/24 --via eth0`,
		Args: argCheck(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if f.place.Device != "tun" && f.place.Device != "tap" {
				return usage(fmt.Errorf("--device: %q: forward routes into a device of its own: tun or tap", f.place.Device))
			}
			for _, r := range routes {
				p, err := netip.ParsePrefix(r)
				if err != nil {
					return usage(fmt.Errorf("--route: %q: write a prefix, as 203.0.113.0/24", r))
				}
				f.place.Routes = append(f.place.Routes, p.Masked())
			}
			if fwd.Most < 1 {
				return usage(fmt.Errorf("--max-connections: %d, want at least 1", fwd.Most))
			}
			f.place.Any = true
			return f.serve(c, "forward", func(ctx context.Context, p *stackserver.Place, n *stackserver.Counts) error {
				fwd.Place, fwd.Counts = p, n
				fwd.Tell = f.log(c)
				return fwd.Run(ctx)
			})
		},
	}
	f.register(c, false)
	fl := c.Flags()
	fl.StringArrayVar(&routes, "route", nil, "`PREFIX` that is routed into the device; repeatable")
	fl.StringVar(&fwd.Via, "via", "", "`INTERFACE` that the host's sockets leave by (SO_BINDTODEVICE)")
	fl.IntVar(&fwd.Most, "max-connections", fwd.Most, "connections and flows at a time")
	fl.BoolVar(&fwd.NoUDP, "no-udp", false, "TCP alone")
	return c
}

// stackFlags are those of all servers.
type stackFlags struct {
	place           stackserver.Config
	address, host   string
	gateway, listen string
	techniques      map[string]string
	asJSON          bool
	quiet           bool
}

func (f *stackFlags) register(c *cobra.Command, listens bool) {
	c.Flags().SortFlags = false
	fl := pflag.NewFlagSet("stack", pflag.ContinueOnError)
	fl.SortFlags = false
	if listens {
		fl.StringVar(&f.listen, "listen", f.listen, "`ADDRESS` of the stack to listen on")
	}
	fl.StringVar(&f.place.Device, "device", "tun", "`DEVICE`: tun, tap (made for the server), packet, packet-ring, packet-blocks, xdp (on --interface)")
	fl.StringVar(&f.place.Interface, "interface", "", "`NAME`: packet, xdp: the interface to attach to; tun, tap: what the new one is called")
	fl.StringVar(&f.place.NetNS, "netns", "", "`PATH` of the network namespace in which the device is, as /proc/PID/ns/net; default: this one")
	fl.StringVar(&f.address, "address", "198.51.100.2/24", "`ADDRESS/LEN` of the stack, which nobody has")
	fl.StringVar(&f.host, "host-address", "", "tun, tap: the kernel's `ADDRESS` at the other end; default: the first of the subnet")
	fl.StringVar(&f.gateway, "gateway", "", "packet, xdp: the router's `ADDRESS`; default: none")
	fl.IntVar(&f.place.MTU, "mtu", 0, "tun, tap: bytes; default 1500")
	fl.IntVar(&f.place.Queues, "queues", 1, "queues of the device, each with a shard of the stack")
	fl.BoolVar(&f.place.NoOffload, "no-offload", false, "frames as on a wire; default: segments up to 64 KiB cross the device")
	techniqueFlag(fl, &f.techniques)
	fl.StringVar(&f.place.Capture, "capture", "", "write all packets to a new `FILE` (pcapng)")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON lines: where it serves, and at the end what it did")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no lines on the way")
	c.Flags().AddFlagSet(fl)
}

// parse reads what the flags name.
func (f *stackFlags) parse() (err error) {
	p := &f.place
	if p.Address, err = netip.ParsePrefix(f.address); err != nil || p.Address.Addr().IsUnspecified() || p.Address.Addr().IsMulticast() {
		return fmt.Errorf("--address: %q: write an address with the length of its subnet's prefix, as 192.0.2.10/24", f.address)
	}
	for flag, a := range map[string]struct {
		text string
		to   *netip.Addr
	}{"--host-address": {f.host, &p.Host}, "--gateway": {f.gateway, &p.Gateway}} {
		if a.text == "" {
			continue
		}
		if *a.to, err = netip.ParseAddr(a.text); err != nil {
			return fmt.Errorf("%s: %q: write an address, as 192.0.2.1", flag, a.text)
		}
	}
	if f.listen != "" {
		at, port, err := net.SplitHostPort(f.listen)
		if err != nil || at != "" && at != p.Address.Addr().String() || port == "" {
			return fmt.Errorf("--listen: %q: write :PORT, or the stack's address and a port, as %v", f.listen, netip.AddrPortFrom(p.Address.Addr(), 8080))
		}
	}
	virtual := p.Device == "tun" || p.Device == "tap"
	switch {
	case !slices.Contains(load.StackDevices, p.Device):
		return fmt.Errorf("--device: %q, want %s", p.Device, strings.Join(load.StackDevices, ", "))
	case !virtual && p.Interface == "":
		return fmt.Errorf("--interface: name the one to attach %s to", p.Device)
	case !virtual && (p.MTU != 0 || f.host != ""):
		return fmt.Errorf("--mtu, --host-address: %s takes the interface as it is", p.Device)
	case virtual && f.gateway != "":
		return fmt.Errorf("--gateway: %s has the host at its other end: for packet and xdp alone", p.Device)
	case p.MTU != 0 && (p.MTU < 1280 || p.MTU > 65535):
		return fmt.Errorf("--mtu: %d, want 1280 to 65535", p.MTU)
	case p.Queues < 1 || p.Queues > 64:
		return fmt.Errorf("--queues: %d, want 1 to 64", p.Queues)
	case len(p.Interface) > 15 || strings.ContainsAny(p.Interface, "/ %"):
		return fmt.Errorf("--interface: %q is no name of an interface", p.Interface)
	}
	for name, v := range f.techniques {
		if err := p.Techniques.Set(name, v); err != nil {
			return fmt.Errorf("--technique: %w", err)
		}
	}
	return nil
}
