package load

// dueHeap holds flows by the time at which they may go on, the earliest first.
// It never grows beyond the capacity that it was made with.
type dueHeap []struct {
	at   int64
	flow int32
}

func (h *dueHeap) push(flow int32, at int64) {
	*h = append(*h, struct {
		at   int64
		flow int32
	}{at, flow})
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up].at <= s[i].at {
			return
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

func (h *dueHeap) pop() int32 {
	s := *h
	top := s[0].flow
	n := len(s) - 1
	s[0] = s[n]
	s = s[:n]
	*h = s
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < n; down++ {
			if s[down].at < s[least].at {
				least = down
			}
		}
		if least == i {
			return top
		}
		s[least], s[i] = s[i], s[least]
		i = least
	}
}
