package study

import (
	"slices"
	"strconv"
)

// allCPUs is the level that stands for every CPU that may be used.
const allCPUs = "all"

// mostPairCPUs bounds what "all" stands for: the pairs grow with its square.
const mostPairCPUs = 8

// every expands the level "all" among those of the command line.
func (r *resolver) every(factor string, levels []string) []string {
	if !slices.Contains(levels, allCPUs) {
		return levels
	}
	return r.expand(factor, allCPUs)
}

// pairCPUs are the CPUs that "all" stands for: where there are many, some of each cache.
func (r *resolver) pairCPUs() []string {
	clusters := r.machine.Clusters
	if clusters == nil {
		one := make([]int, r.machine.CPUs)
		for i := range one {
			one[i] = i
		}
		clusters = [][]int{one}
	}
	var cpus []int
	for i := 0; len(cpus) < min(r.machine.CPUs, mostPairCPUs); i++ {
		before := len(cpus)
		for _, c := range clusters {
			if i < len(c) && len(cpus) < mostPairCPUs {
				cpus = append(cpus, c[i])
			}
		}
		if len(cpus) == before {
			break
		}
	}
	slices.Sort(cpus)
	if r.machine.CPUs > len(cpus) {
		r.note("pairs of CPUs: %d of the %d CPUs, some of each last cache: %v; name others with --set irq_cpu=... --set process_cpu=...", len(cpus), r.machine.CPUs, cpus)
	}
	out := make([]string, len(cpus))
	for i, c := range cpus {
		out[i] = strconv.Itoa(c)
	}
	return out
}
