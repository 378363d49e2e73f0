package meter

import (
	"fmt"
	"sync"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// warnings gathers what a reader must know; calls to hosts run at once.
type warnings struct {
	mu   sync.Mutex
	list []trial.Warning
}

func (w *warnings) add(code, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, trial.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}
