package copylab

import (
	"time"

	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// SchemaVersion is the version of the report's JSON.
const SchemaVersion = 1

// State says where the source is when it is copied. The destination is a small
// buffer that stays in L1, except in long copies.
type State string

// The states of a source.
const (
	HotL1   State = "l1"      // the same buffer again and again
	FromL2  State = "l2"      // buffers of half the L2 cache in turn
	FromL3  State = "l3"      // four times the L2 cache in turn
	FromRAM State = "dram"    // four times the L3 cache, one buffer after the other
	Pool    State = "pool"    // the same memory, packets in random order
	Written State = "written" // written by another CPU just before: the receive path's own
	Long    State = "long"    // source and destination both as long as the size, again and again
)

// Mode says how a time was taken.
type Mode string

// The two modes. In a loop, calls overlap in the CPU's window and the time is
// throughput; a single call between two fenced stamps shows latency too.
const (
	Loop   Mode = "loop"
	Single Mode = "single"
)

// Report is everything that was measured.
type Report struct {
	Schema     int             `json:"schema"`
	Started    time.Time       `json:"started"`
	CPU        int             `json:"cpu"`
	Peer       int             `json:"peer_cpu"` // -1: none
	Machine    Machine         `json:"machine"`
	Clock      cycles.Clock    `json:"clock"`
	Core       Core            `json:"core_clock"`
	Costs      Costs           `json:"costs"`
	Contention Contention      `json:"contention"`
	Routines   []Routine       `json:"routines"`
	Best       []Choice        `json:"best"`
	Roof       []Roof          `json:"roofline"`
	Table5     []Table5Row     `json:"table5"`
	Table6     []Table6Row     `json:"table6"`
	Cells      []Cell          `json:"cells"`
	Where      []WhereRow      `json:"where_to_checksum,omitempty"`
	Verdicts   []Verdict       `json:"verdicts"`
	Warnings   []trial.Warning `json:"warnings,omitempty"`
}

// Machine is what the figures belong to.
type Machine struct {
	Model    string  `json:"model"`
	Vendor   string  `json:"vendor"`
	Features string  `json:"features"`
	Caches   []Cache `json:"caches"`
	Kernel   string  `json:"kernel"`
	Go       string  `json:"go"`
	GODEBUG  string  `json:"godebug,omitempty"`
}

// Cache is a data cache as sysfs tells it; a virtual machine's L3 may be invented.
type Cache struct {
	Level int   `json:"level"`
	Bytes int64 `json:"bytes"`
}

// Core is the core's clock over the run, sampled between batches.
type Core struct {
	MinHertz    float64 `json:"min_hertz"`
	MedianHertz float64 `json:"median_hertz"`
	MaxHertz    float64 `json:"max_hertz"`
	Samples     int     `json:"samples"`
	// Known is false where cycles of the core cannot be measured: figures are then
	// in ticks of the clock.
	Known bool `json:"known"`
}

// Costs are what measuring itself costs, in cycles.
type Costs struct {
	Timer float64 `json:"timer_cycles"` // an empty pair of fenced stamps; taken off single shots
	Call  float64 `json:"call_cycles"`  // an empty routine in the loop; part of all figures but Go's copy
}

// Contention is how much of its CPU the measuring thread got.
type Contention struct {
	CPUShare float64 `json:"cpu_share"`
	// StealSeconds is what the hypervisor took meanwhile, which CPUShare cannot see:
	// stolen time counts as the thread's.
	StealSeconds float64 `json:"steal_seconds"`
	// Spread is the median over loops of (p90 - p10) / p50.
	Spread float64 `json:"median_spread"`
}

// Routine is a line of memcopy's table.
type Routine struct {
	Name        string `json:"name"`
	Family      string `json:"family"`
	Method      string `json:"method"`
	Available   bool   `json:"available"`
	Reason      string `json:"unavailable_because,omitempty"`
	NonTemporal bool   `json:"non_temporal"`
	Lossless    bool   `json:"lossless"`
}

// Choice is what memcopy.Best picks here, and why.
type Choice struct {
	Family string `json:"family"`
	Bytes  int    `json:"bytes"`
	Name   string `json:"name"`
	Why    string `json:"why"`
}

// Roof is what loads alone and stores alone reach at a level: bytes a core cycle.
type Roof struct {
	Level State   `json:"level"`
	Read  float64 `json:"read_bytes_per_cycle"`
	Write float64 `json:"write_bytes_per_cycle"`
}

// Cell is one figure: a method, a size, two offsets from a line's start, a state, a
// mode. Times are core cycles a call.
type Cell struct {
	Part   string  `json:"part"`
	Method string  `json:"method"`
	Family string  `json:"family"`
	Bytes  int     `json:"bytes"`
	Src    int     `json:"source_offset"`
	Dst    int     `json:"destination_offset"`
	State  State   `json:"state"`
	Mode   Mode    `json:"mode"`
	P10    float64 `json:"p10_cycles"`
	P50    float64 `json:"p50_cycles"`
	P90    float64 `json:"p90_cycles"`
	// Nanoseconds is P50 at the core's clock in that round.
	Nanoseconds float64 `json:"nanoseconds"`
	// ToBest is P50 over that of the family's fastest here (1: the fastest).
	ToBest float64 `json:"ratio_to_best"`
	// ToRoof is P50 over what the roofline allows; 0 where there is none.
	ToRoof float64 `json:"ratio_to_roof,omitempty"`
}

// Table5Row is a line of the paper's Table 5: 1448 million bytes in copies of 1448.
type Table5Row struct {
	Method     string  `json:"method"`
	Seconds    float64 `json:"seconds"`
	Spread     float64 `json:"spread"` // (p90 - p10) / median
	MBytes     float64 `json:"megabytes_per_second"`
	RoofMBytes float64 `json:"roofline_megabytes_per_second,omitempty"` // what loads and stores alone would allow
	Dst        uint64  `json:"destination_address"`
	Src        uint64  `json:"source_address"`
	Aligned    string  `json:"aligned"` // "YES" (8), "4" (not 8), "NO" (not 4)
	PaperLabel string  `json:"paper_label,omitempty"`
}

// Table6Row is a line of the paper's Table 6: cycles of one copy of 1448 bytes.
type Table6Row struct {
	Method     string  `json:"method"`
	State      State   `json:"state"`
	Aligned    string  `json:"aligned"`
	P10        float64 `json:"p10_cycles"`
	P50        float64 `json:"p50_cycles"`
	P90        float64 `json:"p90_cycles"`
	LoopP50    float64 `json:"loop_p50_cycles,omitempty"` // the same in a loop, where measured
	PaperLabel string  `json:"paper_label,omitempty"`
}

// WhereRow is a way to divide checksum and copy over CPUs: cycles a packet of 1448
// bytes that was not in any cache (or was just written by a third party).
type WhereRow struct {
	Arrival string  `json:"arrival"` // "dram": by DMA into memory; "written": by the peer CPU
	Way     string  `json:"way"`
	OnA     float64 `json:"cpu_a_cycles"`
	OnB     float64 `json:"cpu_b_cycles"`
	Total   float64 `json:"total_cycles"`
	P10     float64 `json:"p10_total_cycles"`
	P90     float64 `json:"p90_total_cycles"`
}

// Verdict is a finding in words.
type Verdict struct {
	Code string `json:"code"`
	Text string `json:"text"`
}
