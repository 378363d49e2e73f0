//go:build !amd64

package memcopy

var table = portable()
