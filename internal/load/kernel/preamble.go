package kernel

import (
	"crypto/subtle"
	"encoding/binary"

	"github.com/stackmeter/stackmeter/internal/load"
)

// A preamble opens a data connection: the run's token and the number of the flow.
const preambleBytes = len(load.Token{}) + 4

func preamble(f *load.FlowSpec, id int) []byte {
	if f.SinglePort {
		return binary.BigEndian.AppendUint32(append([]byte(load.DataMagic), f.Token[:]...), uint32(id))
	}
	return binary.BigEndian.AppendUint32(append([]byte(nil), f.Token[:]...), uint32(id))
}

// opens reports whether b is a preamble of one of the flows of f, and of which.
func opens(f *load.FlowSpec, b []byte) (id int, ok bool) {
	if len(b) != preambleBytes || subtle.ConstantTimeCompare(b[:len(f.Token)], f.Token[:]) != 1 {
		return 0, false
	}
	id = int(binary.BigEndian.Uint32(b[len(f.Token):]))
	return id, id >= f.ID && id < f.ID+f.Flows()
}
