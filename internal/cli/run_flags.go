package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stackmeter/stackmeter/internal/unit"
	"github.com/stackmeter/stackmeter/meter"
)

// runFlags are the flags of `run`.
type runFlags struct {
	config             meter.Config
	senders, receivers []string
	inventory          string
	cred               credentialFlags
	model, receive     string
	request            int
	rate               flowRate
	format, output     string
	json, csv, quiet   bool
	groups             []flagGroup
}

// flagGroup is what the help shows together.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

func (f *runFlags) register(c *cobra.Command) {
	for _, g := range []struct {
		title    string
		register func(*pflag.FlagSet)
	}{
		{"Where", f.hostFlags},
		{"How many flows, on which threads", f.flowFlags},
		{"What a flow carries", f.payloadFlags},
		{"UDP", f.datagramFlags},
		{"Sockets", f.socketFlags},
		{"User-space stack (--engine ustack)", f.stackFlags},
		{"How long, how sure", f.timeFlags},
		{"Output", f.outputFlags},
	} {
		fl := pflag.NewFlagSet(g.title, pflag.ContinueOnError)
		fl.SortFlags = false
		g.register(fl)
		f.groups = append(f.groups, flagGroup{g.title, fl})
		c.Flags().AddFlagSet(fl)
	}
}

func (f *runFlags) hostFlags(fl *pflag.FlagSet) {
	const form = "HOST[:PORT][:NIC]"
	fl.StringArrayVarP(&f.senders, "sender", "s", nil, "`"+form+"` that sends, or local[:NIC]; repeatable. HOST runs `stackmeter serve`; PORT is "+defaultPort+" unless given. Default: this machine where a receiver is named, else the built-in rig")
	fl.StringArrayVarP(&f.receivers, "receiver", "r", nil, "`"+form+"` that receives; likewise")
	fl.StringVar(&f.inventory, "inventory", "", "`FILE` (YAML) with senders and receivers, instead of the two flags")
	fl.BoolVar(&f.config.Mesh, "mesh", false, "every sender sends to every receiver; default: they are paired in turn")
	fl.IntVar(&f.config.RigPairs, "rig-pairs", 0, "pairs of hosts of the built-in rig; default 1")
	fl.BoolVar(&f.config.SinglePort, "single-port", false, "data connections go to the agent's own port, where a firewall lets no other through")
	fl.StringVar(&f.config.Name, "name", "", "what the run is called towards those who want the same agents meanwhile")
	timeFlag(fl, &f.config.Wait, "wait", "", "wait so long for agents that serve somebody else; default: don't")
	f.cred.register(fl)
}

func (f *runFlags) flowFlags(fl *pflag.FlagSet) {
	fl.IntVarP(&f.config.Flows, "flows", "P", 0, "flows of each pair of hosts; default 1")
	fl.StringVar(&f.model, "model", "auto", "`MODEL`: thread (one a flow), process (and one a pair), epoll (many flows a thread); auto: thread, or epoll where flows are more than CPUs")
	fl.IntVarP(&f.config.Threads, "threads", "T", 0, "threads of each host in model epoll; default: one a CPU")
	cpusFlag(fl, &f.config.SenderCPUs, "sender-cpus", "the senders' threads are pinned to these in turn, as 0,2-3; default: not pinned")
	cpusFlag(fl, &f.config.ReceiverCPUs, "receiver-cpus", "likewise the receivers'")
	fl.StringVar(&f.config.Engine, "engine", "", "`ENGINE`: kernel (default), ustack (a TCP/IP stack in user space, see below), or null, which carries nothing and shows the tool's own ceiling")
}

func (f *runFlags) payloadFlags(fl *pflag.FlagSet) {
	sizeFlag(fl, &f.config.MessageBytes, "message-size", "bytes of one send of a stream; default 64K; udp: 1448, or 44 segments")
	sizeFlag(fl, &f.request, "request-size", "rr, crr: bytes of a request; default 1")
	sizeFlag(fl, &f.config.Response, "response-size", "rr, crr: bytes of an answer; default: as the request")
	fl.IntVarP(&f.config.Burst, "burst", "b", 0, "rr: requests under way at a time on a flow; default 1")
	fl.Var(&value{kind: "RATE", read: func(s string) (err error) {
		f.rate, err = parseFlowRate(s)
		return err
	}}, "rate", "of a flow: messages or transactions a second (5000, 20k), begun at their times whatever the answers do; of a stream also bits (1Gb/s); default: as fast as they go")
	fl.StringVar(&f.config.SendMethod, "send-method", "", "`METHOD`: copy (default), more (MSG_MORE), sendfile, zerocopy (MSG_ZEROCOPY)")
	fl.StringVar(&f.config.ReceiveMethod, "receive-method", "", "`METHOD`: copy (default), truncate (MSG_TRUNC: the kernel drops the bytes), zerocopy (TCP_ZEROCOPY_RECEIVE)")
	fl.StringVar(&f.receive, "receive", "message", "`WHEN` a stream's receive call returns: message (a whole one is there: SO_RCVLOWAT), any (whatever is there), or SIZE (a receiver that waits is woken for so much)")
}

