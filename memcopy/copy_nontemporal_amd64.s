#include "textflag.h"
#include "small_amd64.h"

// Copies whose stores go round the caches. Head and tail are ordinary stores;
// SFENCE before the return orders the weakly ordered stores before whatever the
// caller stores next, so that the copy is an ordinary one to other CPUs.

// func copySSE2NT(dst, src *byte, n uintptr)
TEXT ·copySSE2NT(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $16
	JB	small
	MOVOU	(SI), X0
	MOVOU	-16(SI)(BX*1), X5
	LEAQ	-16(DI)(BX*1), R9
	MOVOU	X0, (DI)
	MOVQ	DI, CX
	ANDQ	$15, CX
	MOVQ	$16, AX
	SUBQ	CX, AX
	ADDQ	AX, SI
	ADDQ	AX, DI
	SUBQ	AX, BX
	SUBQ	$64, BX
	JBE	tail
	PCALIGN	$32

turn:
	PREFETCHNTA	512(SI)
	MOVOU	(SI), X0
	MOVOU	16(SI), X1
	MOVOU	32(SI), X2
	MOVOU	48(SI), X3
	MOVNTO	X0, (DI)
	MOVNTO	X1, 16(DI)
	MOVNTO	X2, 32(DI)
	MOVNTO	X3, 48(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JA	turn

tail:
	ADDQ	$48, BX

words:
	JLE	last
	MOVOU	(SI), X0
	MOVOA	X0, (DI)
	ADDQ	$16, SI
	ADDQ	$16, DI
	SUBQ	$16, BX
	JMP	words

last:
	MOVOU	X5, (R9)
	SFENCE
	RET

small:
	COPY_UNDER_16(done)

done:
	RET

// func copyAVX2NT(dst, src *byte, n uintptr)
TEXT ·copyAVX2NT(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $64
	JB	words8
	VMOVDQU	(SI), Y0
	VMOVDQU	32(SI), Y1
	VMOVDQU	-64(SI)(BX*1), Y5
	VMOVDQU	-32(SI)(BX*1), Y6
	LEAQ	-64(DI)(BX*1), R9
	VMOVDQU	Y0, (DI)
	VMOVDQU	Y1, 32(DI)
	MOVQ	DI, CX
	ANDQ	$63, CX
	MOVQ	$64, AX
	SUBQ	CX, AX
	ADDQ	AX, SI
	ADDQ	AX, DI
	SUBQ	AX, BX
	SUBQ	$64, BX
	JBE	last
	PCALIGN	$32

turn:
	PREFETCHNTA	512(SI)
	VMOVDQU	(SI), Y0
	VMOVDQU	32(SI), Y1
	VMOVNTDQ	Y0, (DI)
	VMOVNTDQ	Y1, 32(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, BX
	JA	turn

last:
	VMOVDQU	Y5, (R9)
	VMOVDQU	Y6, 32(R9)
	VZEROUPPER
	SFENCE
	RET

words8:
	CMPQ	BX, $16
	JB	small
	MOVOU	(SI), X0
	MOVOU	X0, (DI)
	ADDQ	$16, SI
	ADDQ	$16, DI
	SUBQ	$16, BX
	JMP	words8

small:
	COPY_UNDER_16(done)

done:
	RET

// func copyAVX512NT(dst, src *byte, n uintptr)
TEXT ·copyAVX512NT(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $64
	JB	words8
	VMOVDQU64	(SI), Z0
	VMOVDQU64	-64(SI)(BX*1), Z5
	LEAQ	-64(DI)(BX*1), R9
	VMOVDQU64	Z0, (DI)
	MOVQ	DI, CX
	ANDQ	$63, CX
	MOVQ	$64, AX
	SUBQ	CX, AX
	ADDQ	AX, SI
	ADDQ	AX, DI
	SUBQ	AX, BX
	SUBQ	$128, BX
	JBE	tail
	PCALIGN	$32

turn:
	PREFETCHNTA	1024(SI)
	PREFETCHNTA	1088(SI)
	VMOVDQU64	(SI), Z0
	VMOVDQU64	64(SI), Z1
	VMOVNTDQ	Z0, (DI)
	VMOVNTDQ	Z1, 64(DI)
	ADDQ	$128, SI
	ADDQ	$128, DI
	SUBQ	$128, BX
	JA	turn

tail:
	ADDQ	$64, BX
	JLE	last
	VMOVDQU64	(SI), Z0
	VMOVNTDQ	Z0, (DI)

last:
	VMOVDQU64	Z5, (R9)
	VZEROUPPER
	SFENCE
	RET

words8:
	CMPQ	BX, $16
	JB	small
	MOVOU	(SI), X0
	MOVOU	X0, (DI)
	ADDQ	$16, SI
	ADDQ	$16, DI
	SUBQ	$16, BX
	JMP	words8

small:
	COPY_UNDER_16(done)

done:
	RET

// func copyMovdir64B(dst, src *byte, n uintptr)
//
// MOVDIR64B stores 64 bytes from any address to an aligned one as one write.
TEXT ·copyMovdir64B(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), BX
	CMPQ	BX, $128
	JB	words8
	// Head and tail of 64 bytes each as ordinary stores.
	MOVOU	(SI), X0
	MOVOU	16(SI), X1
	MOVOU	32(SI), X2
	MOVOU	48(SI), X3
	MOVOU	X0, (DI)
	MOVOU	X1, 16(DI)
	MOVOU	X2, 32(DI)
	MOVOU	X3, 48(DI)
	MOVOU	-64(SI)(BX*1), X0
	MOVOU	-48(SI)(BX*1), X1
	MOVOU	-32(SI)(BX*1), X2
	MOVOU	-16(SI)(BX*1), X3
	MOVOU	X0, -64(DI)(BX*1)
	MOVOU	X1, -48(DI)(BX*1)
	MOVOU	X2, -32(DI)(BX*1)
	MOVOU	X3, -16(DI)(BX*1)
	MOVQ	DI, CX
	NEGQ	CX
	ANDQ	$63, CX
	ADDQ	CX, SI
	ADDQ	CX, DI
	SUBQ	CX, BX
	SHRQ	$6, BX
	JZ	last
	PCALIGN	$16

turn:
	// MOVDIR64B (SI), DI: 66 0F 38 F8 /r, ModRM 00 111 110.
	BYTE	$0x66; BYTE $0x0f; BYTE $0x38; BYTE $0xf8; BYTE $0x3e
	ADDQ	$64, SI
	ADDQ	$64, DI
	DECQ	BX
	JNZ	turn

last:
	SFENCE
	RET

words8:
	CMPQ	BX, $16
	JB	small
	MOVOU	(SI), X0
	MOVOU	X0, (DI)
	ADDQ	$16, SI
	ADDQ	$16, DI
	SUBQ	$16, BX
	JMP	words8

small:
	COPY_UNDER_16(done)

done:
	RET
