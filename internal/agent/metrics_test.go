package agent

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// observed is an agent with its metrics.
type observed struct {
	*listening
	url string
}

func observe(t *testing.T) *observed {
	t.Helper()
	serve := &Listener{Options: defaults()}
	serve.Options.Limits.BitsPerSecond = 1e12
	o := &observed{listening: listenWith(t, serve)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.url = "http://" + l.Addr().String() + "/metrics"
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve.ServeMetrics(ctx, l, `v1 "quoted" \`) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return o
}

// scrape reads the metrics, which must be well-formed, into a map by sample.
func (o *observed) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(o.url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Header.Get("Content-Type"); r.StatusCode != http.StatusOK || got != "application/openmetrics-text; version=1.0.0; charset=utf-8" {
		t.Errorf("status %s, content type %q", r.Status, got)
	}
	samples, err := readOpenMetrics(string(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return samples
}

var (
	metricLine  = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(.*)\})? (\S+)$`)
	labelsOf    = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\[\\"n])*"(,|$))*$`)
	descriptive = regexp.MustCompile(`^# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
	suffixOf    = map[string]string{"counter": "_total", "gauge": "", "info": "_info"}
)

// readOpenMetrics holds a text against the rules of OpenMetrics 1.0 for the types that we
// use: a family's lines stand together, its description before its samples, a unit ends its name, a type
// decides the suffix of its samples, no sample comes twice, and the text ends with # EOF.
func readOpenMetrics(text string) (map[string]float64, error) {
	body, ok := strings.CutSuffix(text, "# EOF\n")
	if !ok {
		return nil, fmt.Errorf("does not end with # EOF")
	}
	samples := map[string]float64{}
	var family, kind string
	families, described := map[string]bool{}, map[string]bool{}
	sampled := true
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		line := lines.Text()
		if d := descriptive.FindStringSubmatch(line); d != nil {
			if d[2] != family {
				if families[d[2]] || !sampled {
					return nil, fmt.Errorf("%q: the family comes twice, or the one before has no sample", line)
				}
				family, kind, sampled = d[2], "", false
				families[family] = true
				clear(described)
			}
			if described[d[1]] || sampled {
				return nil, fmt.Errorf("%q: again, or after a sample", line)
			}
			described[d[1]] = true
			switch d[1] {
			case "TYPE":
				kind = d[3]
				if _, ok := suffixOf[kind]; !ok || strings.HasSuffix(family, "_total") || strings.HasSuffix(family, "_info") {
					return nil, fmt.Errorf("%q: no such type, or a name with its suffix", line)
				}
			case "UNIT":
				if !strings.HasSuffix(family, "_"+d[3]) || kind == "info" {
					return nil, fmt.Errorf("%q: the name does not end with the unit", line)
				}
			}
			continue
		}
		m := metricLine.FindStringSubmatch(line)
		if m == nil || !labelsOf.MatchString(m[3]) || strings.HasSuffix(m[3], ",") || m[2] == "{}" {
			return nil, fmt.Errorf("%q: no sample", line)
		}
		v, err := strconv.ParseFloat(m[4], 64)
		if err != nil || math.IsNaN(v) || (kind == "counter" && (v < 0 || math.IsInf(v, 0))) || (kind == "info" && v != 1) {
			return nil, fmt.Errorf("%q: no value of type %s", line, kind)
		}
		if _, twice := samples[m[1]+m[2]]; twice || m[1] != family+suffixOf[kind] || !described["TYPE"] || !described["HELP"] {
			return nil, fmt.Errorf("%q: comes twice, is of another family than %s, or is not described", line, family)
		}
		samples[m[1]+m[2]], sampled = v, true
	}
	if !sampled {
		return nil, fmt.Errorf("%s has no sample", family)
	}
	return samples, nil
}

// TestReadOpenMetrics wants the reader of these tests to refuse what is malformed.
func TestReadOpenMetrics(t *testing.T) {
	good := "# TYPE a_bytes counter\n# UNIT a_bytes bytes\n# HELP a_bytes x\na_bytes_total{b=\"c\\\"\",d=\"\"} 1\n# EOF\n"
	if s, err := readOpenMetrics(good); err != nil || len(s) != 1 {
		t.Errorf("%v, %v", s, err)
	}
	for old, changed := range map[string]string{
		"# EOF\n": "", "a_bytes_total": "a_bytes", "UNIT a_bytes bytes": "UNIT a_bytes seconds", " 1\n": " one\n", "counter": "clock",
		`b="c\"",`: `b="c"",`, `d=""`: `d="",`, "# HELP a_bytes x\n": "", "} 1\n": "} 1\n" + `a_bytes_total{b="c\"",d=""} 1` + "\n", "} 1": "}  1", "# TYPE": "#TYPE",
	} {
		if _, err := readOpenMetrics(strings.Replace(good, old, changed, 1)); err == nil {
			t.Errorf("%q for %q is taken", changed, old)
		}
	}
}

