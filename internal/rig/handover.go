package rig

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
)

// handoverTimeout is how long a client's NIC may take to come back from a namespace that is
// being taken down, to which it was handed before.
const handoverTimeout = 20 * time.Second

// Handover moves the client's ends of links, which are NICs of the server's network namespace,
// to the client's, gives all ends their addresses and brings them up. They must be connected to
// each other already. When the client ends, the kernel moves real NICs back.
func Handover(ctx context.Context, serverPID, clientPID int, links []Link) error {
	server, err := open(serverPID)
	if err != nil {
		return err
	}
	defer server.close()
	client, err := open(clientPID)
	if err != nil {
		return err
	}
	defer client.close()
	if err := client.up("lo"); err != nil {
		return err
	}
	for _, l := range links {
		end, err := server.await(ctx, l.Client.Name)
		if err != nil {
			return err
		}
		if err := server.LinkSetNsPid(end, clientPID); err != nil {
			return fmt.Errorf("hand %s to the client: %w", l.Client.Name, err)
		}
		if err := errors.Join(server.address(l.Server), client.address(l.Client)); err != nil {
			return err
		}
	}
	for _, l := range links {
		if err := errors.Join(server.carrier(ctx, l.Server.Name), client.carrier(ctx, l.Client.Name)); err != nil {
			return err
		}
	}
	return nil
}

// await waits for a NIC.
func (n *namespace) await(ctx context.Context, name string) (netlink.Link, error) {
	for deadline := time.Now().Add(handoverTimeout); ; {
		link, err := n.LinkByName(name)
		if err == nil {
			return link, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("find %s: %w", name, errors.Join(err, ctx.Err()))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// carrier waits until a NIC has one: an emulated link takes seconds to come up.
func (n *namespace) carrier(ctx context.Context, name string) error {
	for deadline := time.Now().Add(handoverTimeout); ; time.Sleep(20 * time.Millisecond) {
		link, err := n.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if s := link.Attrs().OperState; s == netlink.OperUp || s == netlink.OperUnknown {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s has no carrier in %v", name, handoverTimeout)
		}
	}
}
