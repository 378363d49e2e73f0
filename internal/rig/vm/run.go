package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// Command is what the guest runs: this program.
type Command struct {
	Args  []string          // after the program's name
	Env   []string          // beside the guest's own
	Files map[string][]byte // made before, by absolute path in the guest
	// Out is the directory, made if need be, into which the files of the guest's ResultDir
	// come, as they grow and whole at the end; "" if they are not wanted. Where nothing comes it is not kept.
	Out            string
	Stdout, Stderr io.Writer // what the command writes; not nil
}

// maxFiles bounds the files given to a guest together: their frame has them in base64.
const maxFiles = maxFrame / 2

func (c *Command) bytes() (n int64) {
	for _, b := range c.Files {
		n += int64(len(b))
	}
	return n
}

// ResultDir is the directory in the guest whose files come out.
const ResultDir = "/result"

// Outcome is how a guest went.
type Outcome struct {
	Code   int           // the command's exit code
	Accel  Accel         // KVM or TCG
	Kernel string        // the guest's release
	Boot   time.Duration // from the start of QEMU until init was at work
}

// Times that a guest has.
const (
	bootTimeout = 4 * time.Minute  // TCG on a busy machine; 5 s are usual
	kvmTimeout  = 30 * time.Second // then TCG is tried
	endTimeout  = 20 * time.Second // from the interrupt until it is killed, and from its end until it is off
)

// Run boots a guest, runs the command in it and returns when the guest is off and all that it
// said is written. Where ctx ends the command gets an interrupt, as by Ctrl-C; if it doesn't end
// then, the guest is killed. An error is of the guest itself; that a command failed is in
// Outcome.Code.
func Run(ctx context.Context, c Config, cmd Command) (Outcome, error) {
	if err := c.Normalize(); err != nil {
		return Outcome{}, err
	}
	if n := cmd.bytes(); n > maxFiles {
		return Outcome{}, fmt.Errorf("%w: files of %s for the guest: at most %s", host.ErrInput, unit.Size(n), unit.Size(maxFiles))
	}
	qemu, err := program()
	if err != nil {
		return Outcome{}, err
	}
	accel, err := c.Accel.choose()
	if err != nil {
		return Outcome{}, err
	}
	k, err := FindKernel(c.Kernel, c.Modules)
	if err != nil {
		return Outcome{}, err
	}
	dir, err := os.MkdirTemp("", "stackmeter-vm-")
	if err != nil {
		return Outcome{}, err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initramfs")
	if err := buildImage(&c, k, initrd); err != nil {
		return Outcome{}, err
	}
	console, err := os.Create(filepath.Join(dir, "console"))
	if err != nil {
		return Outcome{}, err
	}
	defer console.Close()
	g := &guest{config: &c, command: &cmd, console: console, bootTimeout: bootTimeout}
	if c.Accel == AccelAuto && accel == KVM {
		g.bootTimeout = kvmTimeout
	}
	g.booted = func() { _ = os.RemoveAll(dir) } // nothing is left behind should we be killed
	out, err := g.run(ctx, qemu, accel, arguments(&c, accel, k, initrd, console.Name()))
	if errors.Is(err, errNotReady) && c.Accel == AccelAuto && accel == KVM && ctx.Err() == nil {
		g.bootTimeout = bootTimeout
		return g.run(ctx, qemu, TCG, arguments(&c, TCG, k, initrd, console.Name()))
	}
	return out, err
}

// errNotReady says that a guest did not come up.
var errNotReady = errors.New("the guest did not come up")

// guest is one on its way.
type guest struct {
	config      *Config
	command     *Command
	console     *os.File // its serial console's output
	bootTimeout time.Duration
	booted      func() // called when QEMU needs its files no more
}

// run starts QEMU, speaks with the guest and waits for QEMU's end.
func (g *guest) run(ctx context.Context, qemu string, accel Accel, args []string) (Outcome, error) {
	out := Outcome{Accel: accel}
	l := launch{Parent: os.Getpid(), Program: qemu, Args: args}
	for i, n := range g.config.NICs {
		l.Taps = append(l.Taps, tap{tapName(i), n.Queues, n.Segment})
	}
	cmd, err := l.command()
	if err != nil {
		return out, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return out, fmt.Errorf("the guest's port: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return out, err
	}
	port, theirs := os.NewFile(uintptr(pair[0]), "port"), os.NewFile(uintptr(pair[1]), "port")
	cmd.ExtraFiles = []*os.File{theirs}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		// QEMU ends with the thread that starts it: this one stays until it has.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		theirs.Close()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	begun := time.Now()
	if err := <-started; err != nil {
		port.Close()
		return out, fmt.Errorf("start the guest: %w (its network needs a namespace: run as root, or allow user namespaces)", err)
	}
	err = g.talk(ctx, port, begun, &out)
	port.Close() // the guest waits for it before it powers off
	kill := time.AfterFunc(endTimeout, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if err != nil {
		_ = cmd.Process.Kill()
	}
	exit := <-ended
	if err != nil && bytes.Contains(said.Bytes(), []byte("is not a valid device model name")) {
		return out, &host.NotSupportedError{What: "make the guest's NICs", Reason: string(bytes.TrimSpace(said.Bytes())), Mend: "choose another driver, or a newer QEMU (igb came with 8.0)"}
	}
	switch {
	case ctx.Err() != nil && err != nil:
		return out, context.Cause(ctx)
	case err != nil:
		return out, fmt.Errorf("%w%s%s", err, label("QEMU", said.Bytes()), label("its console", g.lastWords()))
	case exit != nil:
		return out, fmt.Errorf("QEMU: %w%s", exit, label("QEMU", said.Bytes()))
	}
	return out, nil
}

// label shows what something said, if it did.
func label(who string, text []byte) string {
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return ""
	}
	return fmt.Sprintf("\n%s said:\n%s", who, text)
}

// lastWords are the last lines of the guest's console.
func (g *guest) lastWords() []byte {
	b, err := io.ReadAll(io.NewSectionReader(g.console, 0, 1<<20))
	if err != nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-30):], []byte("\n"))
}

