package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"

	"github.com/stackmeter/stackmeter/internal/fielddoc"
	"github.com/stackmeter/stackmeter/meter"
)

var update = flag.Bool("update", false, "write the generated part of doc/run-format.md")

func TestRunDocument(t *testing.T) {
	fielddoc.Check(t, "../..", "doc/run-format.md", *update, fielddoc.Table{Title: "The fields of a run", Type: reflect.TypeFor[meter.Result]()})
}

// captured is a run that was measured on the built-in rig.
func captured(t *testing.T, workload string) *meter.Result {
	t.Helper()
	f, err := os.Open("testdata/run/" + workload + ".json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := ReadRun(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func encode(t *testing.T, name string, r *meter.Result) []byte {
	t.Helper()
	f, err := FindRun(name)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.Encode(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRunJSONRoundTrip(t *testing.T) {
	for _, w := range []string{"tcp_stream", "tcp_rr", "udp_stream", "tcp_bidir"} {
		one := encode(t, "json", captured(t, w))
		r, err := ReadRun(bytes.NewReader(one))
		if err != nil {
			t.Fatal(err)
		}
		if two := encode(t, "json", r); !bytes.Equal(one, two) {
			t.Errorf("%s comes back otherwise", w)
		}
	}
}

func TestReadRunRefuses(t *testing.T) {
	good := string(encode(t, "json", captured(t, "tcp_rr")))
	for _, c := range []struct{ old, changed, names string }{
		{`"schema": 1`, `"schema": 2`, "schema is 2"},
		{`"schema": 1`, `"schema": "1"`, "schema"},
		{`"windows": [`, `"windows": [], "x": [`, "windows is empty"},
		{`"workload": "tcp_rr"`, `"workload": "ftp"`, "config.workload"},
		{`"version": 1`, `"version": 9`, "histogram: version"},
		{`"started"`, `"begun"`, "started is missing"},
	} {
		if _, err := ReadRun(strings.NewReader(strings.Replace(good, c.old, c.changed, 1))); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s for %s: %v, want an error about %q", c.changed, c.old, err, c.names)
		}
	}
	if _, err := ReadRun(strings.NewReader(good + good)); err == nil {
		t.Error("two documents are taken")
	}
}

// FuzzReadRun wants whatever is read to be writable in each format.
func FuzzReadRun(f *testing.F) {
	for _, w := range []string{"tcp_rr", "tcp_bidir"} {
		raw, err := os.ReadFile("testdata/run/" + w + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ReadRun(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, format := range RunFormats() {
			var b bytes.Buffer
			if err := format.Encode(&b, r); err == nil && b.Len() == 0 {
				t.Errorf("%s writes nothing", format.Name)
			}
		}
	})
}

// Every format tells a run that is not complete from one that is.
func TestIncompleteShows(t *testing.T) {
	for _, f := range RunFormats() {
		r := captured(t, "tcp_stream")
		whole := encode(t, f.Name, r)
		r.Complete, r.Error = false, "sender2 was lost"
		part := encode(t, f.Name, r)
		if bytes.Contains(whole, []byte("was lost")) || !bytes.Contains(part, []byte("sender2 was lost")) {
			t.Errorf("%s does not tell", f.Name)
		}
	}
}

func TestRunCSV(t *testing.T) {
	r := captured(t, "tcp_rr")
	rows, err := csv.NewReader(bytes.NewReader(encode(t, "csv", r))).ReadAll()
	if err != nil || len(rows) != 1+len(r.Windows[0].Intervals)+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	last := rows[len(rows)-1]
	if last[1] != "total" || last[7] != strconv.FormatFloat(r.TransactionsPerSecond, 'g', -1, 64) || rows[0][7] != "transactions_per_second" {
		t.Errorf("%q", last)
	}
}

func TestRunGoBench(t *testing.T) {
	for w, unit := range map[string]string{"tcp_stream": "bit/s/cpu", "tcp_rr": "p99-sec"} {
		r := captured(t, w)
		in := benchfmt.NewReader(bytes.NewReader(encode(t, "gobench", r)), w)
		lines := 0
		for in.Scan() {
			switch rec := in.Result().(type) {
			case *benchfmt.SyntaxError:
				t.Fatal(rec)
			case *benchfmt.Result:
				lines++
				if v, ok := rec.Value(unit); !ok || v <= 0 || rec.GetConfig("kernel") == "" || !strings.Contains(string(rec.Name), "/flows=2/msg=") {
					t.Errorf("%s: %+v", rec.Name, rec.Values)
				}
			}
		}
		if in.Err() != nil || lines != len(r.Windows) {
			t.Errorf("%d lines, %v", lines, in.Err())
		}
	}
}

func TestRunOpenMetrics(t *testing.T) {
	r := captured(t, "tcp_rr")
	text := string(encode(t, "openmetrics", r))
	body, ok := strings.CutSuffix(text, "# EOF\n")
	if !ok {
		t.Error("no # EOF at the end")
	}
	family, kind, seen, last := "", "", map[string]bool{}, -1.0
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if f := strings.Fields(line); f[0] == "#" {
			if f[1] == "TYPE" {
				family, kind = f[2], f[3]
				if seen["# "+family] {
					t.Errorf("%s comes twice", family)
				}
				seen["# "+family] = true
			}
			if f[2] != family || f[1] == "UNIT" && !strings.HasSuffix(family, "_"+f[3]) {
				t.Errorf("%q", line)
			}
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil || seen[line[:i]] || !strings.HasPrefix(line, family) {
			t.Errorf("%q: %v", line, err)
		}
		seen[line[:i]] = true
		if kind == "histogram" && strings.Contains(line, "_bucket") {
			if v < last {
				t.Errorf("%q: below the bucket before it", line)
			}
			last = v
		}
	}
	if n := r.LatencyHistogram.Count(); last != float64(n) || !strings.Contains(text, fmt.Sprintf("le=\"+Inf\"} %d\n", n)) && n < 1e6 {
		t.Errorf("the last bucket has %v of %d", last, n)
	}
}

// shape reports where a lacks what b has, or has it of another type.
func shape(path string, a, b any) []string {
	var out []string
	switch b := b.(type) {
	case map[string]any:
		m, ok := a.(map[string]any)
		if !ok {
			return []string{path}
		}
		for k, v := range b {
			if _, ok := m[k]; !ok {
				out = append(out, path+"."+k)
				continue
			}
			out = append(out, shape(path+"."+k, m[k], v)...)
		}
	case []any:
		l, ok := a.([]any)
		if !ok || len(l) == 0 {
			return []string{path}
		}
		for i := range min(len(l), len(b)) {
			out = append(out, shape(fmt.Sprintf("%s[%d]", path, i), l[i], b[i])...)
		}
	default:
		if reflect.TypeOf(a) != reflect.TypeOf(b) {
			return []string{path}
		}
	}
	return out
}

// What iperf3 3.12 writes of such a test has no key that we lack, nor one of another
// type.
func TestIperf3Shape(t *testing.T) {
	for w, fixtures := range map[string][]string{
		"tcp_stream": {"tcp-1", "tcp-4"}, "tcp_maerts": {"tcp-reverse"}, "tcp_bidir": {"tcp-bidir"}, "udp_stream": {"udp-1", "udp-2"}, "udp_maerts": {"udp-reverse"},
	} {
		var got any
		if err := json.Unmarshal(encode(t, "iperf3", captured(t, w)), &got); err != nil {
			t.Fatal(err)
		}
		for _, name := range fixtures {
			raw, err := os.ReadFile("testdata/iperf3/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			if missing := shape("", got, want); len(missing) > 0 {
				t.Errorf("%s against %s: %v", w, name, missing)
			}
		}
	}
	if err := RunIperf3(&bytes.Buffer{}, captured(t, "tcp_rr")); err == nil || !strings.Contains(err.Error(), "choose another format") {
		t.Errorf("requests and responses: %v", err)
	}
}
