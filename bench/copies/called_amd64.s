#include "textflag.h"

// func called(f uintptr, dst, src *byte, n uintptr)
//
// The C library's memcpy is a leaf that needs no stack but its return address, so it
// can run on a goroutine's.
TEXT ·called(SB), NOSPLIT, $0-32
	MOVQ	f+0(FP), AX
	MOVQ	dst+8(FP), DI
	MOVQ	src+16(FP), SI
	MOVQ	n+24(FP), DX
	CALL	AX
	RET

// func nothing(dst, src *byte, n uintptr)
TEXT ·nothing(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	RET
