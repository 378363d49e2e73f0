// Package wire reads and writes the headers of Ethernet, ARP, IPv4, IPv6, ICMP,
// ICMPv6 with NDP, UDP and TCP. Nothing in it allocates, and nothing that arrives
// makes it panic: what is malformed is named by a [Fault], to be counted.
//
// Reading verifies lengths and structure, not checksums (but that of the IPv4
// header); whoever copies the payload may want to sum it in the same pass.
package wire

// Fault is the cause why a packet was not understood. The zero Fault is none.
type Fault uint8

// Causes.
const (
	OK Fault = iota
	EthernetShort
	ARPShort
	ARPKind
	IPShort
	IPVersion
	IPHeaderLength
	IPLength
	IPChecksum
	IPFragment
	IPExtension
	IPSource
	ICMPShort
	ICMPChecksum
	ICMPQuote
	NDPHopLimit
	NDPOption
	UDPShort
	UDPLength
	UDPChecksum
	TCPShort
	TCPHeaderLength
	TCPOption
	TCPChecksum
	TCPPort
	Faults // how many there are
)

var faultNames = [Faults]string{
	"ok", "ethernet-short", "arp-short", "arp-kind", "ip-short", "ip-version",
	"ip-header-length", "ip-length", "ip-checksum", "ip-fragment", "ip-extension",
	"ip-source", "icmp-short", "icmp-checksum", "icmp-quote", "ndp-hop-limit",
	"ndp-option", "udp-short", "udp-length", "udp-checksum", "tcp-short",
	"tcp-header-length", "tcp-option", "tcp-checksum", "tcp-port",
}

// String returns the name of f, as in counters.
func (f Fault) String() string {
	if f < Faults {
		return faultNames[f]
	}
	return "unknown"
}
