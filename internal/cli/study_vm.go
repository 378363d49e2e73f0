package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/rig/vm"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// guestPrefix begins the flags of the rig vm's machine.
const guestPrefix = "vm-"

// guestFlags say what guest the rig vm is.
type guestFlags struct {
	vmFlags
	nic string
}

func (g *guestFlags) register(fl *pflag.FlagSet) {
	g.vmFlags.register(fl, guestPrefix)
	fl.StringVar(&g.nic, guestPrefix+"nic", "", "the server's NICs on the rig vm: `DRIVER[:QUEUES]` (default: virtio with a queue for each CPU)")
}

// wanted reports whether the study is to be taken to a guest: not where this is one.
func (f *studyFlags) wantsGuest() bool {
	return f.hosts.kind() == experiment.KindVM && vm.InsideAccel() == ""
}

// cpusOfStudy are the CPUs that trials will have.
func (f *studyFlags) cpusOfStudy() ([]int, error) {
	if !f.wantsGuest() {
		return usableCPUs()
	}
	cpus := make([]int, f.guest.cpus)
	for i := range cpus {
		cpus[i] = i
	}
	return cpus, nil
}

// config is a guest with n NICs of the server's and as many of the client's.
func (g *guestFlags) config(n int) (vm.Config, error) {
	c, err := g.vmFlags.config()
	if err != nil {
		return c, err
	}
	server := g.nic
	if server == "" {
		server = "virtio:" + strconv.Itoa(min(g.cpus, 16))
	}
	specs := make([]string, n)
	for i := range specs {
		specs[i] = server
	}
	if err := addNICs(&c, specs, true); err != nil {
		return c, err
	}
	for i, l := range rig.Plan(n) {
		c.NICs[i].Name, c.NICs[n+i].Name = l.Server.Name, l.Client.Name
		c.NICs[n+i].Driver = c.NICs[i].Driver
	}
	return c, nil
}

// inGuest runs the study in a guest: this program with the same flags is the guest's, and its
// result comes out.
func (s *studyRun) inGuest(c *cobra.Command, args []string) error {
	n, err := s.plan.MaxNICs()
	if err != nil {
		return err
	}
	cfg, err := s.flags.guest.config(n)
	if err != nil {
		return usage(err)
	}
	cmd := vm.Command{Stdout: io.Discard, Stderr: c.ErrOrStderr(), Files: map[string][]byte{}}
	if cmd.Args, err = studyArgs(c, args, cmd.Files); err != nil {
		return usage(err)
	}
	cmd.Out = s.flags.out
	if cmd.Out == "" {
		cmd.Out = fmt.Sprintf("stackmeter-%s-%s", s.plan.Name, time.Now().Format("20060102-150405"))
	}
	o, err := vm.Run(c.Context(), cfg, cmd)
	switch {
	case host.IsNotSupported(err) || errors.Is(err, host.ErrInput):
		return usage(err)
	}
	told := error(nil)
	if _, none := os.Stat(filepath.Join(cmd.Out, "trials.jsonl")); none == nil {
		told = tellResult(s.stdout, cmd.Out, s.flags.json)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		if left, _ := os.ReadDir(cmd.Out); len(left) > 0 {
			err = fmt.Errorf("%w\nwhat came out of the guest before is in %s: the trials since, at most a second's, are lost, and a guest's study can't be resumed", err, cmd.Out)
		}
		return errors.Join(told, err)
	}
	if err != nil {
		return errors.Join(told, &exitError{exitFailed, errors.New("interrupted")})
	}
	if o.Code != 0 {
		return errors.Join(told, &exitError{o.Code, errSaid})
	}
	return told
}

// studyArgs are the arguments for the guest: the flags that were given, but for those of the
// guest and its result; a plan's file is taken along.
func studyArgs(c *cobra.Command, args []string, files map[string][]byte) ([]string, error) {
	out := []string{"study"}
	c.Flags().Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, guestPrefix) || f.Name == "out" || f.Name == "json" {
			return
		}
		values := []string{f.Value.String()}
		if several, ok := f.Value.(pflag.SliceValue); ok {
			values = several.GetSlice()
		}
		for _, v := range values {
			out = append(out, "--"+f.Name+"="+v)
		}
	})
	out = append(out, "--out="+vm.ResultDir)
	for _, a := range args {
		if b, err := os.ReadFile(a); err == nil {
			a = "/root/" + filepath.Base(a)
			files[a] = b
		}
		out = append(out, a)
	}
	return out, nil
}

// guestWarnings are what to know of figures from a guest.
func guestWarnings() []trial.Warning {
	if vm.InsideAccel() != vm.TCG {
		return nil
	}
	return []trial.Warning{{Code: "functional-only", Text: vm.FunctionalOnly}}
}
