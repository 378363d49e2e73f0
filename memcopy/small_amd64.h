// Pieces shared by the routines of this package. DI is the destination, SI the
// source, BX the length, all in bytes; labels are local to the TEXT that uses
// the piece, so each can be used once in a routine.

// COPY_UNDER_16 copies BX < 16 bytes with overlapping moves and goes to done.
#define COPY_UNDER_16(done) \
	CMPQ	BX, $8 \
	JAE	small8 \
	CMPQ	BX, $4 \
	JAE	small4 \
	TESTQ	BX, BX \
	JZ	done \
	MOVBLZX	(SI), AX \
	MOVBLZX	-1(SI)(BX*1), CX \
	CMPQ	BX, $3 \
	JB	small2 \
	MOVBLZX	1(SI), DX \
	MOVB	DX, 1(DI) \
small2: \
	MOVB	AX, (DI) \
	MOVB	CX, -1(DI)(BX*1) \
	JMP	done \
small4: \
	MOVL	(SI), AX \
	MOVL	-4(SI)(BX*1), CX \
	MOVL	AX, (DI) \
	MOVL	CX, -4(DI)(BX*1) \
	JMP	done \
small8: \
	MOVQ	(SI), AX \
	MOVQ	-8(SI)(BX*1), CX \
	MOVQ	AX, (DI) \
	MOVQ	CX, -8(DI)(BX*1) \
	JMP	done

// SUM_UNDER_64 adds BX < 64 bytes at SI to the sum in AX with end-around carry.
// It uses CX, DX, R8; a last odd byte counts as if a zero byte followed.
#define SUM_UNDER_64 \
	MOVQ	BX, CX \
	SHRQ	$3, CX \
	JZ	sum4 \
sum8: \
	ADDQ	(SI), AX \
	ADCQ	$0, AX \
	ADDQ	$8, SI \
	DECQ	CX \
	JNZ	sum8 \
sum4: \
	XORL	DX, DX \
	TESTQ	$4, BX \
	JZ	sum2 \
	MOVL	(SI), DX \
	ADDQ	$4, SI \
sum2: \
	TESTQ	$2, BX \
	JZ	sum1 \
	MOVWLZX	(SI), R8 \
	ADDQ	R8, DX \
	ADDQ	$2, SI \
sum1: \
	TESTQ	$1, BX \
	JZ	sum0 \
	MOVBLZX	(SI), R8 \
	ADDQ	R8, DX \
sum0: \
	ADDQ	DX, AX \
	ADCQ	$0, AX

// COPY_SUM_UNDER_64 copies BX < 64 bytes from SI to DI and adds them to AX.
#define COPY_SUM_UNDER_64 \
	MOVQ	BX, CX \
	SHRQ	$3, CX \
	JZ	sum4 \
sum8: \
	MOVQ	(SI), R8 \
	ADDQ	R8, AX \
	ADCQ	$0, AX \
	MOVQ	R8, (DI) \
	ADDQ	$8, SI \
	ADDQ	$8, DI \
	DECQ	CX \
	JNZ	sum8 \
sum4: \
	XORL	DX, DX \
	TESTQ	$4, BX \
	JZ	sum2 \
	MOVL	(SI), DX \
	MOVL	DX, (DI) \
	ADDQ	$4, SI \
	ADDQ	$4, DI \
sum2: \
	TESTQ	$2, BX \
	JZ	sum1 \
	MOVWLZX	(SI), R8 \
	ADDQ	R8, DX \
	MOVW	R8, (DI) \
	ADDQ	$2, SI \
	ADDQ	$2, DI \
sum1: \
	TESTQ	$1, BX \
	JZ	sum0 \
	MOVBLZX	(SI), R8 \
	ADDQ	R8, DX \
	MOVB	R8, (DI) \
sum0: \
	ADDQ	DX, AX \
	ADCQ	$0, AX
