#include "textflag.h"

// Checksums by AVX-512: the two sums and the aligned loop of the AVX2 routines,
// with mask registers for head and tail.

#define ADD2(v, t, A, B) \
	VPSRLQ	$32, v, t \
	VPADDQ	v, A, A \
	VPADDQ	t, B, B

// EDGES sets K1 to the first R11 bytes of a vector and K2 to the last R10, and Z8
// and Z9 to the turns (in bits) that bring those bytes into step with the loop.
#define EDGES \
	MOVQ	$-1, R9 \
	BZHIQ	R11, R9, CX \
	KMOVQ	CX, K1 \
	MOVL	$64, DX \
	SUBQ	R10, DX \
	BZHIQ	DX, R9, DX \
	NOTQ	DX \
	KMOVQ	DX, K2 \
	MOVQ	R11, CX \
	ANDL	$1, CX \
	SHLL	$3, CX \
	MOVQ	R10, DX \
	ANDL	$1, DX \
	SHLL	$3, DX \
	VPBROADCASTQ	CX, Z8 \
	VPBROADCASTQ	DX, Z9

// TOTAL adds Z4 (A) and Z6 (B) across into AX.
#define TOTAL \
	VPSLLQ	$32, Z6, Z8 \
	VPSUBQ	Z8, Z4, Z4 \
	VPADDQ	Z6, Z4, Z4 \
	VEXTRACTI64X4	$1, Z4, Y5 \
	VPADDQ	Y5, Y4, Y4 \
	VEXTRACTI128	$1, Y4, X5 \
	VPADDQ	X5, X4, X4 \
	VPUNPCKHQDQ	X4, X4, X5 \
	VPADDQ	X5, X4, X4 \
	VMOVQ	X4, AX \
	VZEROUPPER

// func sumAVX512(src *byte, n uintptr) uint64
TEXT ·sumAVX512(SB), NOSPLIT, $0-24
	MOVQ	src+0(FP), SI
	MOVQ	n+8(FP), BX
	CMPQ	BX, $64
	JB	small
	MOVQ	SI, R11
	NEGQ	R11
	ANDQ	$63, R11 // bytes before the loop
	MOVQ	BX, R10
	SUBQ	R11, R10
	ANDQ	$63, R10 // bytes after the loop
	EDGES
	VMOVDQU8.Z	(SI), K1, Z4
	VMOVDQU8.Z	-64(SI)(BX*1), K2, Z5
	VPROLVQ	Z8, Z4, Z4
	VPROLVQ	Z9, Z5, Z5
	VPSRLQ	$32, Z4, Z6
	VPSRLQ	$32, Z5, Z7
	ADDQ	R11, SI
	SUBQ	R11, BX
	SUBQ	R10, BX // a multiple of 64
	SUBQ	$256, BX
	JB	words
	PCALIGN	$32

turn:
	VMOVDQA64	(SI), Z0
	VMOVDQA64	64(SI), Z1
	VMOVDQA64	128(SI), Z2
	VMOVDQA64	192(SI), Z3
	ADD2(Z0, Z8, Z4, Z6)
	ADD2(Z1, Z9, Z5, Z7)
	ADD2(Z2, Z10, Z4, Z6)
	ADD2(Z3, Z11, Z5, Z7)
	ADDQ	$256, SI
	SUBQ	$256, BX
	JAE	turn

words:
	ADDQ	$256, BX
	JZ	total

word:
	VMOVDQA64	(SI), Z0
	ADD2(Z0, Z8, Z4, Z6)
	ADDQ	$64, SI
	SUBQ	$64, BX
	JNZ	word

total:
	VPADDQ	Z5, Z4, Z4
	VPADDQ	Z7, Z6, Z6
	TOTAL
	MOVQ	R11, CX
	ANDL	$1, CX
	SHLL	$3, CX
	ROLQ	CX, AX
	MOVQ	AX, ret+16(FP)
	RET

small:
	MOVQ	$-1, R9
	BZHIQ	BX, R9, CX
	KMOVQ	CX, K1
	VMOVDQU8.Z	(SI), K1, Z4
	VPSRLQ	$32, Z4, Z6
	TOTAL
	MOVQ	AX, ret+16(FP)
	RET

// func copySumAVX512(dst, src *byte, n uintptr) uint64
TEXT ·copySumAVX512(SB), NOSPLIT, $0-32
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $64
	JB	small
	MOVQ	DI, R11
	NEGQ	R11
	ANDQ	$63, R11 // bytes before the loop
	MOVQ	BX, R10
	SUBQ	R11, R10
	ANDQ	$63, R10 // bytes after the loop
	EDGES
	VMOVDQU64	(SI), Z0
	VMOVDQU64	-64(SI)(BX*1), Z1
	VMOVDQU64	Z0, (DI)
	VMOVDQU64	Z1, -64(DI)(BX*1)
	VMOVDQU8.Z	Z0, K1, Z4
	VMOVDQU8.Z	Z1, K2, Z5
	VPROLVQ	Z8, Z4, Z4
	VPROLVQ	Z9, Z5, Z5
	VPSRLQ	$32, Z4, Z6
	VPSRLQ	$32, Z5, Z7
	ADDQ	R11, SI
	ADDQ	R11, DI
	SUBQ	R11, BX
	SUBQ	R10, BX // a multiple of 64
	SUBQ	$256, BX
	JB	words
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
	ADD2(Z0, Z8, Z4, Z6)
	ADD2(Z1, Z9, Z5, Z7)
	ADD2(Z2, Z10, Z4, Z6)
	ADD2(Z3, Z11, Z5, Z7)
	ADDQ	$256, SI
	ADDQ	$256, DI
	SUBQ	$256, BX
	JAE	turn

words:
	ADDQ	$256, BX
	JZ	total

word:
	VMOVDQU64	(SI), Z0
	VMOVDQA64	Z0, (DI)
	ADD2(Z0, Z8, Z4, Z6)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JNZ	word

total:
	VPADDQ	Z5, Z4, Z4
	VPADDQ	Z7, Z6, Z6
	TOTAL
	MOVQ	R11, CX
	ANDL	$1, CX
	SHLL	$3, CX
	ROLQ	CX, AX
	MOVQ	AX, ret+24(FP)
	RET

small:
	MOVQ	$-1, R9
	BZHIQ	BX, R9, CX
	KMOVQ	CX, K1
	VMOVDQU8.Z	(SI), K1, Z4
	VMOVDQU8	Z4, K1, (DI)
	VPSRLQ	$32, Z4, Z6
	TOTAL
	MOVQ	AX, ret+24(FP)
	RET
