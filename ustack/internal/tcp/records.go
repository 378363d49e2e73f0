package tcp

// record is a run of bytes that were sent together and not acknowledged yet. Its
// fate may differ in parts; it is then split.
type record struct {
	seq, end uint32
	at       int64 // last transmission
	sacked   bool
	lost     bool // to be sent again
	again    bool // was sent more than once
	fin      bool // the last of its numbers is a FIN
}

func (r *record) len() int { return int(r.end - r.seq) }

// records are the bytes between SND.UNA and SND.NXT in order, and sums over them.
type records struct {
	list []record
	head int

	pipe    int    // bytes believed to be in the network (RFC 6675): neither lost nor sacked
	sacked  int    // bytes
	lost    int    // bytes that are to be sent again
	resent  int    // records that were sent more than once
	hint    int    // no record before this one is lost
	highest uint32 // behind the highest byte sacked; valid if sacked > 0
}

func (r *records) n() int { return len(r.list) - r.head }

func (r *records) at(i int) *record { return &r.list[r.head+i] }

// add appends bytes that are sent for the first time.
func (r *records) add(seq, end uint32, now int64, fin bool) {
	if r.head > 0 && len(r.list) == cap(r.list) {
		n := copy(r.list, r.list[r.head:])
		r.list, r.head = r.list[:n], 0
	}
	r.list = append(r.list, record{seq: seq, end: end, at: now, fin: fin})
	r.pipe += int(end - seq)
}

// split cuts record i at seq, which lies inside of it.
func (r *records) split(i int, seq uint32) {
	at := r.head + i
	r.list = append(r.list, record{})
	copy(r.list[at+1:], r.list[at:])
	r.list[at].end, r.list[at].fin = seq, false
	r.list[at+1].seq = seq
	if r.list[at].again {
		r.resent++
	}
	if r.hint > i {
		r.hint++
	}
}

// markLost decides that record i has to be sent again. It returns how many bytes that
// adds.
func (r *records) markLost(i int) int {
	rec := r.at(i)
	if rec.sacked || rec.lost {
		return 0
	}
	rec.lost = true
	r.pipe -= rec.len()
	r.lost += rec.len()
	r.hint = min(r.hint, i)
	return rec.len()
}

// resend notes that record i, which was lost, is sent again.
func (r *records) resend(i int, now int64) {
	rec := r.at(i)
	rec.lost, rec.at = false, now
	r.lost -= rec.len()
	r.pipe += rec.len()
	if !rec.again {
		rec.again = true
		r.resent++
	}
}

// markSacked notes that the peer has record i.
func (r *records) markSacked(i int) {
	rec := r.at(i)
	if rec.lost {
		r.lost -= rec.len()
		rec.lost = false
	} else {
		r.pipe -= rec.len()
	}
	rec.sacked = true
	if r.sacked == 0 || gt(rec.end, r.highest) {
		r.highest = rec.end
	}
	r.sacked += rec.len()
}

// trim drops n bytes from the front of the first record's share in the sums.
func (r *records) trim(rec *record, n int) {
	switch {
	case rec.sacked:
		r.sacked -= n
	case rec.lost:
		r.lost -= n
	default:
		r.pipe -= n
	}
}

// pop removes the first record.
func (r *records) pop() {
	rec := r.at(0)
	r.trim(rec, rec.len())
	if rec.again {
		r.resent--
	}
	r.head++
	r.hint = max(r.hint-1, 0)
	if r.head == len(r.list) {
		r.list, r.head = r.list[:0], 0
	}
}

// forgetSacks takes back all that the peer said out of order, as it may (RFC 2018, 8).
func (r *records) forgetSacks() {
	for i := range r.n() {
		rec := r.at(i)
		if rec.sacked {
			rec.sacked = false
			r.sacked -= rec.len()
			r.pipe += rec.len()
		}
	}
}
