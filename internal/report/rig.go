package report

// standIns says of each built-in rig what stands in for what, see doc/rigs.md.
var standIns = map[string]string{
	"veth": "client and server are network namespaces of this machine; a NIC's kernel thread (threaded NAPI) stands in for its interrupt, memory for the cable",
	"wire": "client and server are network namespaces of this machine; a process stands in for NIC hardware, cables and buses (group wire), threads pinned to a CPU each for interrupts; joining segments is the NIC's",
}
