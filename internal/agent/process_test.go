package agent

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// listenerRole is a test's agent in a process of its own, whose memory can be read and which
// can be killed.
const (
	listenerRole = "test-listener"
	keyVariable  = "STACKMETER_TEST_KEY"
)

// listenerMain serves until its standard input ends.
func listenerMain() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	key, err := ReadKey(os.Getenv(keyVariable))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(l.Addr())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	a := &Listener{Credentials: key, Options: defaults(), Log: func(format string, args ...any) { fmt.Printf(format+"\n", args...) }}
	if err := a.Serve(ctx, l); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ended")
	return 0
}

// process is a test's agent in a process of its own.
type process struct {
	addr    string
	key     Key
	keyFile string
	pid     int
	stop    func() // ends it in order, and wants it to end well unless killed
	kill    func() // without a warning

	mu  sync.Mutex
	log bytes.Buffer
	end chan error
}

// listenApart starts an agent in a process; it is ended with the test.
func listenApart(t *testing.T) *process {
	t.Helper()
	p := &process{key: NewKey(), keyFile: t.TempDir() + "/key"}
	if err := os.WriteFile(p.keyFile, []byte(p.key.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return listenApartWith(t, p)
}

// listenApartWith gives it the key of another one.
func listenApartWith(t *testing.T, other *process) *process {
	t.Helper()
	p := &process{key: other.key, keyFile: other.keyFile, end: make(chan error, 1)}
	cmd := selfexec.Command(context.Background(), listenerRole, keyVariable+"="+p.keyFile)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	lines := bufio.NewScanner(out)
	lines.Scan()
	p.addr = lines.Text()
	go func() {
		for lines.Scan() {
			p.mu.Lock()
			fmt.Fprintln(&p.log, lines.Text())
			p.mu.Unlock()
		}
		p.end <- cmd.Wait()
	}()
	var killed bool
	p.kill = func() {
		killed = true
		_ = cmd.Process.Kill()
	}
	p.stop = sync.OnceFunc(func() {
		in.Close()
		select {
		case err := <-p.end:
			if err != nil && !killed {
				t.Errorf("the agent ended with %v:\n%s", err, p.said())
			}
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("the agent does not end:\n%s", p.said())
			<-p.end
		}
	})
	t.Cleanup(p.stop)
	return p
}

// said is the log so far.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// forget begins the log anew.
func (p *process) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.Reset()
}

// waitFor waits for words in the log.
func (p *process) waitFor(t *testing.T, what string, within time.Duration) {
	t.Helper()
	for end := time.Now().Add(within); !strings.Contains(p.said(), what); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the agent does not say %q within %v:\n%.4000s", what, within, p.said())
		}
	}
}

// memory is a line of the process's status, in bytes: VmRSS is what it takes, VmHWM what it took
// at most.
func (p *process) memory(t *testing.T, line string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), line+":")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// serves wants a controller to be let in within a time, at the first attempt.
func (p *process) serves(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	c, _, err := DialWait(ctx, p.addr, p.key, Introduction{}, nil)
	if err != nil {
		t.Errorf("the agent serves nobody within %v: %v", within, err)
		return
	}
	t.Logf("served after %v", time.Since(began).Round(time.Millisecond))
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
