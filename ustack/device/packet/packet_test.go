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

var configs = []packet.Config{
	{},
	{Offload: true},
	{Ring: packet.Slots},
	{Ring: packet.Blocks},
	{Ring: packet.Blocks, Offload: true},
	{Queues: 2, BypassQdisc: true},
}

func name(cfg packet.Config) string {
	return fmt.Sprintf("offload=%v,ring=%d,queues=%d", cfg.Offload, cfg.Ring, max(cfg.Queues, 1))
}

func TestKernelAsPeer(t *testing.T) {
	for _, cfg := range configs {
		t.Run(name(cfg), func(t *testing.T) {
			bytes := 8 << 20
			if testing.Short() || cfg.Ring == packet.Blocks || cfg.Queues > 1 {
				bytes = 2 << 20
			}
			space := netns.New(t)
			veth(t, space, cfg.Offload)
			devicetest.Run(t, space, bytes, func(t *testing.T) ustack.Device {
				return device(t, space, cfg)
			})
		})
	}
}

func BenchmarkKernelAsPeer(b *testing.B) {
	for _, cfg := range configs {
		b.Run(name(cfg), func(b *testing.B) {
			space := netns.New(b)
			veth(b, space, cfg.Offload)
			devicetest.Bench(b, space, func(b *testing.B) ustack.Device { return device(b, space, cfg) })
		})
	}
}

// device attaches to the stack's end of the link.
func device(tb testing.TB, space *netns.Space, cfg packet.Config) *packet.Device {
	tb.Helper()
	cfg.Interface = "ustack"
	var d *packet.Device
	if err := space.Do(func() (err error) {
		d, err = packet.New(cfg)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return d
}
