package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/stackmeter/stackmeter/internal/advise"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/knob"
	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/rig/vm"
	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/tui"
)

// adviceRun is one advice from rig to report.
type adviceRun struct {
	flags    *adviseFlags
	cpus     []int
	stdout   io.Writer
	progress *tui.Progress
	bench    *experiment.Bench
	writer   *result.Writer
}

// Trials on the rig are short: what is told from them is told from many, and the rig is
// steady within milliseconds. Real links take longer to be.
var (
	rigTiming  = experiment.Timing{RampUp: 150 * time.Millisecond, Window: 400 * time.Millisecond, Interval: 100 * time.Millisecond}
	hostTiming = experiment.Timing{RampUp: 300 * time.Millisecond, Window: 700 * time.Millisecond, Interval: 100 * time.Millisecond}
)

// mostRigNICs bounds the rig on machines with many CPUs.
const mostRigNICs = 4

// base is the configuration of which the trials as found are: nothing of the hosts is touched
// but what makes the rig's frames those of a wire.
func (a *adviceRun) base() experiment.Levels {
	out := experiment.Levels{
		"unpinned": string(experiment.AsFound), "socket_buffer": "0", "message_size": "65536", "receive": string(experiment.ReceiveAny),
		"gro": experiment.LevelAsFound, "mtu": experiment.LevelAsFound,
	}
	if a.flags.hosts.real() {
		out["nics"], out["affinity"], out["client"] = strconv.Itoa(len(a.flags.hosts.nics)), string(experiment.AffinityNone), string(experiment.ClientAsFound)
		out["tso"], out["congestion"] = experiment.LevelAsFound, experiment.LevelAsFound
		return out
	}
	out["nics"], out["affinity"], out["client"] = strconv.Itoa(min(len(a.cpus), mostRigNICs)), string(experiment.AffinityProcess), string(experiment.ClientSame)
	out["tso"], out["congestion"] = "off", "cubic"
	if _, inside := rig.InUserNamespace(); inside { // where the kernel's threads run is not ours to choose
		out["client"], out["gro"] = string(experiment.ClientAsFound), "on"
	}
	return out
}

func (a *adviceRun) run(ctx context.Context) error {
	dir, err := knob.Dir(host.Live())
	if err != nil {
		return usage(err)
	}
	release, err := knob.Exclusive(ctx, dir, func(pid int) {
		a.progress.Note("waiting for process %d, which measures or changes settings", pid)
	})
	if err != nil {
		return err
	}
	defer release()
	timing := rigTiming
	if a.flags.hosts.real() {
		timing = hostTiming
	}
	base := a.base()
	plan := advise.Plan(base, timing)
	if err := plan.Normalize(); err != nil {
		return err
	}
	began := time.Now()
	if a.bench, err = a.flags.hosts.bench(ctx, &plan); err != nil {
		return err
	}
	r, adviseErr := a.advise(ctx, plan, timing, began)
	restoreErr := putBack(a.bench)
	if a.writer == nil {
		return errors.Join(restoreErr, adviseErr)
	}
	if ctx.Err() != nil && restoreErr == nil {
		return errors.Join(&exitError{exitFailed, fmt.Errorf("interrupted; settings are as before; the trials so far are in %s", a.writer.Path())}, a.writer.Close())
	}
	closeErr := a.writer.Close()
	if adviseErr != nil || restoreErr != nil {
		return errors.Join(restoreErr, adviseErr, closeErr)
	}
	if err := a.tell(r); err != nil {
		return err
	}
	if a.flags.apply {
		return a.apply(ctx, r, dir)
	}
	return closeErr
}

