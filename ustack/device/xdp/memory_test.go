package xdp_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/devicetest"
	"github.com/stackmeter/stackmeter/ustack/device/xdp"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// TestFramesBeyondTheMemory has the stack hold more than is shared with the kernel, or
// frames that can't be shared: all must be copied, both ways, and nothing stand still.
func TestFramesBeyondTheMemory(t *testing.T) {
	for _, v := range []struct {
		mtu     int
		buffers frame.Buffers
	}{{1500, frame.Recycled}, {1500, frame.Bulk}, {9000, frame.Recycled}, {9000, frame.Single}} {
		t.Run(fmt.Sprintf("mtu=%d,buffers=%d", v.mtu, v.buffers), func(t *testing.T) {
			space := netns.New(t)
			veth(t, space, v.mtu, true)
			st := devicetest.Stack(t, device(t, space, xdp.Config{Addresses: addresses, MemoryBytes: 4 << 20}), ustack.Techniques{Buffers: v.buffers})
			l, err := st.Listen("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			const conns, each = 4, 4 << 20
			data := make([]byte, each)
			_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
			want := sha256.Sum256(data)
			results := make(chan error, 2*conns)
			var open [conns]net.Conn
			for i := range conns {
				c, err := dialFrom(space, "10.9.0.2:80")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if open[i], err = l.Accept(); err != nil {
					t.Fatal(err)
				}
				defer open[i].Close()
				_ = c.SetDeadline(time.Now().Add(40 * time.Second))
				_ = open[i].SetDeadline(time.Now().Add(40 * time.Second))
				go func() { // there, and back again
					_, err := c.Write(data)
					got := make([]byte, each)
					_, err2 := io.ReadFull(c, got)
					if err = errors.Join(err, err2); err == nil && !bytes.Equal(got, data) {
						err = errors.New("came back changed")
					}
					results <- err
				}()
			}
			// Unread, as much as windows allow.
			time.Sleep(200 * time.Millisecond)
			for _, c := range open {
				go func() {
					got := make([]byte, each)
					_, err := io.ReadFull(c, got)
					if err == nil && sha256.Sum256(got) != want {
						err = errors.New("came changed")
					}
					_, err2 := c.Write(got)
					results <- errors.Join(err, err2)
				}()
			}
			for range 2 * conns {
				if err := <-results; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// heldEnv makes the test program attach to the interface that it names, and wait.
const heldEnv = "XDP_TEST_HOLD"

func TestMain(m *testing.M) {
	if name := os.Getenv(heldEnv); name != "" {
		d, err := xdp.New(xdp.Config{Interface: name})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("attached")
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = d.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestProgramGoesWithTheProcess kills a process that has a program attached.
func TestProgramGoesWithTheProcess(t *testing.T) {
	space := netns.New(t)
	veth(t, space, 1500, true)
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), heldEnv+"=ustack")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := space.Do(c.Start); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if !attached(t, space) {
		t.Errorf("no program is attached: %q, %v", line, err)
	}
	_ = c.Process.Kill()
	_ = c.Wait() // it was killed
	for end := time.Now().Add(20 * time.Second); attached(t, space); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the program has outlived its process")
		}
	}
}

func attached(t *testing.T, space *netns.Space) (yes bool) {
	t.Helper()
	if err := space.Do(func() error {
		l, err := netlink.LinkByName("ustack")
		if err == nil {
			yes = l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return yes
}
