package tcp

import "github.com/stackmeter/stackmeter/ustack/internal/wire"

// markECN makes new bytes ECN-capable (RFC 3168, 6.1): not retransmissions, not pure
// acknowledgements.
func (c *Conn) markECN(s *Send) {
	if !c.ecn || s.Len == 0 {
		return
	}
	s.ECT = true
	if c.ecnCWR {
		c.ecnCWR = false
		s.Flags |= wire.CWR
	}
}