func (f *runFlags) datagramFlags(fl *pflag.FlagSet) {
	sizeFlag(fl, &f.config.SegmentBytes, "segment-size", "bytes of a datagram where a message is several (UDP_SEGMENT: GSO); default: a message is one datagram")
	fl.BoolVar(&f.config.GRO, "gro", false, "receive several datagrams a call (UDP_GRO)")
	fl.IntVar(&f.config.Batch, "batch", 0, "messages a system call (sendmmsg, recvmmsg); default 1")
}

func (f *runFlags) socketFlags(fl *pflag.FlagSet) {
	sizeFlag(fl, &f.config.SendBufferBytes, "send-buffer", "SO_SNDBUF; default: the kernel tunes it")
	sizeFlag(fl, &f.config.ReceiveBufferBytes, "receive-buffer", "SO_RCVBUF; default: the kernel tunes it")
	fl.BoolVarP(&f.config.NoDelay, "nodelay", "N", false, "TCP_NODELAY; default: Nagle's algorithm is on")
	fl.StringVarP(&f.config.Congestion, "congestion", "C", "", "congestion control `NAME`; default: the host's")
	bitRateFlag(fl, &f.config.PacingBitsPerSec, "pacing", "of a flow, by the kernel (SO_MAX_PACING_RATE), as 1Gb/s; default: none")
	intFlag(fl, &f.config.TOS, "tos", "IP_TOS or IPV6_TCLASS, 0 to 255 or as 0x10; default 0")
	intFlag(fl, &f.config.Priority, "priority", "SO_PRIORITY, 0 to 7; default 0")
	fl.BoolVar(&f.config.BindDevice, "bind-device", false, "bind sockets to the NICs that are named (SO_BINDTODEVICE)")
}

func (f *runFlags) timeFlags(fl *pflag.FlagSet) {
	timeFlag(fl, &f.config.Duration, "duration", "t", "length of a measured window; default 10s")
	timeFlag(fl, &f.config.RampUp, "ramp-up", "", "load before the first window; default 500ms")
	timeFlag(fl, &f.config.Interval, "interval", "i", "length of an interval of the live view and the record; default 1s")
	shareFlag(fl, &f.config.Confidence, "confidence", "repeat the window until the figure is known this surely, as 95; default: one window")
	shareFlag(fl, &f.config.Within, "within", "... to within so much; default 5, for ±5 %")
	timeFlag(fl, &f.config.MaxDuration, "max-duration", "", "... or until this is over; default: 20 windows")
}

func (f *runFlags) outputFlags(fl *pflag.FlagSet) {
	fl.StringVar(&f.format, "format", "text", "`FORMAT`: "+strings.Join(append([]string{"text"}, runFormatNames()...), ", "))
	fl.BoolVar(&f.json, "json", false, "the same as --format json")
	fl.BoolVar(&f.csv, "csv", false, "the same as --format csv")
	fl.StringVarP(&f.output, "output", "o", "", "write the result to `FILE` too, whole or not at all, in the format (JSON where that is text); `stackmeter export` turns JSON into the others later")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no live view")
}

// flagOf names the flags by the fields of a Config whose JSON names errors begin with.
var flagOf = map[string]string{
	"workload": "WORKLOAD", "transport": "WORKLOAD", "senders": "--sender", "receivers": "--receiver", "mesh": "--mesh", "rig_pairs": "--rig-pairs",
	"flows": "--flows", "model": "--model", "threads": "--threads", "engine": "--engine", "message_bytes": "--message-size", "response_bytes": "--response-size",
	"burst": "--burst", "rate_per_second": "--rate", "send_method": "--send-method", "receive_method": "--receive-method", "any_receive": "--receive", "receive_low_water_bytes": "--receive",
	"segment_bytes": "--segment-size", "gro": "--gro", "batch": "--batch", "send_buffer_bytes": "--send-buffer", "receive_buffer_bytes": "--receive-buffer",
	"nodelay": "--nodelay", "congestion": "--congestion", "pacing_bits_per_second": "--pacing", "tos": "--tos", "priority": "--priority",
	"bind_device": "--bind-device", "single_port": "--single-port", "ramp_up_nanoseconds": "--ramp-up", "duration_nanoseconds": "--duration",
	"interval_nanoseconds": "--interval", "confidence": "--confidence", "within": "--within", "max_duration_nanoseconds": "--max-duration",
	"stack_ends": "--stack-ends", "stack_device": "--stack-device", "stack_queues": "--stack-queues", "stack_no_offload": "--stack-no-offload",
	"techniques": "--technique", "stack_addresses": "--stack-address", "stack_address": "--stack-address", "stack_gateway": "--stack-gateway",
}

