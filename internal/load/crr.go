package load

import (
	"bytes"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
)

// crr: each transaction is a connection of its own: connect, request, response,
// close. The server closes first, so that the connection's TIME-WAIT is the server's and does not
// use up the client's ports. A request begins with the run's token, which
// is not counted in its bytes.
type crr struct{}

func (crr) First() Role { return Client }

func (crr) Client(f *Flow) (Wait, unix.Errno) {
	for {
		if !f.open {
			if f.Stopped() {
				return 0, 0
			}
			if f.paced() {
				return Due, 0
			}
			if f.flying == 0 {
				f.begun[0], f.flying = f.begin(clock.Now()), 1
			}
			if errno := f.reopen(); errno != 0 {
				return Writable, errno
			}
		}
		if f.flying == 1 {
			copy(f.out, f.spec.Token[:]) // other flows of the thread may have another
			if errno := f.sendRest(len(f.spec.Token) + f.request); errno != 0 {
				return Writable, errno
			}
			f.Sent -= uint64(len(f.spec.Token))
			f.flying = 2 // the request is sent
			if f.polled {
				return Readable, 0
			}
		}
		n, errno := f.Recv(f.in[f.got : f.response+1])
		if errno != 0 {
			return Readable, errno
		}
		if f.got += n; n > 0 {
			f.Received += uint64(n)
			f.ReceivedMessages++
			if f.got <= f.response {
				continue // until the server closes
			}
		}
		if f.got != f.response {
			return 0, unix.EPROTO // closed in mid-answer, or more than the answer
		}
		f.Latency.Record(clock.Now() - f.begun[0])
		f.Transactions++
		f.got, f.flying, f.open = 0, 0, false
	}
}

// reopen makes the next connection.
func (f *Flow) reopen() unix.Errno {
	errno := f.Transport.(Reopener).Reopen()
	f.fresh = true
	f.open = errno == 0
	return errno
}

// hangup ends a connection of the server.
func (f *Flow) hangup() {
	f.Transport.(Reopener).Hangup()
	f.open, f.got = false, 0
}

func (crr) Server(f *Flow) (Wait, unix.Errno) {
	token := len(f.spec.Token)
	for {
		if f.Stopped() {
			return 0, 0
		}
		if !f.open {
			if errno := f.reopen(); errno != 0 {
				return Acceptable, errno
			}
			f.asked.oldest = clock.Now()
		}
		n, errno := f.Recv(f.in[f.got : token+f.request])
		switch {
		case errno == unix.EAGAIN && f.polled && !f.late():
			return Readable, errno
		case n <= 0: // went away, or was silent for too long
			f.hangup()
			continue
		}
		if f.got += n; f.got < token+f.request {
			continue
		}
		if !bytes.Equal(f.in[:token], f.spec.Token[:]) {
			f.hangup() // a stranger
			continue
		}
		f.Received += uint64(f.request)
		f.ReceivedMessages++
		if errno := f.sendRest(f.response); errno == 0 {
			f.Transactions++
		}
		f.hangup()
	}
}