// advise measures on the bench.
func (a *adviceRun) advise(ctx context.Context, plan experiment.Plan, timing experiment.Timing, began time.Time) (*advise.Report, error) {
	warnings := append(guestWarnings(), a.bench.Fit(&plan)...)
	for _, w := range warnings {
		a.progress.Note("note: %s", w.Text)
	}
	if len(plan.Experiments) == 0 {
		return nil, usage(errors.New("nothing can be measured here"))
	}
	if err := a.create(plan, warnings); err != nil {
		return nil, err
	}
	if err := a.writer.SetHosts(result.Hosts{"server": a.bench.ServerHello.Host, "client": a.bench.ClientHello.Host}); err != nil {
		return nil, err
	}
	var nics []string
	for _, l := range a.bench.Links {
		nics = append(nics, l.Server.Name)
	}
	spoilt, end, err := a.ready()
	if err != nil {
		return nil, errors.Join(err, end())
	}
	defer a.progress.End()
	judgements, linkBits := a.arrangement(nics)
	r, err := advise.Run(ctx, advise.Options{
		Bench:  advise.Live{Bench: a.bench},
		Place:  advise.Place{Base: plan.Defaults, NICs: nics, Hosts: !a.bench.OneMachine(), Jumbo: a.flags.jumbo},
		Timing: timing, Budget: a.flags.budget - time.Since(began), Seed: a.flags.seed, Profile: true, Spoilt: spoilt,
		Arrangement: judgements, LinkBits: linkBits,
		Record: func(t trial.Trial) error {
			if t.Status == trial.Failed {
				a.progress.Note("trial %s failed: %s", t.ID, t.Error)
			}
			return a.writer.Append(&t)
		},
		Progress: func(done, total int, what string) { a.progress.Step(done, total, what, 0) },
	})
	r.Rig = a.bench.Kind
	for _, w := range guestWarnings() {
		r.Labels = append(r.Labels, w.Text)
	}
	return r, errors.Join(err, end())
}

// arrangement is what topo says of the NICs, and the speeds of their links; those of the rig have none.
func (a *adviceRun) arrangement(nics []string) (about []topo.Judgement, linkBits map[string]float64) {
	if a.bench.OneMachine() {
		return nil, nil
	}
	m, err := topo.Live()
	if err != nil {
		a.progress.Note("note: how this machine is arranged is not known: %v", err)
		return nil, nil
	}
	for _, j := range m.Judgements {
		if slices.ContainsFunc(j.NICs, func(n string) bool { return slices.Contains(nics, n) }) {
			about = append(about, j)
		}
	}
	linkBits = map[string]float64{}
	for i := range m.NICs {
		if n := &m.NICs[i]; n.Physical() {
			linkBits[n.Name] = float64(n.SpeedBits)
		}
	}
	return about, linkBits
}

// create makes the result's directory.
func (a *adviceRun) create(plan experiment.Plan, warnings []trial.Warning) error {
	resolved, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	kernel, err := kernelRelease()
	if err != nil {
		return err
	}
	m := result.Manifest{
		Plan: result.Plan{Name: plan.Name, Resolved: resolved}, Seed: a.flags.seed,
		Versions:    result.Versions{Stackmeter: version(), Go: runtime.Version(), Kernel: kernel},
		CommandLine: os.Args, Started: time.Now(), Rig: a.bench.Kind, Warnings: warnings, Accelerator: string(vm.InsideAccel()),
	}
	dir := a.flags.out
	if dir == "" {
		dir = "stackmeter-advise-" + time.Now().Format("20060102-150405")
	}
	a.writer, err = result.Create(dir, m)
	for n := 2; a.flags.out == "" && errors.Is(err, result.ErrNotEmpty); n++ {
		a.writer, err = result.Create(fmt.Sprintf("%s-%d", dir, n), m)
	}
	if err != nil {
		return usage(fmt.Errorf("--out: %w", err))
	}
	return nil
}

// tell keeps the report and prints it.
func (a *adviceRun) tell(r *advise.Report) error {
	page, err := report.WriteAdvice(a.writer.Path(), r)
	if err != nil {
		return err
	}
	if a.flags.json {
		return writeJSON(a.stdout, r)
	}
	if err := report.AdviceText(a.stdout, r, textOptions(a.stdout)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "\nfigures: %s\n", page)
	return err
}
