package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// addressParams are the params of the call "addresses".
type addressParams struct {
	NIC string `json:"nic"`
}

// addresses are those of one NIC of the host, IPv4 first, link-local last.
func (s *session) addresses(_ context.Context, p addressParams) ([]netip.Addr, error) {
	nic, err := net.InterfaceByName(p.NIC)
	if err != nil {
		return nil, &Error{Code: "bad-request", Text: fmt.Sprintf("NIC %q: %v", p.NIC, err)}
	}
	all, err := nic.Addrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of %s: %w", p.NIC, err)
	}
	var v4, v6, local []netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		switch addr := prefix.Addr().Unmap(); {
		case addr.Is4():
			v4 = append(v4, addr)
		case addr.IsLinkLocalUnicast():
			local = append(local, addr.WithZone(p.NIC))
		default:
			v6 = append(v6, addr)
		}
	}
	out := append(append(v4, v6...), local...)
	if len(out) == 0 {
		return nil, &Error{Code: "bad-request", Text: fmt.Sprintf("NIC %q has no address", p.NIC)}
	}
	return out, nil
}

// Addresses are those of a NIC of the agent's host, at least one: IPv4 first, link-local last.
func (c *Client) Addresses(ctx context.Context, nic string) ([]netip.Addr, error) {
	return invoke[[]netip.Addr](ctx, c, "addresses", addressParams{nic})
}

// RemoteAddr is the agent's address on the control connection, LocalAddr ours.
func (c *Client) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// LocalAddr is our address on the control connection.
func (c *Client) LocalAddr() net.Addr { return c.conn.LocalAddr() }
