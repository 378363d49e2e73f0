package profile

import (
	"cmp"
	"slices"

	"github.com/stackmeter/stackmeter/internal/profile/stage"
)

// Node is a function in the tree of stacks, from the root: a frame of a flame graph.
type Node struct {
	Name string
	// Value is CPU time below and in it: seconds, or nanoseconds per kilobyte in a tree of
	// two sides. Before is the first side's.
	Value, Before float64
	Stage         stage.Stage // that most of Value counts for
	Children      []*Node     // by name, so that two trees lie alike

	byName  map[string]*Node
	byStage map[stage.Stage]float64
}

// Tree is the stacks as a tree: all, process, functions.
func (s *Sampling) Tree() *Node {
	root := &Node{Name: "all"}
	s.grow(root, func(*Stack) bool { return true }, func(n *Node, seconds float64) { n.Value += seconds })
	root.settle()
	return root
}

// DiffTree is the stacks of two sides in one tree, in nanoseconds per kilobyte carried,
// each side the mean of its profiles. Those without samples or bytes count for nothing.
func DiffTree(before, after []*Profile) *Node {
	root := &Node{Name: "all"}
	for i, side := range [][]*Profile{before, after} {
		side = usable(side)
		for _, p := range side {
			p.Sampling.grow(root, ofLoad, func(n *Node, seconds float64) {
				v := p.Sampling.PerKilobyte(seconds) / float64(len(side))
				if i == 0 {
					n.Before += v
				} else {
					n.Value += v
				}
			})
		}
	}
	root.settle()
	return root
}

// grow adds the stacks' time along their paths.
func (s *Sampling) grow(root *Node, keep func(*Stack) bool, add func(*Node, float64)) {
	per := s.perSample()
	for i := range s.Stacks {
		x := &s.Stacks[i]
		if !keep(x) {
			continue
		}
		d := float64(x.Count) * per[x.CPU]
		n := root
		n.count(x.Stage, d)
		add(n, d)
		for _, name := range s.path(x) {
			n = n.child(name)
			n.count(x.Stage, d)
			add(n, d)
		}
	}
}

func (n *Node) count(s stage.Stage, d float64) {
	if n.byStage == nil {
		n.byStage = map[stage.Stage]float64{}
	}
	n.byStage[s] += d
}

func (n *Node) child(name string) *Node {
	c := n.byName[name]
	if c == nil {
		c = &Node{Name: name}
		if n.byName == nil {
			n.byName = map[string]*Node{}
		}
		n.byName[name] = c
		n.Children = append(n.Children, c)
	}
	return c
}

// settle orders the children and finds the stages.
func (n *Node) settle() {
	most := -1.0
	for s, d := range n.byStage {
		if d > most || d == most && s < n.Stage {
			most, n.Stage = d, s
		}
	}
	n.byName, n.byStage = nil, nil
	slices.SortFunc(n.Children, func(a, b *Node) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range n.Children {
		c.settle()
	}
}
