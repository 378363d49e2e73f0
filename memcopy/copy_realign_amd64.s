#include "textflag.h"

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

// func copyRealign(dst, src *byte, n uintptr)
//
// Loads and stores are both aligned: each vector stored is put together from two
// neighbouring lines of the source by VPERMT2B. A load that crosses a line costs
// two accesses, a permutation one operation; on CPUs where that is one cycle the
// copy runs at the speed of its stores whatever the source's offset.
//
// Up to 512 bytes go through registers at once. From 4 KiB on the source is asked for
// 1 KiB before its turn, never beyond its end: the core's window holds about a packet,
// so that a longer copy from memory would wait for its lines in batches. From memory
// that gains 8 to 20 %, hot it costs 2 to 8 % (Zen 5).
//
// The first and last line loaded may hold bytes outside the source; they are in a
// line with bytes of it, so that the load cannot fault, and are not used.
TEXT ·copyRealign(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $512
	JA	long
	CMPQ	BX, $128
	JBE	plain
	VMOVDQU64	(SI), Z0 // without a loop
	VMOVDQU64	64(SI), Z1
	VMOVDQU64	-128(SI)(BX*1), Z2
	VMOVDQU64	-64(SI)(BX*1), Z3
	CMPQ	BX, $256
	JBE	four
	VMOVDQU64	128(SI), Z4
	VMOVDQU64	192(SI), Z5
	VMOVDQU64	-256(SI)(BX*1), Z6
	VMOVDQU64	-192(SI)(BX*1), Z7
	VMOVDQU64	Z4, 128(DI)
	VMOVDQU64	Z5, 192(DI)
	VMOVDQU64	Z6, -256(DI)(BX*1)
	VMOVDQU64	Z7, -192(DI)(BX*1)

four:
	VMOVDQU64	Z0, (DI)
	VMOVDQU64	Z1, 64(DI)
	VMOVDQU64	Z2, -128(DI)(BX*1)
	VMOVDQU64	Z3, -64(DI)(BX*1)
	VZEROUPPER
	RET

long:
	MOVQ	SI, CX
	SUBQ	DI, CX
	ANDQ	$63, CX // how far the source is from being aligned with the destination
	VMOVDQU64	(SI), Z0
	VMOVDQU64	-64(SI)(BX*1), Z1
	VMOVDQU64	Z0, (DI)
	VMOVDQU64	Z1, -64(DI)(BX*1)
	MOVQ	DI, AX
	NEGQ	AX
	ANDQ	$63, AX
	ADDQ	AX, SI
	ADDQ	AX, DI
	SUBQ	AX, BX
	ANDQ	$-64, BX // the last, partial vector is stored
	TESTQ	CX, CX
	JZ	aligned
	ANDQ	$-64, SI
	VPBROADCASTB	CX, Z12
	VPADDB	iota64<>(SB), Z12, Z12
	VMOVDQA64	(SI), Z0
	SUBQ	$256, BX
	JB	words
	CMPQ	BX, $(4096-256-64) // what is left of 4 KiB after head and tail
	JB	turn
	SUBQ	$1024, BX
	PCALIGN	$64

farTurn:
	PREFETCHT0	1024(SI)
	PREFETCHT0	1088(SI)
	PREFETCHT0	1152(SI)
	PREFETCHT0	1216(SI)
	VMOVDQA64	64(SI), Z1
	VMOVDQA64	128(SI), Z2
	VMOVDQA64	192(SI), Z3
	VMOVDQA64	256(SI), Z4
	VPERMT2B	Z1, Z12, Z0
	VPERMT2B	Z2, Z12, Z1
	VPERMT2B	Z3, Z12, Z2
	VPERMT2B	Z4, Z12, Z3
	VMOVDQA64	Z0, (DI)
	VMOVDQA64	Z1, 64(DI)
	VMOVDQA64	Z2, 128(DI)
	VMOVDQA64	Z3, 192(DI)
	VMOVDQA64	Z4, Z0
	ADDQ	$256, SI
	ADDQ	$256, DI
	SUBQ	$256, BX
	JAE	farTurn
	ADDQ	$1024, BX
	PCALIGN	$64

turn:
	VMOVDQA64	64(SI), Z1
	VMOVDQA64	128(SI), Z2
	VMOVDQA64	192(SI), Z3
	VMOVDQA64	256(SI), Z4
	VPERMT2B	Z1, Z12, Z0
	VPERMT2B	Z2, Z12, Z1
	VPERMT2B	Z3, Z12, Z2
	VPERMT2B	Z4, Z12, Z3
	VMOVDQA64	Z0, (DI)
	VMOVDQA64	Z1, 64(DI)
	VMOVDQA64	Z2, 128(DI)
	VMOVDQA64	Z3, 192(DI)
	VMOVDQA64	Z4, Z0
	ADDQ	$256, SI
	ADDQ	$256, DI
	SUBQ	$256, BX
	JAE	turn

words:
	ADDQ	$256, BX
	JZ	done

word:
	VMOVDQA64	64(SI), Z1
	VPERMT2B	Z1, Z12, Z0
	VMOVDQA64	Z0, (DI)
	VMOVDQA64	Z1, Z0
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JNZ	word

done:
	VZEROUPPER
	RET

aligned:
	SUBQ	$256, BX
	JB	alignedWords
	CMPQ	BX, $(4096-256-64) // what is left of 4 KiB after head and tail
	JB	alignedTurn
	SUBQ	$1024, BX
	PCALIGN	$64

farAlignedTurn:
	PREFETCHT0	1024(SI)
	PREFETCHT0	1088(SI)
	PREFETCHT0	1152(SI)
	PREFETCHT0	1216(SI)
	VMOVDQA64	(SI), Z0
	VMOVDQA64	64(SI), Z1
	VMOVDQA64	128(SI), Z2
	VMOVDQA64	192(SI), Z3
	VMOVDQA64	Z0, (DI)
	VMOVDQA64	Z1, 64(DI)
	VMOVDQA64	Z2, 128(DI)
	VMOVDQA64	Z3, 192(DI)
	ADDQ	$256, SI
	ADDQ	$256, DI
	SUBQ	$256, BX
	JAE	farAlignedTurn
	ADDQ	$1024, BX
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
	ADDQ	$256, SI
	ADDQ	$256, DI
	SUBQ	$256, BX
	JAE	alignedTurn

alignedWords:
	ADDQ	$256, BX
	JZ	done

alignedWord:
	VMOVDQA64	(SI), Z0
	VMOVDQA64	Z0, (DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JNZ	alignedWord
	VZEROUPPER
	RET

plain:
	JMP	·copyAVX512(SB)
