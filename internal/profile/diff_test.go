package profile

import (
	"math"
	"testing"

	"github.com/stackmeter/stackmeter/internal/profile/stage"
)

// heavier is a profile whose CPUs were busier by a factor over the same bytes, and
// whose flows crossed CPUs.
func heavier(t *testing.T, by float64, cross bool) *Profile {
	t.Helper()
	p := captured(t)
	for i := range p.Sampling.CPU.PerCPU {
		c := &p.Sampling.CPU.PerCPU[i]
		c.User *= by
		c.System *= by
		c.SoftIRQ *= by
		c.IRQ *= by
		c.IdleBusy *= by
	}
	for i := range p.Flows {
		p.Flows[i].CrossBytes = 0
		if cross {
			p.Flows[i].CrossBytes = p.Flows[i].Bytes
		}
	}
	return p
}

// TestCompareFindsWhatChanged gives both sides a spread and one of them twice the cost.
func TestCompareFindsWhatChanged(t *testing.T) {
	var before, after []*Profile
	for i := range 5 {
		wobble := 1 + 0.01*float64(i)
		before = append(before, heavier(t, wobble, true))
		after = append(after, heavier(t, wobble/2, false))
	}
	d, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(d.Total.After/d.Total.Before-0.5) > 0.001 {
		t.Errorf("total %v to %v, want half", d.Total.Before, d.Total.After)
	}
	if s := d.Total.Shift; s == nil || s.Confidence < 0.95 || s.Hi >= 0 {
		t.Errorf("total's shift %+v, want below 0 with 95 %%", s)
	}
	if d.CrossCPU.Before != 1 || d.CrossCPU.After != 0 {
		t.Errorf("across CPUs: %+v", d.CrossCPU)
	}
	var sums [2]float64
	for _, c := range d.Functions {
		sums[0] += c.Before
		sums[1] += c.After
	}
	near(t, "functions before", sums[0], d.Total.Before)
	near(t, "functions after", sums[1], d.Total.After)
	for i := 1; i < len(d.Functions); i++ {
		a, b := d.Functions[i-1], d.Functions[i]
		if math.Abs(a.After-a.Before) < math.Abs(b.After-b.Before)-1e-9 {
			t.Errorf("%s stands before %s", a.Name, b.Name)
		}
	}
	root := DiffTree(before, after)
	near(t, "tree's root", root.Value, mean(after))
	near(t, "tree's root before", root.Before, mean(before))
	var walk func(*Node)
	walk = func(n *Node) {
		v, b := 0.0, 0.0
		for _, c := range n.Children {
			v += c.Value
			b += c.Before
			walk(c)
		}
		if v > n.Value*(1+1e-9)+1e-12 || b > n.Before*(1+1e-9)+1e-12 {
			t.Errorf("%s: callees cost more than it", n.Name)
		}
	}
	walk(root)
}

func mean(side []*Profile) (sum float64) {
	for _, p := range side {
		sum += p.Sampling.PerKilobyte(p.Sampling.BusySeconds()) / float64(len(side))
	}
	return sum
}

func TestCompareOfTooLittleSaysSo(t *testing.T) {
	d, err := Compare([]*Profile{captured(t)}, []*Profile{captured(t), {Schema: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if d.AfterProfiles != 1 || len(d.Notes) != 2 {
		t.Errorf("%d profiles, notes %v", d.AfterProfiles, d.Notes)
	}
	if _, err := Compare(nil, []*Profile{captured(t)}); err == nil {
		t.Error("nothing was compared with something")
	}
}

// TestStrangersAreLeftOut makes some of a side's stacks those of processes beside the
// load.
func TestStrangersAreLeftOut(t *testing.T) {
	p := captured(t)
	var gone float64
	per := p.Sampling.perSample()
	for i := range p.Sampling.Stacks {
		if x := &p.Sampling.Stacks[i]; x.Stage == stage.Load {
			x.Stage = stage.Stranger
			gone += float64(x.Count) * per[x.CPU]
		}
	}
	if gone == 0 {
		t.Fatal("the capture has no user code")
	}
	d, err := Compare([]*Profile{captured(t)}, []*Profile{p})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "total", d.Total.Before-d.Total.After, p.Sampling.PerKilobyte(gone))
	sum := 0.0
	for _, f := range d.Functions {
		sum += f.After
	}
	near(t, "functions", sum, d.Total.After)
	near(t, "tree", DiffTree(nil, []*Profile{p}).Value, d.Total.After)
}
