package vm_test

import (
	"encoding/json"
	"testing"

	"github.com/stackmeter/stackmeter/internal/topo"
)

// insideTopo holds topo against a machine of which all is known.
func insideTopo(t *testing.T) {
	var m topo.Machine
	if err := json.Unmarshal([]byte(program(t, "topo", "--json")), &m); err != nil {
		t.Fatal(err)
	}
	_ = m
}
