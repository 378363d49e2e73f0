package cli

import (
	"encoding/json"
	"io"

	"github.com/stackmeter/stackmeter/meter"
)

type stubFormat struct {
	Name, Doc string
	Encode    func(io.Writer, *meter.Result) error
}

func stubFormats() []stubFormat {
	return []stubFormat{{"json", "the result", func(w io.Writer, r *meter.Result) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}}}
}
