package analysis

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/stackmeter/stackmeter/internal/unit"
)

// Plan is what an analysis wants to know of the plan that ran. All of it may
// be missing.
type Plan struct {
	Title       string            `json:"title"`
	Defaults    map[string]string `json:"defaults"`
	Replicates  int               `json:"replicates"`
	Experiments []PlanExperiment  `json:"experiments"`
}

// PlanExperiment is one experiment of the plan.
type PlanExperiment struct {
	Name     string            `json:"name"`
	Title    string            `json:"title"`
	Factors  []Factor          `json:"factors"`
	Baseline map[string]string `json:"baseline"`
	Effects  bool              `json:"effects"` // of factors with two levels are asked for
	Half     bool              `json:"half"`    // of the combinations were planned
}

// ReadPlan reads the resolved plan out of a manifest. A plan of another shape
// gives what of it could be understood, since an analysis can do without.
func ReadPlan(raw json.RawMessage) Plan {
	var p Plan
	_ = json.Unmarshal(raw, &p)
	return p
}

func (p *Plan) experiment(name string) PlanExperiment {
	for _, e := range p.Experiments {
		if e.Name == name {
			return e
		}
	}
	return PlanExperiment{Name: name}
}

// level is a factor's level in a cell, from the plan's defaults if the
// experiment does not vary it.
func (p *Plan) level(levels map[string]string, factor string) string {
	if l, ok := levels[factor]; ok {
		return l
	}
	return p.Defaults[factor]
}

func (p *Plan) messageBytes(levels map[string]string) int64 {
	n, err := unit.ParseSize(p.level(levels, "message_size"))
	if err != nil {
		return 0
	}
	return n
}

// baseline is the part of a cell that makes it a baseline: the plan's word,
// or for affinity the paper's.
func (e *PlanExperiment) baseline(factors []Factor) map[string]string {
	b := maps.Clone(e.Baseline)
	if b == nil {
		b = map[string]string{}
	}
	if len(b) > 0 {
		return b
	}
	for _, f := range factors {
		switch f.Name {
		case "affinity":
			b["affinity"] = "none"
		case "unpinned":
			if slices.Contains(f.Levels, "scatter") {
				b["unpinned"] = "scatter"
			} else {
				b["unpinned"] = f.Levels[0]
			}
		}
	}
	if b["affinity"] == "" {
		return nil
	}
	return b
}
