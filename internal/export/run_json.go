package export

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/stackmeter/stackmeter/meter"
)

// maxRun bounds the document that ReadRun takes: a thousand windows of many flows.
const maxRun = 256 << 20

// RunJSON writes the result itself, indented.
func RunJSON(w io.Writer, r *meter.Result) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// ReadRun reads what RunJSON wrote. Fields that it does not know are passed over; a
// document of another schema, without a window or with anything after it is refused.
func ReadRun(r io.Reader) (*meter.Result, error) {
	limited := &io.LimitedReader{R: r, N: maxRun + 1}
	raw, err := io.ReadAll(limited)
	if err != nil {
		return nil, err
	}
	if len(raw) > maxRun {
		return nil, fmt.Errorf("run of over %d bytes of JSON: not what `stackmeter run --json` writes", maxRun)
	}
	var out meter.Result
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("run: %w; want one document as `stackmeter run --json` writes it", err)
	}
	switch {
	case out.Schema != meter.SchemaVersion:
		return nil, fmt.Errorf("run: schema is %d, this stackmeter reads %d: use the one that wrote it", out.Schema, meter.SchemaVersion)
	case len(out.Windows) == 0:
		return nil, fmt.Errorf("run: windows is empty: nothing was measured, or it is no run")
	case out.Started.IsZero():
		return nil, fmt.Errorf("run: started is missing: it is no run")
	}
	if err := out.Config.Normalize(); err != nil {
		return nil, fmt.Errorf("run: config.%w", err)
	}
	return &out, nil
}
