package tune

import (
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// The loopback has one transmit queue.
func TestXPSOfOneQueue(t *testing.T) {
	for _, i := range (&Machine{Root: host.Live(), NICs: []string{"lo"}}).Items() {
		if i.Name != "xps" {
			continue
		}
		if _, err := i.Read(); !host.IsNotSupported(err) || !strings.Contains(err.Error(), "single transmit queue") {
			t.Errorf("xps of lo: %v", err)
		}
		return
	}
	t.Error("no item xps")
}
