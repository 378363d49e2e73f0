// Package memcopy holds routines that copy memory, sum it for the Internet
// checksum (RFC 1071), or do both in one pass, and picks the fastest of each for
// the CPU that it runs on.
//
// For use in a network stack there are three operations:
//
//	n := memcopy.Copy(dst, src)     // as the built-in copy
//	sum := memcopy.Sum(b)           // folded, not complemented
//	var p memcopy.Partial           // a checksum in the making
//	p.Add(header)                   // segments may have odd lengths
//	p.CopyAdd(dst, payload)         // copies and sums in one pass
//	header.SetChecksum(p.Checksum())
//	memcopy.Prefetch(later)         // a packet whose turn comes later
//
// For study there is a table of every routine with its family, needs and
// properties ([Routines]); among them the methods that Anand & Hartner compared in
// 'TCPIP Network Stack Performance in Linux Kernel 2.4 and 2.5' (2002).
//
// # Overlap
//
// The assembly routines copy forwards and assume that source and destination are
// apart. Every function of this package checks: where they overlap the work is
// given to the built-in copy (fused routines sum the source first), so that the
// result is that of the built-in copy, at its speed.
//
// # What it is not
//
// Copies are not atomic for words, so they must not be used for memory that holds
// Go pointers. The routines take ordinary memory; device memory is not their
// business, with or without non-temporal stores.
//
// Go cannot interrupt assembly, and the garbage collector waits for it. Long
// copies are therefore cut into calls of 128 KiB, each well under a millisecond.
package memcopy
