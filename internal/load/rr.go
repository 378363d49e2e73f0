package load

import (
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
)

// rr: the client sends a request and waits for the response, then the next;
// with a burst of several it keeps that many under way. A transaction's latency is the
// time from its request (from when it should have been sent, where there is a rate) to the
// last byte of its response.
type rr struct{}

func (rr) First() Role { return Client }

func (rr) Client(f *Flow) (Wait, unix.Errno) {
	if f.lossy {
		return askDatagrams(f)
	}
	now := int64(0) // the time, where it is known
	for {
		for f.flying < f.burst {
			if !f.open {
				if f.Stopped() {
					return 0, 0
				}
				if f.paced() {
					if f.flying == 0 && f.filled {
						return Due, 0
					}
					if f.flying == 0 { // the poller may go on watching: it has nothing to report
						return Due | f.readable(), 0
					}
					break
				}
				if now == 0 {
					now = clock.Now()
				}
				f.begun[(f.first+f.flying)%f.burst] = f.begin(now)
				f.open = true
			}
			if errno := f.sendRest(f.request); errno != 0 {
				return Writable, errno
			}
			f.open = false
			f.flying++
		}
		if f.polled && now != 0 {
			return f.wait(), 0 // the answer cannot be there yet
		}
		n, errno := f.Recv(f.in)
		if n <= 0 {
			return waitOrEnd(f.wait(), errno)
		}
		now = clock.Now()
		f.filled = n == len(f.in)
		f.Received += uint64(n)
		f.ReceivedMessages++
		for f.got += n; f.got >= f.response && f.flying > 0; f.got -= f.response {
			f.Latency.Record(now - f.begun[f.first])
			f.Transactions++
			f.first = (f.first + 1) % f.burst
			f.flying--
		}
	}
}

// wait is what a client with requests under way waits for.
func (f *Flow) wait() Wait {
	if f.period != 0 && f.flying < f.burst {
		return f.readable() | Due
	}
	return f.readable()
}

// readable is what an end waits for that has used all that it received.
func (f *Flow) readable() Wait {
	if f.filled {
		return Readable
	}
	return Readable | Drained
}

// sendRest sends what is left of a message of n bytes.
func (f *Flow) sendRest(n int) unix.Errno {
	for f.sent < n {
		sent, errno := f.Send(f.out[f.sent:n])
		if errno != 0 {
			return errno
		}
		f.Sent += uint64(sent)
		f.sent += sent
	}
	f.SentMessages++
	f.sent = 0
	return 0
}

func (rr) Server(f *Flow) (Wait, unix.Errno) {
	if f.lossy {
		return answerDatagrams(f)
	}
	for {
		for f.got >= f.request {
			if errno := f.sendRest(f.response); errno != 0 {
				return Writable, errno
			}
			f.got -= f.request
			f.Transactions++
			if f.polled && f.got < f.request {
				return f.readable(), 0 // the client waits for this answer first
			}
		}
		n, errno := f.Recv(f.in)
		if n <= 0 {
			if errno == unix.EAGAIN && f.Stopped() {
				return 0, 0
			}
			return waitOrEnd(f.readable(), errno)
		}
		f.filled = n == len(f.in)
		f.Received += uint64(n)
		f.ReceivedMessages++
		f.got += n
	}
}
