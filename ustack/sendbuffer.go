package ustack

import "sync"

// chunkSize is the size of the pieces that a send buffer is made of, in bytes.
const chunkSize = 16 << 10

type chunk = [chunkSize]byte

// chunkPool keeps chunks for the connections of a shard.
type chunkPool struct {
	mu   sync.Mutex
	free []*chunk
}

// chunksKept is how many free chunks a shard keeps: 32 MiB, if as many were ever in use.
// Full send buffers of 4 MiB rise and fall by a third; with 4 MiB kept, streams of four
// connections allocated without end.
const chunksKept = 2048

func (p *chunkPool) get() *chunk {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return c
	}
	p.mu.Unlock()
	return new(chunk)
}

func (p *chunkPool) put(c *chunk) {
	p.mu.Lock()
	if len(p.free) < chunksKept {
		p.free = append(p.free, c)
	}
	p.mu.Unlock()
}

// sendBuffer holds the bytes that were written and not acknowledged: a queue of chunks
// that the writer fills at one end and the shard empties at the other. The writer
// copies without holding the lock; an empty buffer holds no memory.
type sendBuffer struct {
	mu      sync.Mutex
	chunks  []*chunk
	first   int    // bytes of the first chunk that were acknowledged
	n       int    // bytes held
	base    uint32 // sequence number of the first byte held
	untold  int    // bytes that TCP has not been told of
	limit   int    // bytes that may be held
	most    int    // bytes that limit may grow to
	filling bool   // the writer is copying into the last chunk
	shut    bool   // no more will be written
	err     error  // why nothing can be written
	waiting bool   // the writer waits for room
	room    chan struct{}
	bell
}

// wake wakes who waits for room.
func (b *sendBuffer) wake() {
	signal(b.room)
	b.notify()
}

// reserve returns room for up to n bytes, to be filled and then committed; nil if the
// buffer is full.
func (b *sendBuffer) reserve(p *chunkPool, n int) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	if b.shut {
		return nil, errPipe
	}
	if n = min(n, b.limit-b.n); n <= 0 {
		b.waiting = true
		return nil, nil
	}
	at := b.first + b.n - (len(b.chunks)-1)*chunkSize
	if len(b.chunks) == 0 || at == chunkSize {
		if len(b.chunks) == 0 {
			b.first = 0
		}
		b.chunks = append(b.chunks, p.get())
		at = 0
	}
	b.filling = true
	return b.chunks[len(b.chunks)-1][at:min(at+n, chunkSize)], nil
}

// commit adds n bytes that were copied into what reserve returned. It reports whether the
// buffer was shut meanwhile: the shard must be told then, it has waited for these bytes.
func (b *sendBuffer) commit(n int) (shut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.filling = false
	b.n += n
	b.untold += n
	return b.shut
}

// tell returns how many bytes were written since it was last asked, and whether no more
// will be. While a writer is copying there may be.
func (b *sendBuffer) tell() (n int, shut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, b.untold = b.untold, 0
	return n, b.shut && !b.filling
}

// view appends the pieces that hold n bytes from seq on to list.
func (b *sendBuffer) view(list [][]byte, seq uint32, n int) [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	off := b.first + int(int32(seq-b.base))
	for n > 0 {
		at := off % chunkSize
		k := min(n, chunkSize-at)
		list = append(list, b.chunks[off/chunkSize][at:at+k])
		off += k
		n -= k
	}
	return list
}

// acknowledge drops the bytes before seq, sets the limit, and reports whether a writer
// should be woken.
func (b *sendBuffer) acknowledge(p *chunkPool, seq uint32, limit int) (wake bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = min(limit, b.most)
	d := int(int32(seq - b.base))
	if d > 0 {
		b.base = seq
		b.n -= d
		b.first += d
		done := b.first / chunkSize
		if b.n == 0 && !b.filling {
			done = len(b.chunks)
		}
		if done > 0 {
			for _, c := range b.chunks[:done] {
				p.put(c)
			}
			left := copy(b.chunks, b.chunks[done:])
			clear(b.chunks[left:])
			b.chunks = b.chunks[:left]
			b.first = max(b.first-done*chunkSize, 0)
			if left == 0 {
				b.first = 0
			}
		}
	}
	wake = b.waiting && b.limit-b.n >= b.limit/3
	if wake {
		b.waiting = false
	}
	return wake
}

// end lets nothing more be written, because of err.
func (b *sendBuffer) end(err error) {
	b.mu.Lock()
	if b.err == nil {
		b.err = err
	}
	b.mu.Unlock()
	b.wake()
}

// signal wakes who waits on c, or will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
