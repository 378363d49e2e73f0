package packet_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/devicetest"
	"github.com/stackmeter/stackmeter/ustack/device/packet"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// veth makes the link between the kernel and the stack; without offload its frames are
// those of a wire.
func veth(tb testing.TB, space *netns.Space, offload bool) {
	tb.Helper()
	err := errors.Join(
		space.Veth("kernel", "ustack"),
		space.Up("kernel", 0, devicetest.Kernel4, devicetest.Kernel6),
		space.Up("ustack", 0),
	)
	if !offload {
		err = errors.Join(err, space.RealFrames("kernel"))
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func TestKernelAsPeer(t *testing.T) {
	bytes := 64 << 20
	if testing.Short() {
		bytes = 8 << 20
	}
	for _, offload := range []bool{false, true} {
		t.Run(fmt.Sprintf("offload=%v", offload), func(t *testing.T) {
			space := netns.New(t)
			veth(t, space, offload)
			devicetest.Run(t, space, bytes, func(t *testing.T) ustack.Device {
				return device(t, space, offload)
			})
		})
	}
}

func BenchmarkKernelAsPeer(b *testing.B) {
	for _, offload := range []bool{false, true} {
		b.Run(fmt.Sprintf("offload=%v", offload), func(b *testing.B) {
			space := netns.New(b)
			veth(b, space, offload)
			devicetest.Bench(b, space, func(b *testing.B) ustack.Device { return device(b, space, offload) })
		})
	}
}

// device attaches to the stack's end of the link.
func device(tb testing.TB, space *netns.Space, offload bool) *packet.Device {
	tb.Helper()
	var d *packet.Device
	if err := space.Do(func() (err error) {
		d, err = packet.New(packet.Config{Interface: "ustack", Offload: offload})
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return d
}
