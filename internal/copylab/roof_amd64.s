#include "textflag.h"

// The roofline: nothing but loads, or nothing but stores, of the widest vectors.
// n is a multiple of 256 and p of 64.

// func readSSE2(p *byte, n uintptr)
TEXT ·readSSE2(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), SI
	MOVQ	n+8(FP), CX
	PCALIGN	$32

turn:
	MOVOA	(SI), X0
	MOVOA	16(SI), X1
	MOVOA	32(SI), X2
	MOVOA	48(SI), X3
	MOVOA	64(SI), X4
	MOVOA	80(SI), X5
	MOVOA	96(SI), X6
	MOVOA	112(SI), X7
	ADDQ	$128, SI
	SUBQ	$128, CX
	JNZ	turn
	RET

// func readAVX2(p *byte, n uintptr)
TEXT ·readAVX2(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), SI
	MOVQ	n+8(FP), CX
	PCALIGN	$32

turn:
	VMOVDQA	(SI), Y0
	VMOVDQA	32(SI), Y1
	VMOVDQA	64(SI), Y2
	VMOVDQA	96(SI), Y3
	VMOVDQA	128(SI), Y4
	VMOVDQA	160(SI), Y5
	VMOVDQA	192(SI), Y6
	VMOVDQA	224(SI), Y7
	ADDQ	$256, SI
	SUBQ	$256, CX
	JNZ	turn
	VZEROUPPER
	RET

// func readAVX512(p *byte, n uintptr)
TEXT ·readAVX512(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), SI
	MOVQ	n+8(FP), CX
	PCALIGN	$32

turn:
	VMOVDQA64	(SI), Z0
	VMOVDQA64	64(SI), Z1
	VMOVDQA64	128(SI), Z2
	VMOVDQA64	192(SI), Z3
	ADDQ	$256, SI
	SUBQ	$256, CX
	JNZ	turn
	VZEROUPPER
	RET

// func writeSSE2(p *byte, n uintptr)
TEXT ·writeSSE2(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), DI
	MOVQ	n+8(FP), CX
	PXOR	X0, X0
	PCALIGN	$32

turn:
	MOVOA	X0, (DI)
	MOVOA	X0, 16(DI)
	MOVOA	X0, 32(DI)
	MOVOA	X0, 48(DI)
	ADDQ	$64, DI
	SUBQ	$64, CX
	JNZ	turn
	RET

// func writeAVX2(p *byte, n uintptr)
TEXT ·writeAVX2(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), DI
	MOVQ	n+8(FP), CX
	VPXOR	Y0, Y0, Y0
	PCALIGN	$32

turn:
	VMOVDQA	Y0, (DI)
	VMOVDQA	Y0, 32(DI)
	VMOVDQA	Y0, 64(DI)
	VMOVDQA	Y0, 96(DI)
	ADDQ	$128, DI
	SUBQ	$128, CX
	JNZ	turn
	VZEROUPPER
	RET

// func writeAVX512(p *byte, n uintptr)
TEXT ·writeAVX512(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), DI
	MOVQ	n+8(FP), CX
	VPXORQ	Z0, Z0, Z0
	PCALIGN	$32

turn:
	VMOVDQA64	Z0, (DI)
	VMOVDQA64	Z0, 64(DI)
	VMOVDQA64	Z0, 128(DI)
	VMOVDQA64	Z0, 192(DI)
	ADDQ	$256, DI
	SUBQ	$256, CX
	JNZ	turn
	VZEROUPPER
	RET
