#include "textflag.h"
#include "small_amd64.h"

// Checksums by add-with-carry. All return the end-around-carry sum of the data as
// little-endian 64-bit words, zero padded: congruent to the Internet sum modulo
// 65535, and zero only if every byte is.

// func sumADC1(src *byte, n uintptr) uint64
TEXT ·sumADC1(SB), NOSPLIT, $0-24
	MOVQ	src+0(FP), SI
	MOVQ	n+8(FP), BX
	XORL	AX, AX
	MOVQ	BX, CX
	ANDQ	$63, BX
	SHRQ	$6, CX
	JZ	tail
	XORL	DX, DX // clears the carry
	PCALIGN	$16

turn:
	ADCQ	(SI), AX
	ADCQ	8(SI), AX
	ADCQ	16(SI), AX
	ADCQ	24(SI), AX
	ADCQ	32(SI), AX
	ADCQ	40(SI), AX
	ADCQ	48(SI), AX
	ADCQ	56(SI), AX
	LEAQ	64(SI), SI
	DECQ	CX
	JNZ	turn
	ADCQ	$0, AX

tail:
	SUM_UNDER_64
	MOVQ	AX, ret+16(FP)
	RET

// func sumADC2(src *byte, n uintptr) uint64
//
// Two sums, each with a short carry chain of its own that the CPU runs beside
// the other's, as in Linux's csum_partial (arch/x86/lib/csum-partial_64.c).
TEXT ·sumADC2(SB), NOSPLIT, $0-24
	MOVQ	src+0(FP), SI
	MOVQ	n+8(FP), BX
	XORL	AX, AX
	XORL	R9, R9
	MOVQ	BX, CX
	ANDQ	$63, BX
	SHRQ	$6, CX
	JZ	tail
	PCALIGN	$16

turn:
	ADDQ	(SI), AX
	ADCQ	8(SI), AX
	ADCQ	16(SI), AX
	ADCQ	24(SI), AX
	ADCQ	$0, AX
	ADDQ	32(SI), R9
	ADCQ	40(SI), R9
	ADCQ	48(SI), R9
	ADCQ	56(SI), R9
	ADCQ	$0, R9
	ADDQ	$64, SI
	DECQ	CX
	JNZ	turn
	ADDQ	R9, AX
	ADCQ	$0, AX

tail:
	SUM_UNDER_64
	MOVQ	AX, ret+16(FP)
	RET

// func copySumADC(dst, src *byte, n uintptr) uint64
//
// One carry chain, 64 bytes a turn, loads and stores through integer registers: the
// loop of Linux's csum_partial_copy_generic (arch/x86/lib/csum-copy_64.S).
TEXT ·copySumADC(SB), NOSPLIT, $0-32
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	XORL	AX, AX
	MOVQ	BX, R13
	ANDQ	$63, BX
	SHRQ	$6, R13
	JZ	tail
	XORL	DX, DX // clears the carry
	PCALIGN	$16

turn:
	MOVQ	(SI), CX
	MOVQ	8(SI), R8
	MOVQ	16(SI), R11
	MOVQ	24(SI), DX
	MOVQ	32(SI), R10
	MOVQ	40(SI), R9
	MOVQ	48(SI), R12
	ADCQ	CX, AX
	MOVQ	CX, (DI)
	MOVQ	56(SI), CX
	ADCQ	R8, AX
	ADCQ	R11, AX
	ADCQ	DX, AX
	ADCQ	R10, AX
	ADCQ	R9, AX
	ADCQ	R12, AX
	ADCQ	CX, AX
	MOVQ	R8, 8(DI)
	MOVQ	R11, 16(DI)
	MOVQ	DX, 24(DI)
	MOVQ	R10, 32(DI)
	MOVQ	R9, 40(DI)
	MOVQ	R12, 48(DI)
	MOVQ	CX, 56(DI)
	LEAQ	64(SI), SI
	LEAQ	64(DI), DI
	DECQ	R13
	JNZ	turn
	ADCQ	$0, AX

tail:
	COPY_SUM_UNDER_64
	MOVQ	AX, ret+24(FP)
	RET
