//go:build !amd64

package memcopy

func detect() cpu { return cpu{} }
