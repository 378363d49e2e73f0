#include "textflag.h"
#include "small_amd64.h"

// Checksums by AVX2, by two sums: A of the 64-bit words modulo 2^64 and B of their
// upper halves. A - (B<<32) is then the sum of the lower halves, exactly, so that
// no carry is looked at in the loop: three operations a vector.
//
// The loop is aligned (to the source here, to the destination when copying).
// Head and tail bytes are masked out of unaligned vectors and, where they begin
// at an odd distance from the loop, turned by one byte, which multiplies a 64-bit
// word by 256 modulo 2^64-1 and so modulo 65535.

// 32 bytes of ones, of zeros, of ones: a mask of the first h bytes begins at
// 32-h, of the last t bytes at 32+t.
DATA edge32<>+0(SB)/8, $-1
DATA edge32<>+8(SB)/8, $-1
DATA edge32<>+16(SB)/8, $-1
DATA edge32<>+24(SB)/8, $-1
DATA edge32<>+32(SB)/8, $0
DATA edge32<>+40(SB)/8, $0
DATA edge32<>+48(SB)/8, $0
DATA edge32<>+56(SB)/8, $0
DATA edge32<>+64(SB)/8, $-1
DATA edge32<>+72(SB)/8, $-1
DATA edge32<>+80(SB)/8, $-1
DATA edge32<>+88(SB)/8, $-1
GLOBL edge32<>(SB), RODATA|NOPTR, $96

// TURN rotates the four words of v left by the odd bit of CX times 8 bits. It
// uses CX, DX, X8, X9, Y10.
#define TURN(v) \
	ANDL	$1, CX \
	SHLL	$3, CX \
	MOVL	$64, DX \
	SUBL	CX, DX \
	VMOVD	CX, X8 \
	VMOVD	DX, X9 \
	VPSRLQ	X9, v, Y10 \
	VPSLLQ	X8, v, v \
	VPOR	Y10, v, v

#define ADD2(v, t, A, B) \
	VPSRLQ	$32, v, t \
	VPADDQ	v, A, A \
	VPADDQ	t, B, B

// TOTAL leaves the sum of both halves of all words, Y4+Y5 in A and Y6+Y7 in B, in
// AX, and turns it by the odd bit of R11.
#define TOTAL \
	VPADDQ	Y5, Y4, Y4 \
	VPADDQ	Y7, Y6, Y6 \
	VPSLLQ	$32, Y6, Y8 \
	VPSUBQ	Y8, Y4, Y4 \
	VPADDQ	Y6, Y4, Y4 \
	VEXTRACTI128	$1, Y4, X5 \
	VPADDQ	X5, X4, X4 \
	VPUNPCKHQDQ	X4, X4, X5 \
	VPADDQ	X5, X4, X4 \
	VMOVQ	X4, AX \
	VZEROUPPER \
	MOVQ	R11, CX \
	ANDL	$1, CX \
	SHLL	$3, CX \
	ROLQ	CX, AX

// func sumAVX2(src *byte, n uintptr) uint64
TEXT ·sumAVX2(SB), NOSPLIT, $0-24
	MOVQ	src+0(FP), SI
	MOVQ	n+8(FP), BX
	XORL	AX, AX
	CMPQ	BX, $64
	JB	small
	LEAQ	edge32<>(SB), R8
	MOVQ	SI, R11
	NEGQ	R11
	ANDQ	$31, R11 // bytes before the loop
	// Head, into A.
	MOVQ	R8, R9
	SUBQ	R11, R9
	VMOVDQU	32(R9), Y4
	VPAND	(SI), Y4, Y4
	MOVQ	R11, CX
	TURN(Y4)
	// Tail, into the other A.
	MOVQ	BX, R10
	SUBQ	R11, R10
	ANDQ	$31, R10 // bytes after the loop
	VMOVDQU	32(R8)(R10*1), Y5
	VPAND	-32(SI)(BX*1), Y5, Y5
	MOVQ	R10, CX
	TURN(Y5)
	VPSRLQ	$32, Y4, Y6
	VPSRLQ	$32, Y5, Y7
	ADDQ	R11, SI
	SUBQ	R11, BX
	SUBQ	R10, BX // a multiple of 32
	SUBQ	$128, BX
	JB	words
	PCALIGN	$32

turn:
	VMOVDQA	(SI), Y0
	VMOVDQA	32(SI), Y1
	VMOVDQA	64(SI), Y2
	VMOVDQA	96(SI), Y3
	ADD2(Y0, Y8, Y4, Y6)
	ADD2(Y1, Y9, Y5, Y7)
	ADD2(Y2, Y10, Y4, Y6)
	ADD2(Y3, Y11, Y5, Y7)
	ADDQ	$128, SI
	SUBQ	$128, BX
	JAE	turn

words:
	ADDQ	$128, BX
	JZ	total

word:
	VMOVDQA	(SI), Y0
	ADD2(Y0, Y8, Y4, Y6)
	ADDQ	$32, SI
	SUBQ	$32, BX
	JNZ	word

total:
	TOTAL
	MOVQ	AX, ret+16(FP)
	RET

small:
	SUM_UNDER_64
	MOVQ	AX, ret+16(FP)
	RET

// func copySumAVX2(dst, src *byte, n uintptr) uint64
TEXT ·copySumAVX2(SB), NOSPLIT, $0-32
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	XORL	AX, AX
	CMPQ	BX, $64
	JB	small
	LEAQ	edge32<>(SB), R8
	MOVQ	DI, R11
	NEGQ	R11
	ANDQ	$31, R11 // bytes before the loop
	VMOVDQU	(SI), Y0
	VMOVDQU	-32(SI)(BX*1), Y1
	VMOVDQU	Y0, (DI)
	VMOVDQU	Y1, -32(DI)(BX*1)
	// Head, into A.
	MOVQ	R8, R9
	SUBQ	R11, R9
	VPAND	32(R9), Y0, Y4
	MOVQ	R11, CX
	TURN(Y4)
	// Tail, into the other A.
	MOVQ	BX, R10
	SUBQ	R11, R10
	ANDQ	$31, R10 // bytes after the loop
	VPAND	32(R8)(R10*1), Y1, Y5
	MOVQ	R10, CX
	TURN(Y5)
	VPSRLQ	$32, Y4, Y6
	VPSRLQ	$32, Y5, Y7
	ADDQ	R11, SI
	ADDQ	R11, DI
	SUBQ	R11, BX
	SUBQ	R10, BX // a multiple of 32
	SUBQ	$128, BX
	JB	words
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
	ADD2(Y0, Y8, Y4, Y6)
	ADD2(Y1, Y9, Y5, Y7)
	ADD2(Y2, Y10, Y4, Y6)
	ADD2(Y3, Y11, Y5, Y7)
	ADDQ	$128, SI
	ADDQ	$128, DI
	SUBQ	$128, BX
	JAE	turn

words:
	ADDQ	$128, BX
	JZ	total

word:
	VMOVDQU	(SI), Y0
	VMOVDQA	Y0, (DI)
	ADD2(Y0, Y8, Y4, Y6)
	ADDQ	$32, SI
	ADDQ	$32, DI
	SUBQ	$32, BX
	JNZ	word

total:
	TOTAL
	MOVQ	AX, ret+24(FP)
	RET

small:
	COPY_SUM_UNDER_64
	MOVQ	AX, ret+24(FP)
	RET
