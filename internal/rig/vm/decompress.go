package vm

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// decompress copies r, which is compressed as the end of its name says, to w. xz and zstd are
// left to the programs of these names.
func decompress(w io.Writer, r io.Reader, name string) error {
	var program string
	switch filepath.Ext(name) {
	case ".gz":
		z, err := gzip.NewReader(r)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := io.Copy(w, z); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	case ".xz":
		program = "xz"
	case ".zst":
		program = "zstd"
	default:
		_, err := io.Copy(w, r)
		return err
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return &host.NotSupportedError{What: "read " + name, Reason: "there is no program " + program, Mend: "install " + program + " (apt-get install " + map[string]string{"xz": "xz-utils", "zstd": "zstd"}[program] + ")"}
	}
	cmd := exec.Command(path, "-dc")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, w, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %s: %w: %s", name, program, err, strings.TrimSpace(stderr.String()))
	}
	return nil
}
