package tcp

// Sequence numbers are compared modulo 2^32 (RFC 9293, 3.4).

func lt(a, b uint32) bool { return int32(a-b) < 0 }

func leq(a, b uint32) bool { return int32(a-b) <= 0 }

func gt(a, b uint32) bool { return int32(a-b) > 0 }

func geq(a, b uint32) bool { return int32(a-b) >= 0 }
