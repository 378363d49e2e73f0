#include "textflag.h"

// CPUID would serialise too, but traps in virtual machines; LFENCE does not.

// func Start() uint64
TEXT ·Start(SB), NOSPLIT, $0-8
	LFENCE
	RDTSC
	LFENCE
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+0(FP)
	RET

// func Stop() uint64
TEXT ·Stop(SB), NOSPLIT, $0-8
	RDTSCP
	LFENCE
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+0(FP)
	RET

// func StopDrained() uint64
TEXT ·StopDrained(SB), NOSPLIT, $0-8
	MFENCE
	RDTSCP
	LFENCE
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+0(FP)
	RET

// func chain(n int)
TEXT ·chain(SB), NOSPLIT, $0-8
	MOVQ	n+0(FP), CX
	MOVQ	$3, AX
	SHRQ	$3, CX

turn:
	IMULQ	AX, AX
	IMULQ	AX, AX
	IMULQ	AX, AX
	IMULQ	AX, AX
	IMULQ	AX, AX
	IMULQ	AX, AX
	IMULQ	AX, AX
	IMULQ	AX, AX
	DECQ	CX
	JNZ	turn
	RET

// func flush(p *byte, n uintptr)
TEXT ·flush(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), SI
	MOVQ	n+8(FP), CX
	LEAQ	-1(SI)(CX*1), BX
	ANDQ	$~63, SI

line:
	CLFLUSH	(SI)
	ADDQ	$64, SI
	CMPQ	SI, BX
	JBE	line
	MFENCE
	RET
