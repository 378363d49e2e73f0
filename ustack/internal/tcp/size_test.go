package tcp

import (
	"testing"
	"unsafe"
)

// TestConnFitsItsSizeClass holds a Conn to the allocator's class of 1024 bytes, of which
// 8 are a header: the next class costs each idle connection 128 bytes more.
func TestConnFitsItsSizeClass(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 1016 {
		t.Errorf("a Conn takes %d bytes, more than 1016", n)
	}
}
