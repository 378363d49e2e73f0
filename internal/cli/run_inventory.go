package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"

	"github.com/stackmeter/stackmeter/meter"
)

// inventory is a file of the hosts of runs; see doc/run.md.
type inventory struct {
	Senders   []inventoryHost `yaml:"senders"`
	Receivers []inventoryHost `yaml:"receivers"`
}

type inventoryHost struct {
	Agent string `yaml:"agent"` // HOST[:PORT], or "local"
	NIC   string `yaml:"nic"`
}

// maxInventory bounds what is read of an inventory, in bytes.
const maxInventory = 1 << 20

// readInventory reads the senders and receivers of a file.
func readInventory(name string) (senders, receivers []meter.Host, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxInventory+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxInventory {
		return nil, nil, fmt.Errorf("%s: is larger than %d bytes", name, maxInventory)
	}
	senders, receivers, err = parseInventory(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return senders, receivers, nil
}

// parseInventory reads an inventory. Errors begin with [line:column] and name the field.
func parseInventory(data []byte) (senders, receivers []meter.Host, err error) {
	var inv inventory
	err = yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&inv)
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("the inventory is empty: want senders and receivers")
	}
	if err != nil {
		return nil, nil, errors.New(yaml.FormatError(err, false, true))
	}
	for _, side := range []struct {
		field string
		from  []inventoryHost
		to    *[]meter.Host
	}{{"senders", inv.Senders, &senders}, {"receivers", inv.Receivers, &receivers}} {
		for i, h := range side.from {
			host, field, err := h.host()
			if err != nil {
				return nil, nil, fmt.Errorf("%s%s[%d].%s: %w", position(data, fmt.Sprintf("$.%s[%d]", side.field, i), field), side.field, i, field, err)
			}
			*side.to = append(*side.to, host)
		}
	}
	if len(senders) == 0 && len(receivers) == 0 {
		return nil, nil, errors.New("senders, receivers: name at least one of either")
	}
	return senders, receivers, nil
}

// host checks an entry; field is the one that an error is about.
func (h *inventoryHost) host() (host meter.Host, field string, err error) {
	if h.Agent == "" {
		return host, "agent", errors.New("is missing: want HOST[:PORT], or local for this machine")
	}
	if host, err = parseHost(h.Agent); err != nil {
		return host, "agent", err
	}
	if host.NIC != "" {
		return host, "agent", fmt.Errorf("%q: the NIC goes into a field of its own: nic: %s", h.Agent, host.NIC)
	}
	if host.NIC = h.NIC; len(h.NIC) > 15 {
		return host, "nic", fmt.Errorf("%q: the name of a NIC has at most 15 characters", h.NIC)
	}
	return host, "", nil
}

// position is where a field stands, or its entry where it is absent: "[3:12] ".
func position(data []byte, entry, field string) string {
	for _, at := range []string{entry + "." + field, entry} {
		path, err := yaml.PathString(at)
		if err != nil {
			continue
		}
		if node, err := path.ReadNode(bytes.NewReader(data)); err == nil && node.GetToken() != nil {
			p := node.GetToken().Position
			return fmt.Sprintf("[%d:%d] ", p.Line, p.Column)
		}
	}
	return ""
}
