package study

import (
	"strings"
	"testing"
	"time"
)

func TestProfileOfAPlan(t *testing.T) {
	const plan = "name: x\nexperiments:\n  - name: a\n    factors: {nics: [1]}\n"
	for line, want := range map[string]time.Duration{"": 0, "profile: false\n": 0, "profile: true\n": DefaultProfile, "profile: 7s\n": 7 * time.Second} {
		p, _, err := parse([]byte(plan+line), Machine{CPUs: 2}, Overrides{})
		if err != nil || p.Profile != want {
			t.Errorf("%q: %v, %v; want %v", line, p.Profile, err, want)
		}
	}
	p, _, err := parse([]byte(plan+"profile: 7s\n"), Machine{CPUs: 2}, Overrides{Profile: 2 * time.Second})
	if err != nil || p.Profile != 2*time.Second {
		t.Errorf("overridden: %v, %v", p.Profile, err)
	}
	for _, line := range []string{"profile: 1ms\n", "profile: 1h\n", "profile: often\n"} {
		if _, _, err := parse([]byte(plan+line), Machine{CPUs: 2}, Overrides{}); err == nil || !strings.Contains(err.Error(), "profile: ") {
			t.Errorf("%q: error %v", line, err)
		}
	}
}
