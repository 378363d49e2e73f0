package advise

// Latency is what a request and its answer take, with and without a change: seconds.
type Latency struct {
	Before Percentiles `json:"before"`
	After  Percentiles `json:"after"`
}

// Percentiles of the round trips of one connection a NIC, one request at a time.
type Percentiles struct {
	P50   float64 `json:"p50_seconds"`
	P99   float64 `json:"p99_seconds"`
	Count uint64  `json:"requests"`
}
