//go:build !amd64

package memcopy

// Prefetch does nothing on this architecture: Go has no portable prefetch.
func Prefetch([]byte) {}
