package cli_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// netnsOf is the network namespace of a process.
func netnsOf(pid int) string { return fmt.Sprintf("/proc/%d/ns/net", pid) }

// in calls f in a host's network namespace; a socket that it makes belongs there.
func in(t *testing.T, pid int, f func() error) {
	t.Helper()
	if err := sysx.InNetNS(netnsOf(pid), func(string) error { return f() }); err != nil {
		t.Fatal(err)
	}
}

// dialIn connects over the kernel's sockets of a host.
func dialIn(t *testing.T, pid int, network, to string) net.Conn {
	t.Helper()
	var c net.Conn
	in(t, pid, func() (err error) {
		c, err = net.DialTimeout(network, to, 20*time.Second)
		return err
	})
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// startStack starts a server on the user-space stack in a host and waits until it serves.
func startStack(t *testing.T, pid int, dir string, args ...string) *program {
	t.Helper()
	p := inHost(prepare(t, dir, append([]string{"stack"}, args...)...), pid).start()
	until(t, "the server serves", func() bool { return strings.Contains(p.stdout.String(), "serving") || p.stderr.String() != "" })
	if text := p.stderr.String(); text != "" {
		t.Fatal(text)
	}
	return p
}

// endStack interrupts a server and returns what it told at its end.
func endStack(t *testing.T, p *program) map[string]any {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.wait(0, 20*time.Second)
	lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	var end map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil || end["event"] != "end" {
		t.Fatalf("at the end: %q, %v", lines[len(lines)-1], err)
	}
	return end
}

// only checks what interfaces a host has.
func only(t *testing.T, pid int, want ...string) {
	t.Helper()
	in(t, pid, func() error {
		all, err := net.Interfaces()
		var got []string
		for _, i := range all {
			got = append(got, i.Name)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("interfaces %v, want %v", got, want)
		}
		return err
	})
}

// TestStackHTTP has the kernel's TCP read files from the stack, over TUN and TAP.
func TestStackHTTP(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	page := make([]byte, 3<<20)
	_, _ = rand.Read(page)
	if err := os.WriteFile(filepath.Join(dir, "page"), page, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "outside")); err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{"tun", "tap"} {
		pid := newHost(t)
		p := startStack(t, pid, dir, "http", ".", "--device", device, "--json", "--technique", "gather=8,buffers=bulk")
		get := func(path string) (string, []byte) {
			c := dialIn(t, pid, "tcp", "198.51.100.2:80")
			fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", path)
			all, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			head, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
			status, _, _ := strings.Cut(string(head), "\r\n")
			return status, body
		}
		if status, body := get("/page"); !strings.Contains(status, "200") || !bytes.Equal(body, page) {
			t.Errorf("%s: %s, %d of %d bytes", device, status, len(body), len(page))
		}
		for _, bad := range []string{"/outside", "/../../etc/hostname", "/nosuch"} {
			if status, _ := get(bad); strings.Contains(status, "200") {
				t.Errorf("%s: %s: %s", device, bad, status)
			}
		}
		second := inHost(prepare(t, dir, "stack", "echo"), pid).start()
		second.wait(2, 20*time.Second)
		if text := second.stderr.String(); !strings.Contains(text, "198.51.100.0/24 is in use") || !strings.Contains(text, device+"0") {
			t.Errorf("a second server on the same subnet: %s", text)
		}
		end := endStack(t, p)
		if end["requests"] != 4.0 {
			t.Errorf("told of %v requests", end["requests"])
		}
		only(t, pid, "lo")
	}
	asWas(t)
}

