#include "textflag.h"
#include "dot_amd64.h"

// The bytes 0..63: the index of a permutation that changes nothing.
DATA iota64<>+0(SB)/8, $0x0706050403020100
DATA iota64<>+8(SB)/8, $0x0f0e0d0c0b0a0908
DATA iota64<>+16(SB)/8, $0x1716151413121110
DATA iota64<>+24(SB)/8, $0x1f1e1d1c1b1a1918
DATA iota64<>+32(SB)/8, $0x2726252423222120
DATA iota64<>+40(SB)/8, $0x2f2e2d2c2b2a2928
DATA iota64<>+48(SB)/8, $0x3736353433323130
DATA iota64<>+56(SB)/8, $0x3f3e3d3c3b3a3938
GLOBL iota64<>(SB), RODATA|NOPTR, $64

// func copySumRealign(dst, src *byte, n uintptr) uint64
//
// Copies as copyRealign, with aligned loads and stores and a permutation between
// them, and sums the vectors on their way as sumVNNI.
TEXT ·copySumRealign(SB), NOSPLIT, $0-32
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $64
	JB	small
	CONSTANTS
	VMOVDQU64	-64(SI)(BX*1), Z1
	VMOVDQU64	Z1, -64(DI)(BX*1)
	MOVQ	DI, R11
	NEGQ	R11
	ANDQ	$63, R11 // bytes before the loop
	JNZ	head
	MOVL	BX, R10
	ANDL	$63, R10 // bytes after the loop
	TAIL(64)

body:
	SUBQ	R10, BX // a multiple of 64
	JZ	total
	MOVQ	SI, CX
	ANDQ	$63, CX
	JZ	aligned
	ANDQ	$-64, SI
	VPBROADCASTB	CX, Z12
	VPADDB	iota64<>(SB), Z12, Z12
	VMOVDQA64	(SI), Z0
	SUBQ	$256, BX
	JB	words
	PCALIGN	$64

turn:
	VMOVDQA64	64(SI), Z1
	VMOVDQA64	128(SI), Z2
	VMOVDQA64	192(SI), Z3
	VMOVDQA64	256(SI), Z8
	VPERMT2B	Z1, Z12, Z0
	VPERMT2B	Z2, Z12, Z1
	VPERMT2B	Z3, Z12, Z2
	VPERMT2B	Z8, Z12, Z3
	VMOVDQA64	Z0, (DI)
	VMOVDQA64	Z1, 64(DI)
	VMOVDQA64	Z2, 128(DI)
	VMOVDQA64	Z3, 192(DI)
	ADDWORDS(Z0, Z4)
	ADDWORDS(Z1, Z5)
	ADDWORDS(Z2, Z6)
	ADDWORDS(Z3, Z7)
	VMOVDQA64	Z8, Z0
	ADDQ	$256, SI
	ADDQ	$256, DI
	SUBQ	$256, BX
	JAE	turn

words:
	ADDQ	$256, BX
	JZ	total

word:
	VMOVDQA64	64(SI), Z1
	VPERMT2B	Z1, Z12, Z0
	VMOVDQA64	Z0, (DI)
	ADDWORDS(Z0, Z6)
	VMOVDQA64	Z1, Z0
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JNZ	word

total:
	TOTAL(inStep)
	MOVQ	AX, ret+24(FP)
	RET

aligned:
	SUBQ	$256, BX
	JB	alignedWords
	PCALIGN	$64

alignedTurn:
	VMOVDQA64	(SI), Z0
	VMOVDQA64	64(SI), Z1
	VMOVDQA64	128(SI), Z2
	VMOVDQA64	192(SI), Z3
	VMOVDQA64	Z0, (DI)
	VMOVDQA64	Z1, 64(DI)
	VMOVDQA64	Z2, 128(DI)
	VMOVDQA64	Z3, 192(DI)
	ADDWORDS(Z0, Z4)
	ADDWORDS(Z1, Z5)
	ADDWORDS(Z2, Z6)
	ADDWORDS(Z3, Z7)
	ADDQ	$256, SI
	ADDQ	$256, DI
	SUBQ	$256, BX
	JAE	alignedTurn

alignedWords:
	ADDQ	$256, BX
	JZ	total

alignedWord:
	VMOVDQA64	(SI), Z0
	VMOVDQA64	Z0, (DI)
	ADDWORDS(Z0, Z6)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JNZ	alignedWord
	JMP	total

head:
	VMOVDQU64	(SI), Z0
	VMOVDQU64	Z0, (DI)
	SUBQ	R11, BX
	ADDQ	R11, SI
	ADDQ	R11, DI
	MOVL	BX, R10
	ANDL	$63, R10
	TAIL(128)
	HEAD(even)
	JMP	body

small:
	MOVQ	$-1, R9
	BZHIQ	BX, R9, CX
	KMOVQ	CX, K1
	VMOVDQU8.Z	(SI), K1, Z4
	VMOVDQU8	Z4, K1, (DI)
	UNDER64
	MOVQ	AX, ret+24(FP)
	RET
