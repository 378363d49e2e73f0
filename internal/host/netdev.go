package host

import (
	"fmt"
	"slices"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
)

// Queue is a receive or transmit queue of a NIC, as the kernel's netdev family tells it.
type Queue struct {
	ID   int    `json:"id"`
	Type string `json:"type"`              // "rx" or "tx"
	NAPI int    `json:"napi_id,omitempty"` // the NAPI instance that serves it; 0 where the driver doesn't say
}

// Of Documentation/netlink/specs/netdev.yaml.
const (
	cmdQueueGet      = 10
	attrQueueID      = 1
	attrQueueIfindex = 2
	attrQueueType    = 3
	attrQueueNAPI    = 4
)

// Queues lists the queues of a NIC of the calling thread's network namespace by type
// and number (Linux 6.8). Only a NIC that is up has any.
func Queues(ifindex int) ([]Queue, error) {
	var queues []Queue
	err := netdevDump(cmdQueueGet, attrQueueIfindex, ifindex, func(d *netlink.AttributeDecoder) {
		q := Queue{Type: "rx"}
		for d.Next() {
			switch d.Type() {
			case attrQueueID:
				q.ID = int(d.Uint32())
			case attrQueueType:
				if d.Uint32() == 1 {
					q.Type = "tx"
				}
			case attrQueueNAPI:
				q.NAPI = int(d.Uint32())
			}
		}
		queues = append(queues, q)
	})
	slices.SortFunc(queues, func(a, b Queue) int {
		if a.Type != b.Type {
			return int(a.Type[0]) - int(b.Type[0])
		}
		return a.ID - b.ID
	})
	return queues, err
}

// netdevDump asks the netdev generic netlink family for all objects of a NIC.
func netdevDump(command uint8, attrIfindex uint16, ifindex int, each func(*netlink.AttributeDecoder)) error {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	family, err := c.GetFamily("netdev")
	if err != nil {
		return fmt.Errorf("netdev family: %w", err)
	}
	enc := netlink.NewAttributeEncoder()
	enc.Uint32(attrIfindex, uint32(ifindex))
	data, err := enc.Encode()
	if err != nil {
		return err
	}
	msgs, err := c.Execute(genetlink.Message{
		Header: genetlink.Header{Command: command, Version: family.Version}, Data: data,
	}, family.ID, netlink.Request|netlink.Dump)
	if err != nil {
		return err
	}
	for _, m := range msgs {
		dec, err := netlink.NewAttributeDecoder(m.Data)
		if err != nil {
			return err
		}
		each(dec)
		if err := dec.Err(); err != nil {
			return err
		}
	}
	return nil
}
