package stats

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// ErrTooFewPoints says that the law cannot be fitted: it has three parameters.
var ErrTooFewPoints = errors.New("the Universal Scalability Law needs measurements at 3 sizes or more")

// USL is Gunther's Universal Scalability Law
//
//	X(N) = Lambda*N / (1 + Sigma*(N-1) + Kappa*N*(N-1))
//
// N is the size (CPUs, NICs), Lambda the throughput that N=1 would give,
// Sigma >= 0 the share that is serialised (contention), Kappa >= 0 the cost of
// keeping every pair coherent.
type USL struct {
	Lambda Estimate `json:"lambda"`
	Sigma  Estimate `json:"sigma"`
	Kappa  Estimate `json:"kappa"`
	// PeakN is the size of most throughput, 0 if the fitted curve has no peak
	// (Kappa = 0).
	PeakN float64 `json:"peak_n,omitempty"`
	// R2 is the share of the variance of log X that the curve explains.
	R2       float64  `json:"r2"`
	Warnings []string `json:"warnings,omitempty"`
}

// At is the fitted throughput at size n.
func (u USL) At(n float64) float64 {
	return uslAt([3]float64{u.Lambda.Value, u.Sigma.Value, u.Kappa.Value}, n)
}

func uslAt(p [3]float64, n float64) float64 {
	return p[0] * n / (1 + p[1]*(n-1) + p[2]*n*(n-1))
}

// Point is the measured throughput at one size, one value a replicate.
type Point struct {
	N  float64
	Xs []float64
}

// uslPoorFit is the relative distance of the curve from the median at a size
// above which a fit carries a warning.
const uslPoorFit = 0.1

// worst is the size at which the curve is farthest from the median, and by what
// share.
func (u *USL) worst(points []Point) (off, at float64) {
	for _, p := range points {
		s, err := sorted(p.Xs)
		if err != nil {
			continue
		}
		if d := math.Abs(u.At(p.N)/middle(s) - 1); d > off {
			off, at = d, p.N
		}
	}
	return off, at
}

// uslResamples is the number of bootstrap resamples.
const uslResamples = 1000

// FitUSL fits the law to the replicates at each size and bootstraps them
// (within each size, from the seed: the same input gives the same output) for
// percentile intervals.
//
// N/X is linear in (1/Lambda, Sigma/Lambda, Kappa/Lambda), so the fit is a
// non-negative least-squares problem with relative residuals. It is solved
// exactly by trying each set of active bounds; no starting point, no
// iteration.
func FitUSL(points []Point, confidence float64, seed uint64) (USL, error) {
	var n, x []float64
	sizes := map[float64]bool{}
	replicated := true
	for _, p := range points {
		for _, v := range p.Xs {
			if !(v > 0) || math.IsInf(v, 0) || !(p.N >= 1) {
				return USL{}, fmt.Errorf("throughput %v at size %v: both must be positive", v, p.N)
			}
			n, x = append(n, p.N), append(x, v)
			sizes[p.N] = true
		}
		replicated = replicated && len(p.Xs) > 1
	}
	if len(sizes) < 3 {
		return USL{}, fmt.Errorf("%w, there are %d", ErrTooFewPoints, len(sizes))
	}
	best, ok := solveUSL(n, x)
	if !ok {
		return USL{}, errors.New("the Universal Scalability Law does not fit: throughput has no positive rate at size 1")
	}
	u := USL{R2: uslR2(best, n, x)}
	if best[2] > 0 && best[1] < 1 {
		u.PeakN = math.Sqrt((1 - best[1]) / best[2])
	}
	fits := [3][]float64{}
	if replicated {
		rng := rand.New(rand.NewPCG(seed, 0x5553_4c))
		xs := make([]float64, 0, len(x))
		for range uslResamples {
			xs = xs[:0]
			for _, p := range points {
				for range p.Xs {
					xs = append(xs, p.Xs[rng.IntN(len(p.Xs))])
				}
			}
			if f, ok := solveUSL(n, xs); ok {
				for i := range f {
					fits[i] = append(fits[i], f[i])
				}
			}
		}
	} else {
		u.Warnings = append(u.Warnings, "fit has no uncertainty: use 2 replicates or more at every size")
	}
	for i, e := range []*Estimate{&u.Lambda, &u.Sigma, &u.Kappa} {
		*e = Estimate{Value: best[i], Lo: best[i], Hi: best[i], N: len(x)}
		if fs := fits[i]; len(fs) > 0 {
			slices.Sort(fs)
			tail := int(float64(len(fs)) * (1 - confidence) / 2)
			e.Lo, e.Hi, e.Confidence = min(fs[tail], best[i]), max(fs[len(fs)-1-tail], best[i]), confidence
		}
	}
	worst, at := u.worst(points)
	switch {
	case worst > uslPoorFit:
		u.Warnings = append(u.Warnings, fmt.Sprintf("the law does not describe these figures: at %g it is %.0f %% off; don't extrapolate", at, 100*worst))
	case len(sizes) == 3:
		u.Warnings = append(u.Warnings, "three sizes for three parameters: how well the law describes the figures cannot be checked")
	}
	return u, nil
}

