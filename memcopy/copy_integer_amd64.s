#include "textflag.h"
#include "small_amd64.h"

// Copies through integer, x87 and half-used vector registers, 64 bytes a turn.

#define PAIR32(off) \
	MOVL	off(SI), AX \
	MOVL	off+4(SI), DX \
	MOVL	AX, off(DI) \
	MOVL	DX, off+4(DI)

// func copyInt32(dst, src *byte, n uintptr)
//
// The 'unrolled integer copy' of Anand & Hartner (2002), appendix 8.1, line by
// line: two 32-bit registers, and a load of each line ahead of its use in place
// of a prefetch instruction.
TEXT ·copyInt32(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $63
	JBE	tail
	PCALIGN	$16

turn:
	MOVL	32(SI), AX
	CMPQ	BX, $67
	JBE	body
	MOVL	64(SI), AX

body:
	PAIR32(0)
	PAIR32(8)
	PAIR32(16)
	PAIR32(24)
	PAIR32(32)
	PAIR32(40)
	PAIR32(48)
	PAIR32(56)
	ADDQ	$-64, BX
	ADDQ	$64, SI
	ADDQ	$64, DI
	CMPQ	BX, $63
	JA	turn

tail:
	MOVQ	BX, CX
	SHRQ	$2, CX
	ANDQ	$3, BX
	REP; MOVSL
	MOVQ	BX, CX
	REP; MOVSB
	RET

// func copyInt64(dst, src *byte, n uintptr)
TEXT ·copyInt64(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	SUBQ	$64, BX
	JB	tail
	PCALIGN	$16

turn:
	MOVQ	(SI), R8
	MOVQ	8(SI), R9
	MOVQ	16(SI), R10
	MOVQ	24(SI), R11
	MOVQ	R8, (DI)
	MOVQ	R9, 8(DI)
	MOVQ	R10, 16(DI)
	MOVQ	R11, 24(DI)
	MOVQ	32(SI), R8
	MOVQ	40(SI), R9
	MOVQ	48(SI), R10
	MOVQ	56(SI), R11
	MOVQ	R8, 32(DI)
	MOVQ	R9, 40(DI)
	MOVQ	R10, 48(DI)
	MOVQ	R11, 56(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JAE	turn

tail:
	ADDQ	$64, BX

words:
	CMPQ	BX, $16
	JB	small
	MOVQ	(SI), R8
	MOVQ	8(SI), R9
	MOVQ	R8, (DI)
	MOVQ	R9, 8(DI)
	ADDQ	$16, SI
	ADDQ	$16, DI
	SUBQ	$16, BX
	JMP	words

small:
	COPY_UNDER_16(done)

done:
	RET

// func copyX87(dst, src *byte, n uintptr)
//
// FILD and FISTP of 64-bit integers: exact for every bit pattern, whatever the
// precision control, because an x87 register holds 64 bits of significand.
// (FLD and FSTP of doubles quieten signalling NaNs.) It needs the empty register
// stack that the ABI promises, and leaves it empty and the control word alone.
TEXT ·copyX87(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	SUBQ	$64, BX
	JB	tail
	PCALIGN	$16

turn:
	FMOVV	0(SI), F0
	FMOVV	8(SI), F0
	FMOVV	16(SI), F0
	FMOVV	24(SI), F0
	FMOVV	32(SI), F0
	FMOVV	40(SI), F0
	FMOVV	48(SI), F0
	FMOVV	56(SI), F0
	FMOVVP	F0, 56(DI)
	FMOVVP	F0, 48(DI)
	FMOVVP	F0, 40(DI)
	FMOVVP	F0, 32(DI)
	FMOVVP	F0, 24(DI)
	FMOVVP	F0, 16(DI)
	FMOVVP	F0, 8(DI)
	FMOVVP	F0, 0(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JAE	turn

tail:
	ADDQ	$64, BX

words:
	CMPQ	BX, $8
	JB	small
	FMOVV	(SI), F0
	FMOVVP	F0, (DI)
	ADDQ	$8, SI
	ADDQ	$8, DI
	SUBQ	$8, BX
	JMP	words

small:
	COPY_UNDER_16(done)

done:
	RET

// func copyX87Double(dst, src *byte, n uintptr)
//
// FLD and FSTP of doubles: a signalling NaN comes out quiet, so this is not a copy.
// It is here to be shown, not used.
TEXT ·copyX87Double(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX

words:
	CMPQ	BX, $16
	JB	word
	FMOVD	0(SI), F0
	FMOVD	8(SI), F0
	FMOVDP	F0, 8(DI)
	FMOVDP	F0, 0(DI)
	ADDQ	$16, SI
	ADDQ	$16, DI
	SUBQ	$16, BX
	JMP	words

word:
	CMPQ	BX, $8
	JB	small
	FMOVD	(SI), F0
	FMOVDP	F0, (DI)
	ADDQ	$8, SI
	ADDQ	$8, DI
	SUBQ	$8, BX

small:
	COPY_UNDER_16(done)

done:
	RET

// func copyXMM8(dst, src *byte, n uintptr)
//
// 8 bytes an xmm register: the width of MMX copies, without MMX's shared state.
TEXT ·copyXMM8(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	SUBQ	$64, BX
	JB	tail
	PCALIGN	$16

turn:
	MOVQ	(SI), X0
	MOVQ	8(SI), X1
	MOVQ	16(SI), X2
	MOVQ	24(SI), X3
	MOVQ	32(SI), X4
	MOVQ	40(SI), X5
	MOVQ	48(SI), X6
	MOVQ	56(SI), X7
	MOVQ	X0, (DI)
	MOVQ	X1, 8(DI)
	MOVQ	X2, 16(DI)
	MOVQ	X3, 24(DI)
	MOVQ	X4, 32(DI)
	MOVQ	X5, 40(DI)
	MOVQ	X6, 48(DI)
	MOVQ	X7, 56(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JAE	turn

tail:
	ADDQ	$64, BX

words:
	CMPQ	BX, $8
	JB	small
	MOVQ	(SI), X0
	MOVQ	X0, (DI)
	ADDQ	$8, SI
	ADDQ	$8, DI
	SUBQ	$8, BX
	JMP	words

small:
	COPY_UNDER_16(done)

done:
	RET