// TestMetrics reads the metrics through the life of a session.
func TestMetrics(t *testing.T) {
	o := observe(t)
	sample := func(what string, want func(v float64) bool) {
		t.Helper()
		var v float64
		var ok bool
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if v, ok = o.scrape(t)[what]; ok && want(v) {
				return
			}
		}
		t.Errorf("%s is %v (there: %v)", what, v, ok)
	}
	is := func(want float64) func(float64) bool { return func(v float64) bool { return v == want } }
	above := func(bound float64) func(float64) bool { return func(v float64) bool { return v > bound } }

	idle := o.scrape(t)
	for what, want := range map[string]float64{
		"stackmeter_agent_sessions_total": 0, "stackmeter_agent_sessions_in_progress": 0, "stackmeter_load_received_bytes_total": 0,
		`stackmeter_agent_handshakes_failed_total{cause="wrong credentials"}`: 0, "stackmeter_agent_limit_load_seconds": 3600,
		"stackmeter_agent_limit_sent_bytes_per_second": 125e9,
	} {
		if v, ok := idle[what]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", what, v, ok, want)
		}
	}
	found := false
	for s := range idle {
		found = found || strings.HasPrefix(s, `stackmeter_build_info{version="v1 \"quoted\" \\",go="go`)
	}
	if !found {
		t.Error("the version is not told")
	}

	_, _ = Dial(t.Context(), o.addr, NewKey())
	sample(`stackmeter_agent_handshakes_failed_total{cause="wrong credentials"}`, is(1))
	r := first(t, o.listening, `a "run" of two`+"\nlines")
	if _, _, err := DialWait(within(t, 250*time.Millisecond), o.addr, o.key, Introduction{}, nil); !IsBusy(err) {
		t.Error(err)
	}
	sample(`stackmeter_agent_sessions_refused_total{cause="busy"}`, is(1))
	sample(fmt.Sprintf(`stackmeter_agent_session_info{run="a \"run\" of two\nlines",from="%s"}`, r.conn.LocalAddr()), is(1))
	sample("stackmeter_agent_session_start_seconds", above(float64(time.Now().Unix()-60)))

	s := serve(t, defaults())
	w := walk{r: r, s: s.Client, at: netip.MustParseAddr("127.0.0.1"), long: 100 * time.Millisecond}
	if err := w.to(t.Context(), "measure"); err != nil {
		t.Fatal(err)
	}
	sample(`stackmeter_load_info{role="server",workload="stream",engine="kernel",model="process"}`, is(1))
	sample(`stackmeter_load_flows{state="loaded"}`, is(2))
	before := o.scrape(t)["stackmeter_load_received_bytes_total"]
	sample("stackmeter_load_received_bytes_total", above(before))
	running := o.scrape(t)
	if running["stackmeter_load_received_bytes_total"] < 1<<20 || running["stackmeter_load_received_messages_total"] < 100 || running["stackmeter_load_sent_bytes_total"] != 0 {
		t.Errorf("a receiver at work tells %v", running)
	}
	// What was carried must not be forgotten with the load, nor with the session.
	for _, end := range []func(){
		func() { _ = r.Release(t.Context()) },
		func() { _ = r.Close(); sample("stackmeter_agent_sessions_in_progress", is(0)) },
	} {
		end()
		after := o.scrape(t)
		if now := after["stackmeter_load_received_bytes_total"]; now < running["stackmeter_load_received_bytes_total"] {
			t.Errorf("bytes fell from %v to %v", running["stackmeter_load_received_bytes_total"], now)
		}
		if _, left := after[`stackmeter_load_flows{state="loaded"}`]; left {
			t.Error("flows of a load that is over are told")
		}
	}
	o.serves(t, time.Second)
	sample("stackmeter_agent_sessions_total", is(2))
}

// within is the test's context with an end.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestMetricsAreBounded wants other requests refused, and a crowd of silent readers not to keep
// another one out.
func TestMetricsAreBounded(t *testing.T) {
	o := observe(t)
	for what, want := range map[string]int{"/": http.StatusNotFound, "/metrics": http.StatusMethodNotAllowed} {
		r, err := http.Post(strings.TrimSuffix(o.url, "/metrics")+what, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("POST %s: %s, want %d", what, r.Status, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	addr := strings.TrimSuffix(strings.TrimPrefix(o.url, "http://"), "/metrics")
	var conns []net.Conn
	for range 4 * lobbyRoom {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	began := time.Now()
	o.scrape(t)
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("read after %v", d)
	}
	held := 0
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err != nil && strings.Contains(err.Error(), "timeout") {
			held++
		}
	}
	if held > lobbyRoom {
		t.Errorf("%d silent readers are held, want at most %d", held, lobbyRoom)
	}
}
