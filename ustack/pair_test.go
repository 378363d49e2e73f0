package ustack_test

import (
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Addresses of the two stacks of a pair.
const (
	hostA, hostB   = "10.1.0.1", "10.1.0.2"
	hostA6, hostB6 = "fd00::1", "fd00::2"
)

// change changes what a stack of a pair is made with.
type change func(cfg *ustack.Config)

// pair makes two stacks with a pipe between them.
func pair(t testing.TB, p pipe.Config, changes ...change) (a, b *ustack.Stack) {
	t.Helper()
	da, db, err := pipe.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return stack(t, da, hostA, hostA6, changes...), stack(t, db, hostB, hostB6, changes...)
}

// stack makes a stack that ends with the test.
func stack(t testing.TB, d ustack.Device, v4, v6 string, changes ...change) *ustack.Stack {
	t.Helper()
	cfg := ustack.Config{Device: d, Addresses: []netip.Prefix{
		netip.PrefixFrom(netip.MustParseAddr(v4), 24), netip.PrefixFrom(netip.MustParseAddr(v6), 64),
	}}
	for _, c := range changes {
		c(&cfg)
	}
	st, err := ustack.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// pipes are the links that tests try.
var pipes = map[string]pipe.Config{
	"ip":          {},
	"ethernet":    {Link: ustack.LinkEthernet},
	"jumbo":       {Link: ustack.LinkEthernet, MTU: 9000},
	"segments":    {SegmentSize: 61440},
	"segments-l2": {SegmentSize: 61440, Link: ustack.LinkEthernet},
	"queues":      {Queues: 2},
}

// techniques are switches that all conversations must work with.
var techniques = map[string]ustack.Techniques{
	"default":    {},
	"one-by-one": {Gather: 1},
	"in-reader":  {Checksum: ustack.InReader},
	"bulk":       {Buffers: frame.Bulk},
	"single":     {Buffers: frame.Single},
	"own-thread": {LockThread: true},
	"paper":      {Gather: 1, Buffers: frame.Single, Copy: "memmove"},
	"rep-movsb":  {Copy: "rep-movsb", SendCopy: "rep-movsb", Fused: "two-pass"},
	"fused":      {Checksum: ustack.InReader, Fused: "fused-go64", Align: true},
	"elsewhere":  {Wake: ustack.WakeAny, ACKs: ustack.ACKSecond, Bunch: 1},
	"spread":     {Locality: ustack.Spread},
}
