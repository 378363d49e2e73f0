package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/stackmeter/stackmeter/internal/experiment"
)

// builtIn are the rigs that stackmeter makes itself, the default first.
var builtIn = []string{experiment.KindVeth, experiment.KindWire, experiment.KindVM}

// hostFlags say where trials run: nothing or a name for a built-in rig, NICs and a peer
// for real hosts.
type hostFlags struct {
	rig   string
	nics  []string
	peer  string
	cred  credentialFlags
	iKnow bool
}

func (h *hostFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&h.rig, "rig", "", "the built-in rig `NAME`: one of "+strings.Join(builtIn, ", ")+" (default: the plan's, else "+builtIn[0]+")")
	fl.StringSliceVar(&h.nics, "nic", nil, "use these NICs of this machine as the server's, e.g. eth1,eth2")
	fl.StringVar(&h.peer, "peer", "", "the client: `HOST[:PORT]` where `stackmeter serve` runs")
	h.cred.register(fl)
	fl.BoolVar(&h.iKnow, "i-know", false, "allow a NIC that carries the default route: you may lose the connection to this machine")
}

func (h *hostFlags) real() bool { return len(h.nics) > 0 || h.peer != "" }

// kind is the rig's name in results.
func (h *hostFlags) kind() string {
	switch {
	case h.real():
		return experiment.KindHosts
	case h.rig != "":
		return h.rig
	}
	return builtIn[0]
}

// prefer takes a built-in rig where the user named none.
func (h *hostFlags) prefer(rig string) {
	if h.rig == "" && !h.real() && slices.Contains(builtIn, rig) {
		h.rig = rig
	}
}

// check refuses flags that can't be meant and NICs that can't be used, before
// anything is made or waited for.
func (h *hostFlags) check() error {
	if h.rig != "" && !slices.Contains(builtIn, h.rig) {
		return fmt.Errorf("--rig: %q is no built-in rig: want one of %s", h.rig, strings.Join(builtIn, ", "))
	}
	if !h.real() {
		return nil
	}
	if h.rig != "" {
		return errors.New("--rig names a rig of this machine, --nic and --peer real hosts: leave one of them out")
	}
	if len(h.nics) == 0 || h.peer == "" {
		return errors.New("real NICs need both --nic (this machine's) and --peer (where `stackmeter serve` runs)")
	}
	_, err := checkNICs(h.nics, h.iKnow)
	return err
}

// bench builds the rig that a plan needs, or connects to the hosts, once check has
// passed.
func (h *hostFlags) bench(ctx context.Context, p *experiment.Plan) (*experiment.Bench, error) {
	if !h.real() {
		make := map[string]func(context.Context, *experiment.Plan) (*experiment.Bench, error){
			experiment.KindVeth: experiment.VethBench, experiment.KindWire: experiment.WireBench, experiment.KindVM: experiment.VMBench,
		}
		b, err := make[h.kind()](ctx, p)
		if errors.Is(err, fs.ErrPermission) {
			err = usage(fmt.Errorf("%w: the rig needs network and mount namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN): start the container with these, or run as a user other than root where user namespaces are allowed", err))
		}
		return b, err
	}
	nics, err := checkNICs(h.nics, h.iKnow)
	if err != nil {
		return nil, usage(err)
	}
	own, err := h.cred.read()
	if err != nil {
		return nil, err
	}
	peer := h.peer
	if _, _, err := net.SplitHostPort(peer); err != nil {
		peer = net.JoinHostPort(peer, defaultPort)
	}
	b, err := experiment.HostsBench(ctx, nics, peer, own)
	if err != nil {
		return nil, usage(fmt.Errorf("--peer: %w", err))
	}
	return b, nil
}
