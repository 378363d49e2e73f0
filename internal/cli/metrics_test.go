package cli_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServeMetrics reads an agent's metrics as a monitoring system does, and ends the agent.
func TestServeMetrics(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, 0, "keys", "new", "key")
	p := prepare(t, dir, "serve", "--key-file", "key", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--max-flows", "7").start()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		_ = p.cmd.Wait()
	})
	until(t, "the agent listens", func() bool { return strings.Contains(p.stderr.String(), "listening on") })
	url := regexp.MustCompile(`http://\S+/metrics`).FindString(p.stderr.String())
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(text), "\nstackmeter_agent_limit_flows 7\n") || !strings.HasSuffix(string(text), "\n# EOF\n") {
		t.Errorf("the metrics are %v\n%s", err, text)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(0, 5*time.Second)
}
