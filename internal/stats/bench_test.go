package stats

import "testing"

func BenchmarkFitUSL(b *testing.B) {
	pts := []Point{{N: 1}, {N: 2}, {N: 4}, {N: 8}}
	for i := range pts {
		for r := range 8 {
			pts[i].Xs = append(pts[i].Xs, uslAt([3]float64{1e9, 0.1, 0.01}, pts[i].N)*(1+0.001*float64(r)))
		}
	}
	for b.Loop() {
		if _, err := FitUSL(pts, 0.95, 1); err != nil {
			b.Fatal(err)
		}
	}
}
