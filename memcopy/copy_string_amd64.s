#include "textflag.h"

// String copies. The direction flag is clear by the ABI.

// func copyRepMovsB(dst, src *byte, n uintptr)
TEXT ·copyRepMovsB(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), CX
	REP; MOVSB
	RET

// func copyRepMovsL(dst, src *byte, n uintptr)
//
// Linux 2.4's __copy_user: rep movsl, then the last 0..3 bytes by rep movsb.
TEXT ·copyRepMovsL(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), CX
	MOVQ	CX, BX
	SHRQ	$2, CX
	ANDQ	$3, BX
	REP; MOVSL
	MOVQ	BX, CX
	REP; MOVSB
	RET

// func copyRepMovsQ(dst, src *byte, n uintptr)
TEXT ·copyRepMovsQ(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $8
	JB	bytes
	// The last quadword overlaps, as in the runtime's memmove.
	MOVQ	-8(SI)(BX*1), AX
	LEAQ	-8(DI)(BX*1), DX
	LEAQ	-1(BX), CX
	SHRQ	$3, CX
	REP; MOVSQ
	MOVQ	AX, (DX)
	RET

bytes:
	MOVQ	BX, CX
	REP; MOVSB
	RET
