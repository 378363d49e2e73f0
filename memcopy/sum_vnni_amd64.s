#include "textflag.h"
#include "dot_amd64.h"

// func sumVNNI(src *byte, n uintptr) uint64
TEXT ·sumVNNI(SB), NOSPLIT, $0-24
	MOVQ	src+0(FP), SI
	MOVQ	n+8(FP), BX
	CMPQ	BX, $64
	JB	small
	CONSTANTS
	VMOVDQU64	-64(SI)(BX*1), Z1
	MOVQ	SI, R11
	NEGQ	R11
	ANDQ	$63, R11 // bytes before the loop
	VMOVDQU64	(SI), Z0
	SUBQ	R11, BX
	ADDQ	R11, SI
	MOVL	BX, R10
	ANDL	$63, R10 // bytes after the loop
	TAIL(128)
	HEAD(even)
	SUBQ	R10, BX // a multiple of 64
	SUBQ	$256, BX
	JB	words
	PCALIGN	$64

turn:
	VPXORQ	(SI), Z14, Z0
	VPXORQ	64(SI), Z14, Z1
	VPXORQ	128(SI), Z14, Z2
	VPXORQ	192(SI), Z14, Z3
	VPDPWSSD	Z15, Z0, Z4
	VPDPWSSD	Z15, Z1, Z5
	VPDPWSSD	Z15, Z2, Z6
	VPDPWSSD	Z15, Z3, Z7
	ADDQ	$256, SI
	SUBQ	$256, BX
	JAE	turn

words:
	ADDQ	$256, BX
	JZ	total

word:
	VPXORQ	(SI), Z14, Z0
	VPDPWSSD	Z15, Z0, Z6
	ADDQ	$64, SI
	SUBQ	$64, BX
	JNZ	word

total:
	TOTAL(inStep)
	MOVQ	AX, ret+16(FP)
	RET

small:
	MOVQ	$-1, R9
	BZHIQ	BX, R9, CX
	KMOVQ	CX, K1
	VMOVDQU8.Z	(SI), K1, Z4
	UNDER64
	MOVQ	AX, ret+16(FP)
	RET
