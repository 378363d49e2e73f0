package xdp

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Send implements ustack.Queue.
func (q *queue) Send(frames []*frame.Frame) (int, error) {
	sent := 0
	for _, f := range frames {
		if q.queue(f) {
			sent++
		}
	}
	return sent, q.flush()
}

// queue puts a packet on the send ring, or drops it.
func (q *queue) queue(f *frame.Frame) bool {
	if f = q.toSend(f); f == nil {
		return false
	}
	at, _ := f.Place(q.umem)
	end := at + f.Len()
	pieces := (end-1)/q.chunk - at/q.chunk + 1
	if q.tx.free(pieces) < pieces {
		if err := q.flush(); err != nil || q.tx.free(pieces) < pieces {
			q.sent(f)
			return false
		}
	}
	q.frames[at/q.size], q.kernels[at/q.size] = f, true
	f.Seq = uint32(pieces) // that are to be told as done
	q.sending++
	for at < end {
		desc := unix.XDPDesc{Addr: uint64(at), Len: uint32(min(q.chunk-at%q.chunk, end-at))}
		at += int(desc.Len)
		if at < end {
			desc.Options = unix.XDP_PKT_CONTD
		}
		q.tx.put(desc)
	}
	return true
}

// flush makes the kernel see and send what was queued.
func (q *queue) flush() error {
	q.tx.publish()
	err := q.push()
	q.reclaim()
	return err
}

// push makes the kernel send, as long as it gets on with it.
func (q *queue) push() error {
	defer func() {
		if stuck := q.tx.pending() > 0; stuck != q.stuck.Load() {
			q.stuck.Store(stuck)
		}
	}()
	for left := q.tx.pending(); left > 0 && q.tx.sleeps(); {
		switch no := kick(q.fd); no {
		case 0, unix.EINTR, unix.EAGAIN, unix.EBUSY, unix.ENOBUFS:
		case unix.ENETDOWN:
			return nil // it may come up again
		case unix.ENXIO:
			return errGone
		default:
			return fmt.Errorf("xdp: send: %w", no)
		}
		was := left
		if left = q.tx.pending(); left == was {
			return nil // the rest later
		}
	}
	return nil
}

// reclaim takes back the frames that have left.
func (q *queue) reclaim() {
	n := q.done.ready()
	if n == 0 {
		return
	}
	for range n {
		address := q.done.take()
		f := q.frames[int(address)/q.size]
		if f.Seq--; f.Seq == 0 {
			q.sending--
			q.sent(q.takeBack(address))
		}
	}
	q.done.release()
}