var leadingFields = regexp.MustCompile(`^[a-z_]+(, [a-z_]+)*`)

// asFlags names the flags in an error that begins with the fields that it is about.
func (f *runFlags) asFlags(err error) error {
	text := strings.TrimPrefix(err.Error(), meter.ErrConfig.Error()+": ")
	return errors.New(leadingFields.ReplaceAllStringFunc(text, func(fields string) string {
		names := strings.Split(fields, ", ")
		for i, n := range names {
			flag, ok := flagOf[n]
			if !ok {
				return fields
			}
			if n == "message_bytes" && f.config.Answers() {
				flag = "--request-size"
			}
			names[i] = flag
		}
		return strings.Join(names, ", ")
	}))
}

// parse makes the configuration of the flags and the argument.
func (f *runFlags) parse(args []string) (meter.Config, error) {
	c := &f.config
	c.Workload = "tcp_stream"
	if len(args) > 0 {
		c.Workload = strings.ReplaceAll(strings.ToLower(args[0]), "-", "_")
	}
	if f.model != "auto" {
		c.Model = meter.Model(f.model)
	}
	switch f.receive {
	case "any":
		c.AnyReceive = true
	case "message":
	default:
		n, err := unit.ParseSize(f.receive)
		if err != nil || n <= 0 || n > 1<<26 {
			return *c, fmt.Errorf("--receive: %q, want message, any or a size up to 64M", f.receive)
		}
		c.ReceiveLowWater = int(n)
	}
	if err := f.sizes(); err != nil {
		return *c, err
	}
	if err := f.hosts(); err != nil {
		return *c, err
	}
	if err := c.Normalize(); err != nil {
		return *c, f.asFlags(err)
	}
	switch {
	case f.rate.bits > 0 && c.Answers():
		return *c, fmt.Errorf("--rate: transactions of %s are counted, not bits: write them as 5000 or 20k", c.Workload)
	case f.rate.bits > 0:
		c.Rate = f.rate.bits / 8 / float64(c.MessageBytes)
	default:
		c.Rate = f.rate.perSecond
	}
	if err := c.Normalize(); err != nil {
		return *c, f.asFlags(err)
	}
	return *c, nil
}

// sizes tells a request's size from a message's.
func (f *runFlags) sizes() error {
	answers := f.config.Answers()
	switch {
	case !answers && (f.request > 0 || f.config.Response > 0):
		return fmt.Errorf("--request-size, --response-size: %s has no requests: use --message-size, or the workload tcp_rr", f.config.Workload)
	case answers && f.config.MessageBytes > 0:
		return fmt.Errorf("--message-size: messages of %s are --request-size and --response-size", f.config.Workload)
	case answers:
		f.config.MessageBytes = f.request
	}
	return nil
}

// hosts reads who sends and who receives; one side alone has this machine at its other end.
func (f *runFlags) hosts() (err error) {
	c := &f.config
	if f.inventory != "" {
		if len(f.senders)+len(f.receivers) > 0 {
			return errors.New("--inventory: names all hosts: leave out --sender and --receiver")
		}
		if c.Senders, c.Receivers, err = readInventory(f.inventory); err != nil {
			return fmt.Errorf("--inventory: %w", err)
		}
	} else {
		var second error
		c.Senders, err = parseHosts("--sender", f.senders)
		c.Receivers, second = parseHosts("--receiver", f.receivers)
		if err = errors.Join(err, second); err != nil {
			return err
		}
	}
	switch {
	case len(c.Senders) == 0 && len(c.Receivers) > 0:
		c.Senders = []meter.Host{{}}
	case len(c.Receivers) == 0 && len(c.Senders) > 0:
		c.Receivers = []meter.Host{{}}
	}
	for _, h := range append(c.Senders[:len(c.Senders):len(c.Senders)], c.Receivers...) {
		if h.Agent != "" {
			c.Credentials, err = f.cred.read()
			return err
		}
	}
	return nil
}