// solveUSL minimises sum(((a + b(N-1) + cN(N-1)) * X/N - 1)^2) over a > 0,
// b, c >= 0, by the normal equations of each set of columns. It is false if no
// a > 0 is best, as when throughput falls at once to almost nothing.
func solveUSL(n, x []float64) ([3]float64, bool) {
	var gram [3][3]float64
	var rhs, scale [3]float64
	for i := range n {
		w := x[i] / n[i]
		row := [3]float64{w, w * (n[i] - 1), w * n[i] * (n[i] - 1)}
		for j := range row {
			rhs[j] += row[j]
			for k := range row {
				gram[j][k] += row[j] * row[k]
			}
		}
	}
	// Columns of unit length: they differ by nine orders of magnitude.
	for j := range scale {
		scale[j] = math.Sqrt(gram[j][j])
	}
	var best [3]float64
	bestCost := math.Inf(1)
	for _, cols := range [][]int{{0, 1, 2}, {0, 1}, {0, 2}, {0}, {1, 2}, {1}, {2}} {
		g := mat.NewSymDense(len(cols), nil)
		r := mat.NewVecDense(len(cols), nil)
		for j, cj := range cols {
			r.SetVec(j, rhs[cj]/scale[cj])
			for k := j; k < len(cols); k++ {
				g.SetSym(j, k, gram[cj][cols[k]]/scale[cj]/scale[cols[k]])
			}
		}
		var chol mat.Cholesky
		var sol mat.VecDense
		if !chol.Factorize(g) || chol.SolveVecTo(&sol, r) != nil {
			continue
		}
		var p [3]float64
		feasible := true
		for j, c := range cols {
			p[c] = sol.AtVec(j) / scale[c]
			feasible = feasible && p[c] >= 0
		}
		// At the solution of the normal equations the cost is n - rhs'p.
		cost := float64(len(n)) - mat.Dot(r, &sol)
		if feasible && cost < bestCost {
			best, bestCost = p, cost
		}
	}
	// Best at the bound 1/Lambda = 0: no finite rate at size 1 fits.
	if best[0] <= 0 {
		return best, false
	}
	return [3]float64{1 / best[0], best[1] / best[0], best[2] / best[0]}, true
}

func uslR2(p [3]float64, n, x []float64) float64 {
	var mean, res, tot float64
	for _, v := range x {
		mean += math.Log(v)
	}
	mean /= float64(len(x))
	for i, v := range x {
		l := math.Log(v)
		res += (l - math.Log(uslAt(p, n[i]))) * (l - math.Log(uslAt(p, n[i])))
		tot += (l - mean) * (l - mean)
	}
	if tot == 0 {
		return 1
	}
	return 1 - res/tot
}
