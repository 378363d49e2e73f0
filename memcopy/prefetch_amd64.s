#include "textflag.h"

// func prefetch(p *byte, n uintptr)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), SI
	MOVQ	n+8(FP), CX
	LEAQ	-1(SI)(CX*1), CX
	ANDQ	$-64, SI

line: // two at a time; one line too many does no harm
	PREFETCHT0	(SI)
	PREFETCHT0	64(SI)
	ADDQ	$128, SI
	CMPQ	SI, CX
	JBE	line
	RET
