package cli

import (
	"testing"

	"github.com/stackmeter/stackmeter/internal/advise"
)

// TestApplicable wants nothing applied that was measured on top of what is not.
func TestApplicable(t *testing.T) {
	advice := func(name string, settings ...advise.Value) advise.Advice {
		return advise.Advice{Remedy: advise.Remedy{Name: name, Settings: settings}}
	}
	gro, rps := advice("gro=on", advise.Value{Setting: "gro", Value: "on"}), advice("rps=all", advise.Value{Setting: "rps", Value: "all"})
	for _, tc := range []struct {
		all  []advise.Advice
		want int
	}{{[]advise.Advice{gro, rps}, 2}, {[]advise.Advice{gro, advice("placement=both"), rps}, 1}, {[]advise.Advice{advice("placement=both"), rps}, 0}, {nil, 0}} {
		if settings, rest := applicable(tc.all); len(settings) != tc.want || len(settings)+len(rest) != len(tc.all) {
			t.Errorf("%+v: %+v and %+v, want %d applied", tc.all, settings, rest, tc.want)
		}
	}
}
