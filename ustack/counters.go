package ustack

import (
	"maps"

	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// counter is one of a shard's counters.
type counter uint8

const (
	rxCalls counter = iota
	rxSleeps
	rxFrames
	rxNotForUs
	rxProtocol
	txFrames
	txDropped
	txErrors
	txNoFrame
	txNoNeighbour
	strays
	looped
	folded
	rxBehind
	rxDealt
	rxBacklog
	activeOpens
	passiveOpens
	attemptFails
	estabResets
	inSegs
	inMerged
	tcpCalls
	deliveries
	wakeups
	outSegs
	outRsts
	corked
	listenOverflows
	timeWaitOverflow
	cookiesSent
	cookiesGood
	cookiesFailed
	udpIn
	udpOut
	udpNoPorts
	udpInErrors
	udpRcvbuf
	icmpIn
	icmpOut
	icmpRateLimited
	reasmRequired
	reasmDone
	reasmFails
	fragOKs
	fragFails
	fragCreates
	countersN
)

type counters [int(countersN) + int(wire.Faults)]uint64

// counterNames are those of the kernel's /proc/net/snmp and /proc/net/netstat where it
// has the counter; the prefix Ustack marks others.
var counterNames = [countersN]string{
	rxCalls: "UstackReceiveCalls", rxSleeps: "UstackSleeps", rxFrames: "IpInReceives", rxNotForUs: "IpInAddrErrors", rxProtocol: "IpInUnknownProtos",
	txFrames: "IpOutRequests", txDropped: "IpOutDiscards", txErrors: "UstackOutErrors",
	txNoFrame: "UstackOutNoFrame", txNoNeighbour: "IpOutNoRoutes", strays: "UstackHandedOver", looped: "UstackToItself", folded: "UstackInFolded", rxBehind: "UstackInBehind", rxDealt: "UstackSpread", rxBacklog: "UstackBacklogDropped",
	activeOpens: "TcpActiveOpens", passiveOpens: "TcpPassiveOpens", attemptFails: "TcpAttemptFails", estabResets: "TcpEstabResets",
	inSegs: "TcpInSegs", inMerged: "UstackInMerged", tcpCalls: "UstackTCPCalls", deliveries: "UstackDeliveries", wakeups: "UstackWakeups", outSegs: "TcpOutSegs", outRsts: "TcpOutRsts", corked: "TcpExtTCPAutoCorking",
	listenOverflows: "TcpExtListenOverflows", timeWaitOverflow: "TcpExtTCPTimeWaitOverflow",
	cookiesSent: "TcpExtSyncookiesSent", cookiesGood: "TcpExtSyncookiesRecv", cookiesFailed: "TcpExtSyncookiesFailed",
	udpIn: "UdpInDatagrams", udpOut: "UdpOutDatagrams", udpNoPorts: "UdpNoPorts", udpInErrors: "UdpInErrors", udpRcvbuf: "UdpRcvbufErrors",
	icmpIn: "IcmpInMsgs", icmpOut: "IcmpOutMsgs", icmpRateLimited: "UstackIcmpRateLimited",
	reasmRequired: "IpReasmReqds", reasmDone: "IpReasmOKs", reasmFails: "IpReasmFails",
	fragOKs: "IpFragOKs", fragFails: "IpFragFails", fragCreates: "IpFragCreates",
}

// fault counts a malformed packet by its cause.
func (s *shard) fault(f wire.Fault) { s.counters[int(countersN)+int(f)]++ }

// Counters returns what the stack has counted, under the kernel's names: those of
// /proc/net/snmp with the protocol before the name, TcpExt for /proc/net/netstat, and
// Ustack for what the kernel lacks. UstackDrop-CAUSE counts malformed packets.
//
// What passes from layer to layer is counted on each: the device was asked for frames
// UstackReceiveCalls times, UstackSleeps of them in vain; TCP was called UstackTCPCalls times
// with segments, or several of them merged; it handed bytes to a connection's reader
// UstackDeliveries times and woke it UstackWakeups times. Pools were asked for frames
// UstackFrameTakes times and gave UstackFrames, for which they allocated memory
// UstackFrameAllocs times; they got frames back UstackFrameReturns times.
func (st *Stack) Counters() map[string]uint64 {
	all := map[string]uint64{}
	for _, s := range st.shards {
		s.mu.Lock()
		for i, n := range s.counters[:countersN] {
			all[counterNames[i]] += n
		}
		for f := wire.OK + 1; f < wire.Faults; f++ {
			if n := s.counters[int(countersN)+int(f)]; n > 0 {
				all["UstackDrop-"+f.String()] += n
			}
		}
		sum := s.tcpDone
		for _, c := range s.flows {
			sum.Add(&c.tcp.Stats)
			if c.tcp.State() >= tcp.Established && c.tcp.State() != tcp.TimeWait {
				all["TcpCurrEstab"]++
			}
		}
		for _, p := range []*frame.Pool{s.pool, s.small} {
			if p != nil {
				n := p.Counts()
				all["UstackFrameTakes"] += n.Takes
				all["UstackFrames"] += n.Frames
				all["UstackFrameAllocs"] += n.Allocs
				all["UstackFrameReturns"] += n.Returns
			}
		}
		s.unlock()
		maps.Copy(all, add(all, &sum))
	}
	return all
}

// add returns the counters of t, added to what all has.
func add(all map[string]uint64, t *tcp.Stats) map[string]uint64 {
	named := map[string]uint64{
		"TcpRetransSegs": t.RetransSegs, "TcpExtTCPTimeouts": t.RTOs, "TcpExtTCPLossProbes": t.TLPs,
		"TcpExtTCPSackRecovery": t.Recoveries, "UstackUndos": t.Undos, "TcpExtTCPDSACKRecv": t.DSACKsIn,
		"TcpExtTCPDSACKOldSent": t.DSACKsOut, "TcpExtTCPOFOQueue": t.OutOfOrder, "TcpExtPAWSEstab": t.PAWS,
		"TcpExtTCPChallengeACK": t.Challenges, "TcpExtTCPHPHits": t.Predicted, "TcpExtTCPWinProbe": t.ZeroWindowProbes,
		"TcpExtTCPKeepAlive": t.KeepAlives, "TcpExtOfoPruned": t.Pruned,
		"UstackMTUShortened": uint64(t.Shortened), "TcpExtTCPMTUPSuccess": uint64(t.MTUFound),
	}
	for name := range named {
		named[name] += all[name]
	}
	return named
}
