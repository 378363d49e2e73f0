package hist

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := New()
		for range rapid.IntRange(0, 50).Draw(t, "n") {
			h.RecordN(value(t, "v"), rapid.Uint64Range(1, 1<<40).Draw(t, "times"))
		}
		data, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		back := New()
		back.Record(7) // must be replaced
		if err := json.Unmarshal(data, back); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if *back != *h {
			t.Fatalf("%s came back otherwise", data)
		}
	})
}

func TestJSONForm(t *testing.T) {
	h := New()
	h.RecordN(3, 2)
	h.Record(1000)
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"version":1,"unit":"ns","sub_bucket_bits":7,"counts":[[3,2],[506,1]]}`; string(data) != want {
		t.Errorf("got %s\nwant %s", data, want)
	}
	if low, high := bounds(506); low != 1000 || high != 1003 {
		t.Errorf("bucket 506 is %d..%d", low, high)
	}
}

func form(counts string) string {
	return `{"version":1,"unit":"ns","sub_bucket_bits":7,"counts":` + counts + `}`
}

func TestJSONRefused(t *testing.T) {
	for data, names := range map[string]string{
		`{}`:                        "version",
		`[1]`:                       "histogram",
		`{"version":2}`:             "version is 2",
		`{"version":1,"unit":"us"}`: "unit",
		`{"version":1,"unit":"ns","sub_bucket_bits":5,"counts":[]}`: "sub_bucket_bits is 5",
		`{"version":1,"unit":"ns","sub_bucket_bits":7}`:             "counts is missing",
		form(`null`):                            "counts is missing",
		form(`{}`):                              "counts",
		form(`[[1]]`):                           "counts[0] has 1 numbers",
		form(`[[1,2,3]]`):                       "counts[0] has 3 numbers",
		form(`[[1,2],[1,2]]`):                   "counts[1]: index 1",
		form(`[[2,2],[1,2]]`):                   "counts[1]: index 1",
		form(`[[4096,1]]`):                      "counts[0]: index 4096",
		form(`[[-1,1]]`):                        "counts",
		form(`[[1,1.5]]`):                       "counts",
		form(`[[1,0]]`):                         "counts[0]: count 0",
		form(`[[1,-1]]`):                        "counts",
		form(`[[1,18446744073709551616]]`):      "counts",
		form(`[[1,9007199254740992],[2,1]]`):    "counts[1]: count 1",
		form(strings.Repeat(" ", 1<<20) + `[]`): "bytes of JSON",
	} {
		h := New()
		h.Record(1)
		err := h.UnmarshalJSON([]byte(data))
		if err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("%.80s: %v, want an error about %q", data, err, names)
		}
		if h.Count() != 1 || h.Max() != 1 {
			t.Errorf("%.80s was refused and changed the histogram", data)
		}
	}
	if err := New().UnmarshalJSON([]byte(form(`[[4095,9007199254740992]]`))); err != nil {
		t.Errorf("the most that is allowed: %v", err)
	}
}

// Whatever is accepted means the same when it is written and read again.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(form(`[]`)))
	f.Add([]byte(form(`[[3,2],[506,1],[4095,9]]`)))
	f.Add([]byte(form(`[[506,1],[3,2]]`)))
	f.Add([]byte(`{"version":1,"unit":"ns","sub_bucket_bits":7,"counts":[[1,1]],"counts":[[2]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h := New()
		if h.UnmarshalJSON(data) != nil {
			return
		}
		if n := h.Count(); n > maxRecords {
			t.Fatalf("accepted %d records", n)
		}
		again, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		back := New()
		if err := back.UnmarshalJSON(again); err != nil || *back != *h {
			t.Fatalf("%s is written as %s: %v", data, again, err)
		}
	})
}
