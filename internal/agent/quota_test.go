package agent

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestQuotaSumsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		q := newQuota(func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }, "refused", 2)
		for i := range 5 {
			q.say("loud", "stranger %d", i)
		}
		q.say("rude", "a rude one")
		time.Sleep(11 * time.Second)
		q.say("loud", "stranger 5")
		time.Sleep(11 * time.Second) // a period with nothing to sum up
		for i := 6; i < 9; i++ {
			q.say("loud", "stranger %d", i)
		}
		time.Sleep(3 * time.Second)
		q.end()
		want := []string{
			"stranger 0", "stranger 1", "and 4 more refused in the last 10s (3 loud, 1 rude)",
			"stranger 5", "stranger 6", "stranger 7", "and 1 more refused in the last 3s (1 loud)",
		}
		if !slices.Equal(log, want) {
			t.Errorf("logged\n%q, want\n%q", log, want)
		}
	})
}
