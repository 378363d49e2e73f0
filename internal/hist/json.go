package hist

import (
	"encoding/json"
	"fmt"
)

const (
	jsonVersion = 1
	jsonUnit    = "ns"
	// maxJSON bounds what is decoded: a histogram with every count at its
	// largest takes 96 KiB; the rest is for white space.
	maxJSON = 512 << 10
	// maxRecords bounds the records of a decoded histogram: what every JSON
	// reader holds exactly, and no merge of a thousand overflows.
	maxRecords = 1 << 53
)

// document is the JSON form: only buckets with records, as pairs of index and
// count by rising index. Forms of one version can be merged by adding counts of
// equal index.
type document struct {
	Version       int        `json:"version"`
	Unit          string     `json:"unit"`
	SubBucketBits int        `json:"sub_bucket_bits"`
	Counts        [][]uint64 `json:"counts"`
}

// MarshalJSON writes the buckets that hold records:
//
//	{"version":1,"unit":"ns","sub_bucket_bits":7,"counts":[[index,count],...]}
//
// With s = max(index/128 - 1, 0) bucket index begins at (index - 128*s) * 2^s ns
// and is 2^s ns wide; bucket 4095 has no end.
func (h *Hist) MarshalJSON() ([]byte, error) {
	d := document{jsonVersion, jsonUnit, SubBucketBits, [][]uint64{}}
	for i, n := range h {
		if n > 0 {
			d.Counts = append(d.Counts, []uint64{uint64(i), n})
		}
	}
	return json.Marshal(d)
}

// UnmarshalJSON reads what MarshalJSON writes in place of what the histogram
// held. What is malformed, of another version or layout, above 512 KiB or above
// 2^53 records is refused by an error that names the field, and leaves the
// histogram as it was. Unknown fields are passed over.
func (h *Hist) UnmarshalJSON(data []byte) error {
	if len(data) > maxJSON {
		return fmt.Errorf("histogram of %d bytes of JSON: more than %d", len(data), maxJSON)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	if d.Version != jsonVersion {
		return fmt.Errorf("histogram: version is %d, not %d: written by another version of stackmeter", d.Version, jsonVersion)
	}
	if d.Unit != jsonUnit {
		return fmt.Errorf("histogram: unit is %q, not %q", d.Unit, jsonUnit)
	}
	if d.SubBucketBits != SubBucketBits {
		return fmt.Errorf("histogram: sub_bucket_bits is %d, not %d", d.SubBucketBits, SubBucketBits)
	}
	if d.Counts == nil {
		return fmt.Errorf("histogram: counts is missing")
	}
	var out Hist
	total, next := uint64(0), uint64(0)
	for at, p := range d.Counts {
		if len(p) != 2 {
			return fmt.Errorf("histogram: counts[%d] has %d numbers, not index and count", at, len(p))
		}
		i, n := p[0], p[1]
		if i < next || i >= Buckets {
			return fmt.Errorf("histogram: counts[%d]: index %d is not in %d..%d: indices rise and end at the last bucket", at, i, next, Buckets-1)
		}
		if n == 0 || n > maxRecords-total {
			return fmt.Errorf("histogram: counts[%d]: count %d is not in 1..%d: empty buckets are left out, all together hold 2^53 at most", at, n, maxRecords-total)
		}
		out[i] = n
		total, next = total+n, i+1
	}
	*h = out
	return nil
}
