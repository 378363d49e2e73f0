package ustack

import (
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// headroom is room for all headers before a payload, rounded up to a cache line.
const headroom = 128

// framesMemory is what the frames of a shard may take, in bytes.
const framesMemory = 256 << 20

// layOut says how packets lie in frames. Devices put them behind the pool's headroom, with
// a header of their own before them if they want headroom for one on send.
func (st *Stack) layOut() {
	const line, timestamps = 64, 12
	headers := st.info.Headroom + wire.IP4Len + wire.TCPLen + timestamps
	if st.cfg.Addresses[0].Addr().Is6() {
		headers += wire.IP6Len - wire.IP4Len
	}
	if st.info.Link == LinkEthernet {
		headers += wire.EthernetLen
	}
	head := st.info.Headroom + headroom
	if st.cfg.Techniques.Align {
		head += -(head + headers) & (line - 1)
	}
	st.payloadAt = head + headers
	size := head + max(st.info.ReceiveSize, st.info.MTU+wire.EthernetLen)
	if st.info.SegmentSize > 0 {
		size = max(size, st.payloadAt+st.info.SegmentSize)
	}
	const small, page = 2048, 4096
	if size <= small {
		size = small
	} else {
		size = (size + page - 1) / page * page
	}
	limit := st.cfg.Frames
	if limit == 0 {
		limit = max(framesMemory/size, 1024)
	}
	st.frames = frame.Config{FrameSize: size, Limit: limit, Headroom: head, Buffers: st.cfg.Techniques.Buffers}
}
