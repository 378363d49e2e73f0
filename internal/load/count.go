package load

import "time"

// Count is what one flow carried in a window.
type Count struct {
	ID int `json:"id"`
	Tally
	Seconds  float64       `json:"seconds"`               // between the readings at the two edges
	EdgeSkew time.Duration `json:"edge_skew_nanoseconds"` // at most this far from the other flows' readings
	// IntervalSeconds is as asked; IntervalBytes is what was received per interval, where
	// it was asked for.
	IntervalSeconds float64  `json:"interval_seconds,omitempty"`
	IntervalBytes   []uint64 `json:"interval_bytes,omitempty"`
}

// Count returns what flow f carried between the first and the last sample.
func (s *Samples) Count(f int) Count {
	last := len(s.Due) - 1
	c := Count{
		Tally:    s.Edges[1][f].Since(s.Edges[0][f]),
		Seconds:  s.Seconds(),
		EdgeSkew: time.Duration(max(s.After[0]-s.Before[0], s.After[last]-s.Before[last])),
	}
	if s.received == nil {
		return c
	}
	c.IntervalSeconds = float64(s.Due[1]-s.Due[0]) / 1e9
	for i := range last {
		c.IntervalBytes = append(c.IntervalBytes, s.received[i+1][f]-s.received[i][f])
	}
	return c
}

// Seconds is the length of the window as it was read.
func (s *Samples) Seconds() float64 {
	return float64(s.Before[len(s.Due)-1]-s.Before[0]) / 1e9
}

// Lateness is how far after its due time the worst sample was taken.
func (s *Samples) Lateness() time.Duration {
	var worst int64
	for i := range s.Due {
		worst = max(worst, s.Before[i]-s.Due[i])
	}
	return time.Duration(worst)
}
