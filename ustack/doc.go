// Package ustack is a TCP/IP stack in user space, for programs that carry packets
// themselves: VPNs, proxies, tunnels, appliances, test tools. It speaks Ethernet with
// ARP and NDP, IPv4, IPv6, ICMP, UDP and TCP on a [Device], and gives the application
// what package net gives: [Stack.Dial], [Stack.Listen] and [Stack.ListenPacket], whose
// connections net/http, crypto/tls and others use unchanged.
//
// # How it works
//
// Each queue of the device belongs to a shard: a goroutine with its own frames, timers
// and connections. It takes frames from the queue a bunch at a time, runs them through
// link, IP and TCP without handing them to another goroutine, merges the segments of a
// connection before TCP sees them, makes one decision about acknowledging for all, and
// sends all that came of the bunch at once. A frame is one piece of memory from a pool
// outside of the collector's heap; it goes from the device to the reader of its
// connection and back, without being copied, cleared or counted.
//
// What is proven by measurement to pay, and what is not, can be chosen: see
// [Techniques].
//
// # What it is not
//
// The stack has one device and forwards nothing. It sends no fragments, speaks no DNS
// and looks up no names. Urgent data is delivered as ordinary bytes.
package ustack
