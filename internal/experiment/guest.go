package experiment

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig"
)

// VMBench makes a guest that has as many NICs as the plan needs the rig: the server is the
// guest itself on the NICs srv0, srv1, ..., the client a namespace to which the other ends,
// cli0, cli1, ..., are moved. It is called in the guest. The caller closes the bench.
func VMBench(ctx context.Context, p *Plan) (b *Bench, err error) {
	n, err := p.MaxNICs()
	if err != nil {
		return nil, err
	}
	b = &Bench{Kind: KindVM, Links: rig.Plan(n)}
	defer func() {
		if err != nil {
			_ = b.Close() // nothing was set yet
			b = nil
		}
	}()
	if _, err := os.Stat(host.Live().NICDir(b.Links[n-1].Server.Name)); errors.Is(err, fs.ErrNotExist) {
		return b, &host.NotSupportedError{What: "the rig vm", Reason: "this is no guest with the NIC " + b.Links[n-1].Server.Name, Mend: "let `stackmeter study --rig vm` make the guest"}
	}
	if b.Server, err = agent.Spawn("server", agent.OnHost); err != nil {
		return b, err
	}
	if b.Client, err = agent.Spawn("client", agent.InNamespace); err != nil {
		return b, err
	}
	if err = rig.Handover(ctx, b.Server.PID(), b.Client.PID(), b.Links); err != nil {
		return b, err
	}
	return b, b.hello(ctx)
}
