package frame

// List is a queue of frames linked through Next. The zero List is empty. It is not
// safe for concurrent use.
type List struct {
	Head, Tail *Frame
	N          int // frames
}

// Push appends f.
func (l *List) Push(f *Frame) {
	f.Next = nil
	if l.Tail == nil {
		l.Head = f
	} else {
		l.Tail.Next = f
	}
	l.Tail = f
	l.N++
}

// Join appends all of m and empties it.
func (l *List) Join(m *List) {
	if m.Head == nil {
		return
	}
	if l.Tail == nil {
		*l = *m
	} else {
		l.Tail.Next = m.Head
		l.Tail = m.Tail
		l.N += m.N
	}
	*m = List{}
}

// Pop takes the first frame, or returns nil.
func (l *List) Pop() *Frame {
	f := l.Head
	if f == nil {
		return nil
	}
	l.Head = f.Next
	if l.Head == nil {
		l.Tail = nil
	}
	f.Next = nil
	l.N--
	return f
}
