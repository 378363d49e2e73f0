package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stackmeter/stackmeter/internal/result"
)

// readBeside reads one of the JSON files that may lie beside a study's result into v, whose
// schema version is at schema; known is the newest that this program reads. The error is
// [os.ErrNotExist], wrapped, if there is no such file.
func readBeside(dir, file string, v any, schema *int, known int) error {
	name := filepath.Join(dir, file)
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case *schema > known:
		return fmt.Errorf("%s: schema version %d, this program knows %d: %w", name, *schema, known, result.ErrNewerSchema)
	case *schema < 1:
		return fmt.Errorf("%s: schema version %d: not written by stackmeter, or damaged", name, *schema)
	}
	return nil
}

// saveBeside stores v in such a file, replacing an earlier one.
func saveBeside(dir, file string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return result.WriteAtomically(filepath.Join(dir, file), append(b, '\n'))
}
