#include "textflag.h"
#include "small_amd64.h"

// Vector copies: one unaligned move over the head, then a loop in which the
// destination is aligned, then moves that end exactly at the last byte and may
// overlap what was stored before. Source and destination do not overlap.

// func copySSE2(dst, src *byte, n uintptr)
TEXT ·copySSE2(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $16
	JB	small
	MOVOU	(SI), X0
	MOVOU	-16(SI)(BX*1), X5
	LEAQ	-16(DI)(BX*1), R9
	MOVOU	X0, (DI)
	MOVQ	DI, CX
	ANDQ	$15, CX
	MOVQ	$16, AX
	SUBQ	CX, AX
	ADDQ	AX, SI
	ADDQ	AX, DI
	SUBQ	AX, BX
	SUBQ	$64, BX
	JBE	tail
	PCALIGN	$32

turn:
	MOVOU	(SI), X0
	MOVOU	16(SI), X1
	MOVOU	32(SI), X2
	MOVOU	48(SI), X3
	MOVOA	X0, (DI)
	MOVOA	X1, 16(DI)
	MOVOA	X2, 32(DI)
	MOVOA	X3, 48(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JA	turn

tail:
	ADDQ	$48, BX // length - 16, may be negative

words:
	JLE	last
	MOVOU	(SI), X0
	MOVOA	X0, (DI)
	ADDQ	$16, SI
	ADDQ	$16, DI
	SUBQ	$16, BX
	JMP	words

last:
	MOVOU	X5, (R9)
	RET

small:
	COPY_UNDER_16(done)

done:
	RET

// func copyAVX2(dst, src *byte, n uintptr)
TEXT ·copyAVX2(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $32
	JB	under32
	VMOVDQU	(SI), Y0
	VMOVDQU	-32(SI)(BX*1), Y5
	LEAQ	-32(DI)(BX*1), R9
	VMOVDQU	Y0, (DI)
	MOVQ	DI, CX
	ANDQ	$31, CX
	MOVQ	$32, AX
	SUBQ	CX, AX
	ADDQ	AX, SI
	ADDQ	AX, DI
	SUBQ	AX, BX
	SUBQ	$128, BX
	JBE	tail
	PCALIGN	$32

turn:
	VMOVDQU	(SI), Y0
	VMOVDQU	32(SI), Y1
	VMOVDQU	64(SI), Y2
	VMOVDQU	96(SI), Y3
	VMOVDQA	Y0, (DI)
	VMOVDQA	Y1, 32(DI)
	VMOVDQA	Y2, 64(DI)
	VMOVDQA	Y3, 96(DI)
	ADDQ	$128, SI
	ADDQ	$128, DI
	SUBQ	$128, BX
	JA	turn

tail:
	ADDQ	$96, BX // length - 32, may be negative

words:
	JLE	last
	VMOVDQU	(SI), Y0
	VMOVDQA	Y0, (DI)
	ADDQ	$32, SI
	ADDQ	$32, DI
	SUBQ	$32, BX
	JMP	words

last:
	VMOVDQU	Y5, (R9)
	VZEROUPPER
	RET

under32:
	CMPQ	BX, $16
	JB	small
	MOVOU	(SI), X0
	MOVOU	-16(SI)(BX*1), X1
	MOVOU	X0, (DI)
	MOVOU	X1, -16(DI)(BX*1)
	RET

small:
	COPY_UNDER_16(done)

done:
	RET

// func copyAVX512(dst, src *byte, n uintptr)
TEXT ·copyAVX512(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $64
	JB	under64
	CMPQ	BX, $256
	JBE	upTo256
	VMOVDQU64	(SI), Z0
	VMOVDQU64	-64(SI)(BX*1), Z5
	LEAQ	-64(DI)(BX*1), R9
	VMOVDQU64	Z0, (DI)
	MOVQ	DI, CX
	ANDQ	$63, CX
	MOVQ	$64, AX
	SUBQ	CX, AX
	ADDQ	AX, SI
	ADDQ	AX, DI
	SUBQ	AX, BX
	SUBQ	$256, BX
	JBE	tail
	PCALIGN	$32

turn:
	VMOVDQU64	(SI), Z0
	VMOVDQU64	64(SI), Z1
	VMOVDQU64	128(SI), Z2
	VMOVDQU64	192(SI), Z3
	VMOVDQA64	Z0, (DI)
	VMOVDQA64	Z1, 64(DI)
	VMOVDQA64	Z2, 128(DI)
	VMOVDQA64	Z3, 192(DI)
	ADDQ	$256, SI
	ADDQ	$256, DI
	SUBQ	$256, BX
	JA	turn

tail:
	ADDQ	$192, BX // length - 64, may be negative
	JLE	last
	VMOVDQU64	(SI), Z0
	VMOVDQA64	Z0, (DI)
	CMPQ	BX, $64
	JLE	last
	VMOVDQU64	64(SI), Z0
	VMOVDQA64	Z0, 64(DI)
	CMPQ	BX, $128
	JLE	last
	VMOVDQU64	128(SI), Z0
	VMOVDQA64	Z0, 128(DI)

last:
	VMOVDQU64	Z5, (R9)
	VZEROUPPER
	RET

upTo256: // without a loop
	VMOVDQU64	(SI), Z0
	VMOVDQU64	-64(SI)(BX*1), Z5
	CMPQ	BX, $128
	JBE	two
	VMOVDQU64	64(SI), Z1
	VMOVDQU64	-128(SI)(BX*1), Z4
	VMOVDQU64	Z1, 64(DI)
	VMOVDQU64	Z4, -128(DI)(BX*1)

two:
	VMOVDQU64	Z0, (DI)
	VMOVDQU64	Z5, -64(DI)(BX*1)
	VZEROUPPER
	RET

under64:
	CMPQ	BX, $32
	JB	under32
	VMOVDQU	(SI), Y0
	VMOVDQU	-32(SI)(BX*1), Y1
	VMOVDQU	Y0, (DI)
	VMOVDQU	Y1, -32(DI)(BX*1)
	VZEROUPPER
	RET

under32:
	CMPQ	BX, $16
	JB	small
	MOVOU	(SI), X0
	MOVOU	-16(SI)(BX*1), X1
	MOVOU	X0, (DI)
	MOVOU	X1, -16(DI)(BX*1)
	RET

small:
	COPY_UNDER_16(done)

done:
	RET
