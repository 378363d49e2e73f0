package device_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/devicetest"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// generous bounds every wait for what must happen.
const generous = 30 * time.Second

// change does something to an interface of the namespace.
func change(t *testing.T, space *netns.Space, nic string, what func(netlink.Link) error) {
	t.Helper()
	if err := space.Do(func() error {
		l, err := netlink.LinkByName(nic)
		if err != nil {
			return err
		}
		return what(l)
	}); err != nil {
		t.Fatal(err)
	}
}

// TestInterfaceGone deletes the interface under open connections: all end with an error.
func TestInterfaceGone(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			space := netns.New(t)
			d, nic := k.open(t, space)
			st := devicetest.Stack(t, d, ustack.Techniques{})
			const conns = 3
			results := make(chan error, conns)
			for range conns {
				kernel, stack := connect(t, space, st)
				defer kernel.Close()
				defer stack.Close()
				_ = stack.SetDeadline(time.Now().Add(generous))
				go func() {
					_, err := io.Copy(io.Discard, stack)
					results <- err
				}()
			}
			change(t, space, nic, netlink.LinkDel)
			for range conns {
				if err := <-results; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("a connection over an interface that is gone: %v", err)
				}
			}
		})
	}
}

// echo sends a word from the kernel to the stack and back.
func echo(t *testing.T, kernel, stack net.Conn) {
	t.Helper()
	buf := make([]byte, 5)
	for _, way := range [][2]net.Conn{{kernel, stack}, {stack, kernel}} {
		_ = way[1].SetReadDeadline(time.Now().Add(generous))
		if _, err := way[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], buf); err != nil || string(buf) != "hello" {
			t.Fatalf("%q, %v", buf, err)
		}
	}
}

// TestInterfaceDown takes the interface down for a while: connections go on afterwards.
func TestInterfaceDown(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			space := netns.New(t)
			d, nic := k.open(t, space)
			st := devicetest.Stack(t, d, ustack.Techniques{})
			kernel, stack := connect(t, space, st)
			defer kernel.Close()
			defer stack.Close()
			echo(t, kernel, stack)
			change(t, space, nic, netlink.LinkSetDown)
			if _, err := stack.Write([]byte("early")); err != nil {
				t.Fatal(err)
			}
			change(t, space, nic, netlink.LinkSetUp)
			buf := make([]byte, 5)
			_ = kernel.SetReadDeadline(time.Now().Add(generous))
			if _, err := io.ReadFull(kernel, buf); err != nil || string(buf) != "early" {
				t.Fatalf("%q, %v", buf, err)
			}
			echo(t, kernel, stack)
		})
	}
}

// TestHostileFrames sends what no station should: the stack must stay sound.
func TestHostileFrames(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			space := netns.New(t)
			d, nic := k.open(t, space)
			st := devicetest.Stack(t, d, ustack.Techniques{})
			kernel, stack := connect(t, space, st)
			defer kernel.Close()
			defer stack.Close()
			echo(t, kernel, stack)
			server, err := st.ListenPacket("udp", ":7")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			if k.tun == nil {
				nic = "kernel"
			}
			in := newInjector(t, space, nic, d.Info())
			in.truncated(t)
			in.garbage(t)
			if d.Info().ReceiveSize < 2000 {
				for _, name := range []string{nic, "ustack"} {
					change(t, space, name, func(l netlink.Link) error { return netlink.LinkSetMTU(l, 3000) })
				}
				in.send(t, in.datagram("too long for the frames of the stack", 2900))
			}
			if d.Info().Link == ustack.LinkEthernet {
				in.send(t, in.tagged(in.datagram("tagged", 0)))
			}
			buf := make([]byte, 4096)
			// What came before may have filled a queue on the way, which drops this one.
			for end := time.Now().Add(generous); ; {
				in.send(t, in.datagram("good", 0))
				_ = server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				n, _, err := server.ReadFrom(buf)
				if errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(end) {
					continue
				}
				if got := string(buf[:n]); err != nil || got != "good" {
					t.Errorf("datagram %.40q, %v", got, err)
				}
				break
			}
			echo(t, kernel, stack)
		})
	}
}

