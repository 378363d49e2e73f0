package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// addressesMax bounds the program, which compares with each address in turn.
const addressesMax = 64

// program is the XDP program of an interface, and the sockets that it redirects to.
type program struct {
	sockets *ebpf.Map // by receive queue
	prog    *ebpf.Program
	link    link.Link
}

// attach loads the program and attaches it: in the driver if that can be, else where the
// kernel has made its own buffers.
func attach(index, queues int, addresses []netip.Addr, pieces bool) (p *program, native bool, err error) {
	p = &program{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	p.sockets, err = ebpf.NewMap(&ebpf.MapSpec{Name: "ustack_queues", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(queues)})
	if err != nil {
		return p, false, fmt.Errorf("make a map of AF_XDP sockets: %w", err)
	}
	spec := &ebpf.ProgramSpec{Name: "ustack", Type: ebpf.XDP, License: "GPL", Instructions: steer(p.sockets.FD(), addresses)}
	if pieces {
		spec.Flags = unix.BPF_F_XDP_HAS_FRAGS
	}
	if p.prog, err = ebpf.NewProgram(spec); err != nil {
		return p, false, fmt.Errorf("load the XDP program: %w", err)
	}
	opts := link.XDPOptions{Program: p.prog, Interface: index, Flags: link.XDPDriverMode}
	p.link, err = link.AttachXDP(opts)
	switch {
	case err == nil:
		return p, true, nil
	case errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST):
		return p, false, fmt.Errorf("another XDP program is attached, 'ip link' tells which: %w", err)
	}
	opts.Flags = link.XDPGenericMode
	var second error
	if p.link, second = link.AttachXDP(opts); second != nil {
		return p, false, fmt.Errorf("attach the XDP program: by the driver: %w; by the kernel: %w", err, second)
	}
	return p, false, nil
}

func (p *program) close() error {
	var errs []error
	if p.link != nil {
		errs = append(errs, p.link.Close())
	}
	return errors.Join(append(errs, p.prog.Close(), p.sockets.Close())...)
}

// Offsets of struct xdp_md (include/uapi/linux/bpf.h).
const (
	mdData    = 0
	mdDataEnd = 4
	mdQueue   = 16
)

// Places of a frame.
const (
	atType     = 12
	atARPMedia = ethernetLen
	atTarget4  = ethernetLen + 24 // of an ARP packet
	lenARP     = ethernetLen + 28
	atDst4     = ethernetLen + 16
	lenIP4     = ethernetLen + 20
	atNext6    = ethernetLen + 6
	atDst6     = ethernetLen + 24
	lenIP6     = ethernetLen + 40
	atTarget6  = lenIP6 + 8 // of a neighbour solicitation
	lenNS      = lenIP6 + 24

	xdpPass = 2

	protoICMP6   = 58
	solicitation = 135
)

// word is four bytes of a packet as the program loads them.
func word(b ...byte) int32 { return int32(binary.NativeEndian.Uint32(b)) }

// short is two bytes of a packet as the program loads them.
func short(b ...byte) int32 { return int32(binary.NativeEndian.Uint16(b)) }

// steer is the program. R6 holds the context, R2 the packet's beginning and R3 its end.
func steer(sockets int, addresses []netip.Addr) asm.Instructions {
	redirect := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R6, mdQueue, asm.Word).WithSymbol("redirect"),
		asm.LoadMapPtr(asm.R1, sockets),
		asm.Mov.Imm(asm.R3, xdpPass), // where no socket is there
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}
	begin := asm.Mov.Reg(asm.R6, asm.R1)
	if len(addresses) == 0 {
		return append(asm.Instructions{begin}, redirect...)
	}
	p := asm.Instructions{
		begin,
		asm.LoadMem(asm.R2, asm.R6, mdData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, mdDataEnd, asm.Word),
	}
	p = append(p, within(ethernetLen)...)
	p = append(p,
		asm.LoadMem(asm.R5, asm.R2, atType, asm.Half),
		asm.JEq.Imm(asm.R5, short(0x08, 0x06), "arp"),
		asm.JEq.Imm(asm.R5, short(0x08, 0x00), "ip4"),
		asm.JNE.Imm(asm.R5, short(0x86, 0xdd), "pass"),
	)
	p = append(p, within(lenIP6)...)
	p = append(p, load6(atDst6)...)
	p = append(p, match6(addresses, "dst")...)
	p = append(p,
		asm.JNE.Imm32(asm.R5, word(0xff, 2, 0, 0), "pass"),
		asm.JNE.Imm32(asm.R7, 0, "pass"),
		asm.JNE.Imm32(asm.R8, word(0, 0, 0, 1), "pass"),
		asm.LoadMem(asm.R5, asm.R2, atNext6, asm.Byte),
		asm.JNE.Imm(asm.R5, protoICMP6, "pass"),
	)
	p = append(p, within(lenNS)...)
	p = append(p,
		asm.LoadMem(asm.R5, asm.R2, lenIP6, asm.Byte),
		asm.JNE.Imm(asm.R5, solicitation, "pass"),
	)
	p = append(p, load6(atTarget6)...)
	p = append(p, match6(addresses, "target")...)
	p = append(p, asm.Ja.Label("pass"))

	p = append(p, asm.Mov.Reg(asm.R4, asm.R2).WithSymbol("arp"))
	p = append(p, within(lenARP)[1:]...)
	p = append(p,
		asm.LoadMem(asm.R5, asm.R2, atARPMedia, asm.Word),
		asm.JNE.Imm32(asm.R5, word(0, 1, 8, 0), "pass"),
		asm.LoadMem(asm.R5, asm.R2, atTarget4, asm.Word),
		asm.Ja.Label("match4"),
		asm.Mov.Reg(asm.R4, asm.R2).WithSymbol("ip4"),
	)
	p = append(p, within(lenIP4)[1:]...)
	p = append(p,
		asm.LoadMem(asm.R5, asm.R2, atDst4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2).WithSymbol("match4"),
	)
	for _, a := range addresses {
		if b := a.As16(); a.Is4() {
			p = append(p, asm.JEq.Imm32(asm.R5, word(b[12:]...), "redirect"))
		}
	}
	p = append(p, asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"), asm.Return())
	return append(p, redirect...)
}

// within lets go of packets of fewer than n bytes.
func within(n int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, n),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
	}
}

// load6 loads an address to R5, R7, R8 and R9.
func load6(at int16) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R5, asm.R2, at, asm.Word),
		asm.LoadMem(asm.R7, asm.R2, at+4, asm.Word),
		asm.LoadMem(asm.R8, asm.R2, at+8, asm.Word),
		asm.LoadMem(asm.R9, asm.R2, at+12, asm.Word),
	}
}

// match6 redirects if the address loaded is one of ours, and else goes on.
func match6(addresses []netip.Addr, name string) (p asm.Instructions) {
	for i, a := range addresses {
		if !a.Is6() {
			continue
		}
		b, next := a.As16(), fmt.Sprintf("%s%d", name, i)
		p = append(p,
			asm.JNE.Imm32(asm.R9, word(b[12:]...), next),
			asm.JNE.Imm32(asm.R8, word(b[8:12]...), next),
			asm.JNE.Imm32(asm.R7, word(b[4:8]...), next),
			asm.JEq.Imm32(asm.R5, word(b[:4]...), "redirect"),
			asm.Mov.Reg(asm.R4, asm.R2).WithSymbol(next),
		)
	}
	return p
}
