package ustack

import (
	"encoding/binary"

	"github.com/stackmeter/stackmeter/ustack/internal/siphash"
)

// hash is a keyed hash of a flow's name that nobody else can compute.
func (st *Stack) hash(k *flowKey, purpose byte) uint64 {
	var b [37]byte
	copy(b[:], k.local[:])
	copy(b[16:], k.remote[:])
	binary.BigEndian.PutUint16(b[32:], k.localPort)
	binary.BigEndian.PutUint16(b[34:], k.remotePort)
	b[36] = purpose
	return siphash.Sum(st.secret, b[:])
}

// isn is the initial sequence number of RFC 6528: a hash of the flow's name, and a
// clock of 4 microseconds, so that a flow's numbers grow from one life to the next.
func (st *Stack) isn(k *flowKey, now int64) uint32 {
	return uint32(st.hash(k, 'i')) + uint32(now/4000)
}

// timestampOffset hides how long the stack has been up (RFC 7323, 7.1).
func (st *Stack) timestampOffset(k *flowKey) uint32 { return uint32(st.hash(k, 't')) }
