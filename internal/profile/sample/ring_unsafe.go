package sample

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is one event's buffer, shared with the kernel (Documentation of
// perf_event_mmap_page in include/uapi/linux/perf_event.h).
type ring struct {
	fd      int
	mapped  []byte
	meta    *unix.PerfEventMmapPage
	data    []byte
	scratch []byte
}

func mapRing(fd int) (*ring, error) {
	page := unix.Getpagesize()
	b, err := unix.Mmap(fd, 0, (1+ringPages)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("map the event's ring: %w", err)
	}
	return &ring{fd: fd, mapped: b, meta: (*unix.PerfEventMmapPage)(unsafe.Pointer(&b[0])), data: b[page:]}, nil
}

// read takes what is in the ring and gives the room back.
func (r *ring) read(out *Records) error {
	head, tail := atomic.LoadUint64(&r.meta.Data_head), r.meta.Data_tail
	if head == tail {
		return nil
	}
	size := uint64(len(r.data))
	r.scratch = r.scratch[:0]
	if from, to := tail%size, head%size; from < to {
		r.scratch = append(r.scratch, r.data[from:to]...)
	} else {
		r.scratch = append(append(r.scratch, r.data[from:]...), r.data[:to]...)
	}
	atomic.StoreUint64(&r.meta.Data_tail, head)
	return Parse(r.scratch, out)
}

func (r *ring) control(request uint) error {
	if err := unix.IoctlSetInt(r.fd, request, 0); err != nil {
		return fmt.Errorf("switch the clock event: %w", err)
	}
	return nil
}

func (r *ring) close() error {
	return errors.Join(unix.Munmap(r.mapped), unix.Close(r.fd))
}
