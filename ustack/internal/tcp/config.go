package tcp

// Nanoseconds.
const (
	millisecond = 1_000_000
	second      = 1000 * millisecond
)

// Times that are not to be set, in nanoseconds.
const (
	rtoInitial = second              // RFC 6298, 2.1
	rtoMin     = 200 * millisecond   // RFC 6298 says 1 s; 200 ms is Linux's
	rtoMax     = 120 * second        // RFC 6298, 2.5: at least 60 s
	delackMax  = 40 * millisecond    // RFC 9293, 3.8.6.3: below 500 ms
	finWait2   = 60 * second         // Linux: tcp_fin_timeout
	timeWait   = 60 * second         // twice Linux's idea of a segment's lifetime
	pawsIdle   = 24 * 86400 * second // RFC 7323, 5.5
)

// Config is what a connection is made with. All sizes are bytes, all times
// nanoseconds.
type Config struct {
	// MSS is the longest payload that fits the link with no TCP options: MTU less
	// the headers of IP and TCP.
	MSS int
	// MSSMin is the MSS of a packet that every path takes, below which no error
	// message and no search for the path's MTU goes; 0: 536 (RFC 1122, 3.3.3).
	MSSMin int
	// MSSPath is how long segments are in the beginning, because the path is known to
	// take no more; 0: MSS. It is not what the peer is told.
	MSSPath int
	// BurstMax bounds the payload of one Send.
	BurstMax int

	ReceiveMin, ReceiveMax int // receive buffer at first, and as far as it may grow

	Congestion  Congestion
	NoDelay     bool // send small segments at once (RFC 9293, 3.7.4)
	Pacing      bool // spread what a window allows over the round trip
	ECN         bool // ask for, and agree to, ECN (RFC 3168)
	NoTimestamp bool // do not offer timestamps
	NoSACK      bool // do not offer selective acknowledgements
	NoRACK      bool // find losses by duplicate acknowledgements alone (RFC 6675)

	NoMTUProbing bool // do not look for black holes of the path MTU (RFC 4821)

	KeepIdle     int64 // keep-alive probes after so much silence; 0: none
	KeepInterval int64
	KeepCount    int32
	PacingMax    uint32 // of Pacing, KiB per second; 0: no bound
	UserTimeout  int64  // give up after so long without progress; 0: 15 minutes

	ISN       uint32      // initial sequence number (RFC 6528)
	TSOffset  uint32      // added to the clock for timestamps
	Challenge func() bool // whether a challenge ACK may be sent now (RFC 5961, 7); nil: always
}

// userTimeoutDefault is what 15 retransmissions take on Linux (tcp_retries2).
const userTimeoutDefault = 15 * 60 * second

// Congestion is a congestion control algorithm.
type Congestion uint8

// Algorithms.
const (
	CUBIC   Congestion = iota // RFC 9438
	NewReno                   // RFC 5681, 6582
)