// talk gives the guest its order and takes what comes until its end.
func (g *guest) talk(ctx context.Context, port *os.File, begun time.Time, out *Outcome) (err error) {
	to := &frames{w: port}
	if err := port.SetReadDeadline(time.Now().Add(g.bootTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = port.SetDeadline(time.Now()) })
	k, payload, err := readFrame(port)
	if !stop() {
		return context.Cause(ctx)
	}
	var r ready
	if err == nil && k != kindReady {
		err = fmt.Errorf("it began with a frame %q", k)
	}
	if err == nil {
		err = json.Unmarshal(payload, &r)
	}
	if err != nil {
		return fmt.Errorf("%w in %v: %w", errNotReady, time.Since(begun).Round(time.Second), err)
	}
	out.Kernel, out.Boot = r.Kernel, time.Since(begun)
	g.booted()
	if err := port.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	o := order{Args: g.command.Args, Env: append([]string{Inside + "=" + string(out.Accel)}, g.command.Env...), Files: g.command.Files, NICs: map[string]string{}}
	for i, n := range g.config.NICs {
		o.NICs[hardware(i)] = n.Name
	}
	if err := to.sendJSON(kindCommand, o); err != nil {
		return fmt.Errorf("order to the guest: %w", err)
	}
	stop = context.AfterFunc(ctx, func() {
		_ = to.send(kindSignal, nil)
		_ = port.SetReadDeadline(time.Now().Add(endTimeout))
	})
	defer stop()
	result, err := g.unpack()
	if err != nil {
		return err
	}
	err = errors.Join(g.listen(port, result, out), result.finish())
	if g.command.Out != "" {
		_ = os.Remove(g.command.Out) // where nothing came
	}
	return err
}

// listen takes what comes until the guest's end.
func (g *guest) listen(port io.Reader, result *results, out *Outcome) error {
	for {
		k, payload, err := readFrame(port)
		if err != nil {
			return fmt.Errorf("the guest ended before its command: %w", err)
		}
		switch k {
		case kindOut:
			_, err = g.command.Stdout.Write(payload)
		case kindErr:
			_, err = g.command.Stderr.Write(payload)
		case kindPart:
			if g.command.Out != "" {
				err = takePart(g.command.Out, payload)
			}
		case kindTar:
			_, err = result.Write(payload)
		case kindEnd:
			var e end
			if err := json.Unmarshal(payload, &e); err != nil {
				return fmt.Errorf("the guest's last word: %w", err)
			}
			if e.Error != "" {
				return fmt.Errorf("the guest: %s", e.Error)
			}
			out.Code = e.Code
			return nil
		default:
			err = fmt.Errorf("the guest sent a frame %q, which means nothing", k)
		}
		if err != nil {
			return err
		}
	}
}

// results unpacks the tar of the guest's directory as it comes.
type results struct {
	w    io.WriteCloser
	done chan error
}

func (g *guest) unpack() (*results, error) {
	if g.command.Out == "" {
		return &results{}, nil
	}
	if err := os.MkdirAll(g.command.Out, 0o755); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	res := &results{w, make(chan error, 1)}
	go func() {
		err := unpackTar(r, g.command.Out, func(string) bool { return true })
		_ = r.CloseWithError(err)
		res.done <- err
	}()
	return res, nil
}

func (r *results) Write(p []byte) (int, error) {
	if r.w == nil {
		return len(p), nil
	}
	return r.w.Write(p)
}

func (r *results) finish() error {
	if r.w == nil {
		return nil
	}
	_ = r.w.Close() // a pipe's Close does not fail
	if err := <-r.done; err != nil {
		return fmt.Errorf("results of the guest: %w", err)
	}
	return nil
}
