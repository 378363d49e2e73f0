package openmetrics

import "testing"

func TestText(t *testing.T) {
	var m Text
	m.Begin("a_build", "info", "", "A \"quoted\"\nhelp.")
	m.Sample(1, "path", `C:\new`+"\n"+`"x"`, "bad", "\xff ok")
	m.Begin("a_bytes", "counter", "bytes", "Bytes.")
	m.Sample(1<<40, "cpu", "0")
	m.Begin("a_seconds", "histogram", "seconds", "Time.")
	m.Bucket(0.001, 2)
	m.Sum(3, 0.5)
	m.End()
	const want = `# TYPE a_build info
# HELP a_build A \"quoted\"\nhelp.
a_build_info{path="C:\\new\n\"x\"",bad=" ok"} 1
# TYPE a_bytes counter
# UNIT a_bytes bytes
# HELP a_bytes Bytes.
a_bytes_total{cpu="0"} 1099511627776
# TYPE a_seconds histogram
# UNIT a_seconds seconds
# HELP a_seconds Time.
a_seconds_bucket{le="0.001"} 2
a_seconds_bucket{le="+Inf"} 3
a_seconds_count 3
a_seconds_sum 0.5
# EOF
`
	if got := m.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
