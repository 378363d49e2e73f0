package main

import (
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/xdp"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// gvisorXDP is gVisor's AF_XDP endpoint on queue 0 of the stack's NIC, with a program
// that redirects all frames to it. The program goes with the process.
func gvisorXDP() (stack.LinkEndpoint, error) {
	nic, err := net.InterfaceByName(stackNIC)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("AF_XDP socket: %w", err)
	}
	end, err := xdp.New(&xdp.Options{FD: fd, Address: tcpip.LinkAddress(nic.HardwareAddr), InterfaceIndex: nic.Index, Bind: true})
	if err != nil {
		return nil, err
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, err
	}
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("map of AF_XDP sockets: %w", err)
	}
	if err := sockets.Put(uint32(0), uint32(fd)); err != nil {
		return nil, fmt.Errorf("enter the AF_XDP socket: %w", err)
	}
	const pass = 2 // XDP_PASS
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMapPtr(asm.R1, sockets.FD()),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Imm(asm.R3, pass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}})
	if err != nil {
		return nil, fmt.Errorf("XDP program: %w", err)
	}
	attached, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: nic.Index, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, fmt.Errorf("attach the XDP program: %w", err)
	}
	keep = append(keep, sockets, program, attached)
	return end, nil
}

// keep holds what must live as long as the process.
var keep []any