// injector sends frames as they are.
type injector struct {
	fd   int
	info ustack.DeviceInfo
}

func newInjector(t *testing.T, space *netns.Space, nic string, info ustack.DeviceInfo) *injector {
	t.Helper()
	in := &injector{info: info}
	if err := space.Do(func() (err error) {
		l, err := netlink.LinkByName(nic)
		if err != nil {
			return err
		}
		if in.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(in.fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index, Protocol: 0x0008})
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(in.fd) })
	return in
}

// send injects a frame. The kernel refuses some, which is as well.
func (in *injector) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := unix.Write(in.fd, b); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.ENOBUFS) {
		t.Fatalf("frame of %d bytes: %v", len(b), err)
	}
}

// link returns the link's header, if there is one.
func (in *injector) link(kind uint16) []byte {
	if in.info.Link == ustack.LinkIP {
		return nil
	}
	b := append([]byte{}, in.info.HWAddr[:]...)
	b = append(b, 2, 0, 0, 0, 0, 9)
	return binary.BigEndian.AppendUint16(b, kind)
}

// datagram is a frame for port 7 of the stack, whose text is padded to n bytes.
func (in *injector) datagram(text string, n int) []byte {
	payload := append([]byte(text), make([]byte, max(n-len(text), 0))...)
	b := append(in.link(0x0800), 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(28+len(payload)))
	b = append(b, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2)
	ip := b[len(b)-20:]
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum&0xffff+sum>>16))
	b = append(b, 0, 9, 0, 7)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...) // no checksum
}

// tagged puts a frame on VLAN 5.
func (in *injector) tagged(b []byte) []byte {
	out := append([]byte{}, b[:12]...)
	return append(append(out, 0x81, 0, 0, 5), b[12:]...)
}

// truncated sends the beginnings of frames.
func (in *injector) truncated(t *testing.T) {
	whole := in.datagram("cut off", 0)
	for n := 1; n < len(whole); n++ {
		in.send(t, whole[:n])
	}
}

// garbage sends noise behind good link headers.
func (in *injector) garbage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 600 {
		b := in.link([]uint16{0x0800, 0x86dd, 0x0806, 0x8100}[i%4])
		head := len(b)
		for range 1 + r.IntN(1400) {
			b = append(b, byte(r.Uint32()))
		}
		switch body := b[head:]; {
		case len(body) < 40:
		case i%4 == 0: // for the stack, as far as the first look goes
			body[0] = 0x45
			copy(body[16:], []byte{10, 9, 0, 2})
		case i%4 == 1:
			body[0] = 0x60
			a := net.ParseIP(stack6)
			copy(body[24:], a)
		}
		in.send(t, b)
	}
}

// TestNothingLeaks opens and closes devices.
func TestNothingLeaks(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			space := netns.New(t)
			d, nic := k.open(t, space)
			if err := d.Close(); err != nil { // without a stack
				t.Fatal(err)
			}
			if k.tun != nil {
				return // the interface goes with the device
			}
			before := files(t)
			for range 3 {
				var d ustack.Device
				if err := space.Do(func() (err error) { d, err = k.nic(); return err }); err != nil {
					t.Fatal(err)
				}
				t.Run("stack", func(t *testing.T) { devicetest.Stack(t, d, ustack.Techniques{}) })
			}
			change(t, space, nic, func(l netlink.Link) error {
				if x := l.Attrs().Xdp; x != nil && x.Attached {
					t.Error("an XDP program is still attached")
				}
				return nil
			})
			// Links of BPF are closed in the background of the kernel, descriptors are not.
			if after := files(t); after != before {
				t.Errorf("%d open files, %d before", after, before)
			}
		})
	}
}

// files counts the open files of the process.
func files(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
