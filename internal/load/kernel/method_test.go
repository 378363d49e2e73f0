package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestMethods streams with every pair of a send and a receive method.
func TestMethods(t *testing.T) {
	for _, send := range []string{load.Copy, load.More, load.Sendfile, load.ZeroCopy} {
		for _, receive := range []string{load.Copy, load.Truncate, load.ZeroCopy} {
			for _, model := range models {
				if send == receive && send == load.Copy || send == load.More && receive != load.Copy || testing.Short() && send == load.Sendfile && receive == load.Truncate {
					continue
				}
				t.Run(fmt.Sprint(send, "-", receive, "-", model), func(t *testing.T) {
					f := load.FlowSpec{Count: 2, MessageBytes: 65536, SendMethod: send, ReceiveMethod: receive}
					r, err := try(t, "stream", model, f, nil)
					skipIfNot(t, err)
					if err != nil {
						t.Fatal(err)
					}
					r.agree(t)
					server, client := r.serverEnds[0].Socket, r.clientEnds[0].Socket
					if send == load.ZeroCopy && (client.ZeroCopySends == 0 || client.ZeroCopyCopied == 0 || client.ZeroCopyCopied > client.ZeroCopySends) {
						t.Errorf("%d sends of zero copy, %d copied: loopback copies all", client.ZeroCopySends, client.ZeroCopyCopied)
					}
					if receive == load.ZeroCopy {
						if got := server.MappedBytes + server.CopiedBytes; got != r.servers[r.serverEnds[0].ID].Received {
							t.Errorf("mapped %d and copied %d bytes of %d", server.MappedBytes, server.CopiedBytes, r.servers[0].Received)
						}
						// Pages that loopback copies for a sender with zero copy are whole ones.
						if send == load.ZeroCopy && server.MappedBytes == 0 {
							t.Errorf("mapped nothing, copied %d bytes", server.CopiedBytes)
						}
						t.Logf("mapped %d, copied %d bytes", server.MappedBytes, server.CopiedBytes)
					}
				})
			}
		}
	}
}

// TestMore counts the segments that small messages make, with MSG_MORE and without.
func TestMore(t *testing.T) {
	const messages = 100
	segments := func(method string) uint32 {
		f := load.FlowSpec{Token: load.NewToken(), Local: netip.MustParseAddrPort("127.0.0.1:0"), MessageBytes: 10, NoDelay: true, SendMethod: method}
		l, err := Engine{}.Listen(&f)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client := f
		client.Local = netip.AddrPort{}
		tr, err := Engine{}.Dial(&client, 0, l.Address(), load.DialOptions{Timeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		sent := func() uint32 {
			i, err := unix.GetsockoptTCPInfo(tr.(interface{ descriptor(load.Wait) int }).descriptor(0), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				t.Fatal(err)
			}
			return i.Data_segs_out
		}
		before := sent()
		for range messages {
			if _, errno := tr.Send(make([]byte, 10)); errno != 0 {
				t.Fatal(errno)
			}
		}
		return sent() - before
	}
	// The kernel may join small messages without it too, while others are on their way.
	if plain, more := segments(load.Copy), segments(load.More); more > 2 || plain < 5*more+5 {
		t.Errorf("%d messages make %d segments, and %d with MSG_MORE", messages, plain, more)
	}
}

// TestMethodNotSupported says why a transport has not a method.
func TestMethodNotSupported(t *testing.T) {
	for _, f := range []load.FlowSpec{
		{Transport: load.Unix, SendMethod: load.ZeroCopy},
		{Transport: load.Unix, SendMethod: load.More},
		{Transport: load.Unix, ReceiveMethod: load.ZeroCopy},
		{Transport: load.Unix, ReceiveMethod: load.Truncate},
	} {
		f.MessageBytes = 4096
		if _, err := try(t, "stream", load.Thread, f, nil); err == nil {
			t.Errorf("%+v: accepted", f)
		}
	}
}

// FuzzCompletions reads what no kernel wrote.
func FuzzCompletions(f *testing.F) {
	b := make([]byte, 64)
	binary.NativeEndian.PutUint64(b, 16+32)
	binary.NativeEndian.PutUint32(b[8:], unix.SOL_IP)
	binary.NativeEndian.PutUint32(b[12:], unix.IP_RECVERR)
	b[16+4], b[16+6] = unix.SO_EE_ORIGIN_ZEROCOPY, unix.SO_EE_CODE_ZEROCOPY_COPIED
	binary.NativeEndian.PutUint32(b[16+8:], 7)
	binary.NativeEndian.PutUint32(b[16+12:], 9)
	if n, copied := completions(b); n != 3 || !copied {
		f.Fatalf("%d sends, copied %v: want 3, true", n, copied)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, copied := completions(b); len(b) < 32 && (n != 0 || copied) {
			t.Errorf("%d sends in %d bytes", n, len(b))
		}
	})
}