// TestStackEcho has the kernel's TCP and UDP talk to the stack at once, on an interface that has an
// address of the kernel's beside, and with a capture.
func TestStackEcho(t *testing.T) {
	needRoot(t)
	server, dir, _ := twoHosts(t, "name: none\n")
	for _, device := range []string{"packet", "xdp"} {
		taken := inHost(prepare(t, dir, "stack", "echo", "--device", device, "--interface", "srv0", "--address", "198.18.0.1/24"), server).start()
		taken.wait(2, 20*time.Second)
		if text := taken.stderr.String(); !strings.Contains(text, "198.18.0.1 is in use: the kernel has it on srv0") {
			t.Errorf("an address of the kernel: %s", text)
		}
	}
	pid := newHost(t)
	p := startStack(t, pid, dir, "echo", "--listen", ":9000", "--json", "--capture", "echo.pcapng")
	want := make([]byte, 1<<20)
	_, _ = rand.Read(want)
	c := dialIn(t, pid, "tcp", "198.51.100.2:9000").(*net.TCPConn)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- errors.Join(err, c.CloseWrite())
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(want), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	u := dialIn(t, pid, "udp", "198.51.100.2:9000")
	for i := range 10 {
		fmt.Fprintf(u, "datagram %d", i)
		b := make([]byte, 100)
		if n, err := u.Read(b); err != nil || string(b[:n]) != fmt.Sprintf("datagram %d", i) {
			t.Fatalf("%q, %v", b[:n], err)
		}
	}
	c.Close()
	if end := endStack(t, p); end["in_bytes"] != float64(len(want)+10*len("datagram 0")) {
		t.Errorf("told of %v bytes", end["in_bytes"])
	}
	if i, err := os.Stat(filepath.Join(dir, "echo.pcapng")); err != nil || i.Size() < 2<<20 {
		t.Errorf("the capture: %v, %v", i, err)
	}
	only(t, pid, "lo")
}

// TestStackForward gives a namespace that has nothing else a way out: what is routed into the
// device goes on over the sockets of another.
func TestStackForward(t *testing.T) {
	needRoot(t)
	world, box, dir := newHost(t), newHost(t), t.TempDir()
	want := make([]byte, 1<<20)
	_, _ = rand.Read(want)
	var l net.Listener
	var u net.PacketConn
	in(t, world, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		addr, _ := netlink.ParseAddr("10.77.0.1/32")
		if err := errors.Join(netlink.LinkSetUp(lo), netlink.AddrAdd(lo, addr)); err != nil {
			return err
		}
		var second error
		l, err = net.Listen("tcp", "10.77.0.1:0")
		u, second = net.ListenPacket("udp", "10.77.0.1:0")
		return errors.Join(err, second)
	})
	defer l.Close()
	defer u.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // what comes, then its own, then the end
				defer c.Close()
				line, _ := bufio.NewReader(c).ReadString('\n')
				_, _ = c.Write([]byte(line))
				_, _ = c.Write(want)
			}()
		}
	}()
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(append([]byte("re: "), b[:n]...), from)
		}
	}()
	p := startStack(t, world, dir, "forward", "--netns", netnsOf(box), "--route", "0.0.0.0/0", "--json", "--quiet")
	c := dialIn(t, box, "tcp", l.Addr().String())
	fmt.Fprintln(c, "hello")
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, append([]byte("hello\n"), want...)) {
		t.Errorf("%d of %d bytes, %v", len(got), len(want)+6, err)
	}
	c.Close()
	d := dialIn(t, box, "udp", u.LocalAddr().String())
	b := make([]byte, 2000)
	for range 2 {
		fmt.Fprint(d, "ping")
		if n, err := d.Read(b); err != nil || string(b[:n]) != "re: ping" {
			t.Errorf("%q, %v", b[:n], err)
		}
	}
	in(t, box, func() error {
		refused, err := net.DialTimeout("tcp", "10.77.0.1:1", 20*time.Second)
		if err == nil { // the stack accepts before it knows
			_, err = io.ReadAll(refused)
			refused.Close()
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a port that nobody listens on: %v", err)
		}
		return nil
	})
	end := endStack(t, p)
	if end["connections"] != 2.0 || end["udp_flows"] != 1.0 || end["failed"] != 1.0 {
		t.Errorf("told %v", end)
	}
	only(t, box, "lo")
	asWas(t)
}
