package advise

import (
	"cmp"
	"slices"
)

// The causes that can be named. The names are stable: they stand in records.
const (
	NotTheStack    = "not-the-network-stack"
	LinkLimit      = "link-limit"
	ReceiveWindow  = "receive-window"
	SenderLimit    = "sender-limit"
	CPUsApart      = "cpus-apart"
	GROOff         = "per-frame-cost-gro"
	SmallMTU       = "per-frame-cost-mtu"
	QueueSaturated = "queue-saturated"
	LockContention = "lock-contention"
	CopyBound      = "copy-bound"
	Idle           = "idle-cpus"
)

// Figure is one figure of the evidence, and where it comes from.
type Figure struct {
	What  string `json:"what"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// Cause is something that holds the machine back.
type Cause struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	Text   string   `json:"text"`
	Why    []Figure `json:"evidence"`
	Rule   string   `json:"rule"`           // the thresholds
	Weight float64  `json:"weight"`         // share of the throughput, or of the CPU time, that is at stake: an estimate that orders causes of the same rank
	Mend   string   `json:"mend,omitempty"` // what changes it; "": it is the state of things, not a fault
	NICs   []string `json:"nics,omitempty"`
}

// Check is a cause that was looked for and not found.
type Check struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Seen  string `json:"seen"`
}

// RuleWords is a rule in words.
type RuleWords struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Rule  string `json:"rule"`
}

// rule finds one cause. What bounds the throughput whatever the CPUs do has rank 0; what takes CPU
// time that need not be taken has rank 1, most at stake first; what is the state of things
// comes after. A figure of a later rank means little while a cause of an earlier one is
// there.
type rule struct {
	name, title, words string
	rank               int
	// find gives the cause, nil where it is not there, and what was seen instead.
	find func(e *Evidence) (*Cause, string)
}

func rules() []rule {
	return []rule{
		linkRule(), windowRule(), strangerRule(), senderRule(),
		apartRule(), groRule(), mtuRule(),
		queueRule(), lockRule(), copyRule(), idleRule(),
	}
}

// RulesInWords are the thresholds by which causes are named.
func RulesInWords() []RuleWords {
	var out []RuleWords
	for _, r := range rules() {
		out = append(out, RuleWords{r.name, r.title, r.words})
	}
	return out
}

// Causes names what holds a machine back, the one to mend first first, and says of the rest
// what was seen. It is a function of the evidence alone.
func Causes(e *Evidence) (found []Cause, not []Check) {
	rank := map[string]int{}
	for _, r := range rules() {
		rank[r.name] = r.rank
		if r.name == Idle && len(found) > 0 {
			continue // the others explain why CPUs are idle
		}
		c, seen := r.find(e)
		if c == nil {
			not = append(not, Check{r.name, r.title, seen})
			continue
		}
		c.Name, c.Title, c.Rule = r.name, r.title, r.words
		found = append(found, *c)
	}
	slices.SortStableFunc(found, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(rank[a.Name], rank[b.Name]), cmp.Compare(b.Weight, a.Weight))
	})
	return found, not
}
