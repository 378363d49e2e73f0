package copylab

import (
	"unsafe"

	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/memcopy"
)

// packet is the payload of the paper's copies: a segment of an Ethernet frame with
// TCP timestamps.
const packet = 1448

// alignments are the source offsets of Tables 5 and 6. 8-aligned and 4 off are the
// paper's; 66 (2 modulo 4) is where the payload lies behind 14 bytes of Ethernet, 20
// of IP and 32 of TCP header when the frame is aligned.
var alignments = []struct {
	offset int
	label  string
}{{0, "YES"}, {4, "4"}, {66, "NO"}}

// paperLabels are the paper's names of two methods.
var paperLabels = map[string]string{"rep-movsl": "MOVSD", "int32": "Integer"}

// copyMethods are the methods of the tables: copies, and the best fused one.
func (l *lab) copyMethods() []method {
	var out []method
	for _, m := range l.methods {
		if m.family == memcopy.FamilyCopy {
			out = append(out, m)
		}
	}
	return append(out, pick(l.methods, bestFused)...)
}

// table5 copies 1448 bytes from an 8-aligned, a 4-aligned and an odd source, all on
// page-aligned destinations as in the paper, and reckons the time of 1448 million.
func (l *lab) table5() error {
	ms := l.copyMethods()
	const million = 1e6
	for _, a := range alignments {
		q, err := l.loops(ms, l.place(HotL1, packet, a.offset), l.mem.dst[:packet:packet], packet, l.rounds(21))
		if err != nil {
			return err
		}
		l.add("table5", ms, q, packet, a.offset, 0, HotL1, Loop)
		for i, m := range ms {
			seconds := q[i].ns * million / 1e9
			roof := packet / seconds * l.toRoof(q[i].p50, m.family, packet, HotL1)
			l.report.Table5 = append(l.report.Table5, Table5Row{
				Method: m.name, Seconds: seconds, Spread: (q[i].p90 - q[i].p10) / q[i].p50, MBytes: packet / seconds, RoofMBytes: roof,
				Dst: address(l.mem.dst), Src: address(l.mem.src[a.offset:]), Aligned: a.label, PaperLabel: paperLabels[m.name],
			})
		}
	}
	return nil
}

// table6 times single copies of 1448 bytes, with the source in L1 and out in memory.
func (l *lab) table6() error {
	ms := l.copyMethods()
	l.singles = true
	defer func() { l.singles = false }()
	for _, s := range []State{HotL1, Pool} {
		for _, a := range alignments {
			p := l.place(s, packet, a.offset)
			dst := l.mem.dst[:packet:packet]
			q, err := l.interleave(ms, l.rounds(101), func(m *method) (uint64, int) { return l.single(m, p, dst), 1 })
			if err != nil {
				return err
			}
			l.add("table6", ms, q, packet, a.offset, 0, s, Single)
			for i, m := range ms {
				row := Table6Row{Method: m.name, State: s, Aligned: a.label, P10: q[i].p10, P50: q[i].p50, P90: q[i].p90, PaperLabel: paperLabels[m.name]}
				if c := l.report.cell("table5", m.name, packet, a.offset, 0, HotL1); s == HotL1 && c != nil {
					row.LoopP50 = c.P50
				}
				l.report.Table6 = append(l.report.Table6, row)
			}
		}
	}
	return nil
}

// single times one call, less the timer's own cost. The code is warm, as it would be
// in a stack that copies every packet; the source is where the place puts it.
func (l *lab) single(m *method, p *place, dst []byte) uint64 {
	l.settle(dst)
	m.one(dst, l.mem.src[p.take(1)[0]:][:packet])
	m.one(dst, l.mem.src[p.take(1)[0]:][:packet])
	if m.nt && p.state == HotL1 {
		l.settle(dst)
	}
	cycles.StopDrained()
	src := l.mem.src[p.take(1)[0]:][:packet]
	t := cycles.Start()
	m.one(dst, src)
	d := stop(m.nt) - t
	return d - min(d, l.clock.Overhead)
}

func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }
