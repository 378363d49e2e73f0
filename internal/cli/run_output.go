package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/stackmeter/stackmeter/internal/export"
	"github.com/stackmeter/stackmeter/internal/report"
	"github.com/stackmeter/stackmeter/meter"
)

// textFormat is for people; the others are package export's.
const textFormat = "text"

func runFormatNames() []string {
	var names []string
	for _, f := range export.RunFormats() {
		names = append(names, f.Name)
	}
	return names
}

// runOutput is where a result goes.
type runOutput struct {
	format string
	file   string
}

// output checks the flags, and that the file can be written, before anything is measured.
func (f *runFlags) target() (runOutput, error) {
	o := runOutput{format: f.format, file: f.output}
	for _, short := range []struct {
		given bool
		name  string
	}{{f.json, "json"}, {f.csv, "csv"}} {
		switch {
		case !short.given:
		case o.format != textFormat && o.format != short.name:
			return o, fmt.Errorf("--format %s, --%s: choose one", o.format, short.name)
		default:
			o.format = short.name
		}
	}
	if o.format != textFormat {
		if _, err := export.FindRun(o.format); err != nil {
			return o, fmt.Errorf("--format: %w", err)
		}
	}
	if o.file != "" {
		probe, err := os.CreateTemp(filepath.Dir(o.file), ".stackmeter-*")
		if err != nil {
			return o, fmt.Errorf("--output: %w", err)
		}
		if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
			return o, fmt.Errorf("--output: %w", err)
		}
		if i, err := os.Stat(o.file); err == nil && !i.Mode().IsRegular() {
			return o, fmt.Errorf("--output: %s is no file", o.file)
		}
	}
	return o, nil
}

// tell prints a result, and writes it to the file.
func (o *runOutput) tell(w io.Writer, r *meter.Result) error {
	if o.file != "" {
		name := o.format
		if name == textFormat {
			name = "json"
		}
		f, err := export.FindRun(name)
		if err == nil {
			err = replaceFile(o.file, func(w io.Writer) error { return f.Encode(w, r) })
		}
		if err != nil {
			return errors.Join(fmt.Errorf("--output: %w", err), o.print(w, r))
		}
	}
	return o.print(w, r)
}

func (o *runOutput) print(w io.Writer, r *meter.Result) error {
	if o.format == textFormat {
		var t report.TextOptions
		if f, ok := w.(*os.File); ok {
			t = report.TerminalOptions(f)
		}
		return report.Run(w, r, t)
	}
	f, err := export.FindRun(o.format)
	if err != nil {
		return err
	}
	return f.Encode(w, r)
}

// replaceFile writes a file whole or leaves what was there.
func replaceFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".stackmeter-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = errors.Join(write(f), f.Chmod(0o644), f.Sync())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// readRun reads the JSON of a run.
func readRun(name string) (*meter.Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := new(meter.Result)
	if err := json.NewDecoder(f).Decode(r); err != nil {
		return nil, fmt.Errorf("%s is no JSON of `stackmeter run`: %w", name, err)
	}
	if r.Schema != meter.SchemaVersion {
		return nil, fmt.Errorf("%s: schema %d, this program reads %d: is it the JSON of `stackmeter run`?", name, r.Schema, meter.SchemaVersion)
	}
	if !slices.Contains(meter.Workloads(), r.Config.Workload) {
		return nil, fmt.Errorf("%s: names no workload: is it the JSON of `stackmeter run`?", name)
	}
	return r, nil
}
