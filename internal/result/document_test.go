package result

import (
	"flag"
	"reflect"
	"testing"

	"github.com/stackmeter/stackmeter/internal/fielddoc"
	"github.com/stackmeter/stackmeter/internal/trial"
)

var update = flag.Bool("update", false, "write the generated part of doc/result-format.md")

// The document's tables are those that the structs and their comments give.
func TestFormatDocument(t *testing.T) {
	fielddoc.Check(t, "../..", "doc/result-format.md", *update,
		fielddoc.Table{Title: "A line of trials.jsonl", Type: reflect.TypeFor[trial.Trial]()},
		fielddoc.Table{Title: "manifest.json", Type: reflect.TypeFor[Manifest]()},
	)
}
