// Checksums by VPDPWSSD, which multiplies signed 16-bit words and adds the products
// to 32-bit sums: with ones it adds two words to each sum in one operation. The
// words are unsigned, so 0x8000 is taken from each (by exclusive or) and given back
// at the end, 65536 for each sum and vector. A call sums at most chunk bytes, which
// keeps every 32-bit sum from overflowing.
//
// Head and tail are masked and turned into step as in the AVX-512 routines.

// The two constants and the two turns.
DATA dot<>+0(SB)/8, $0x8000800080008000
DATA dot<>+8(SB)/8, $0x0001000100010001
DATA dot<>+16(SB)/8, $0
DATA dot<>+24(SB)/8, $8
GLOBL dot<>(SB), RODATA|NOPTR, $32

// CONSTANTS sets Z14 to the signs and Z15 to ones.
#define CONSTANTS \
	LEAQ	dot<>(SB), R13 \
	VPBROADCASTQ	0(R13), Z14 \
	VPBROADCASTQ	8(R13), Z15

// ADDWORDS adds the words of v to the sums S; v is spoilt.
#define ADDWORDS(v, S) \
	VPXORQ	Z14, v, v \
	VPDPWSSD	Z15, v, S

// TAIL brings the last R10 bytes of Z1 into step with the loop and adds them to Z6.
// BX is the length without the R11 bytes before the loop; Z4 begins at what the signs
// of all vectors take away: the loop's, and one or two edges' (of 64 bytes each).
#define TAIL(edges) \
	LEAQ	edges(BX), R12 \
	MOVQ	$-1, R9 \
	SHRQ	$6, R12 \
	SHRXQ	R10, R9, DX \
	SHLL	$16, R12 \
	NOTQ	DX \
	VPBROADCASTD	R12, Z4 \
	KMOVQ	DX, K2 \
	MOVL	R10, DX \
	VPXORQ	Z5, Z5, Z5 \
	ANDL	$1, DX \
	VMOVDQU8.Z	Z1, K2, Z1 \
	VPXORQ	Z6, Z6, Z6 \
	VPXORQ	Z7, Z7, Z7 \
	VPROLVQ.BCST	16(R13)(DX*8), Z1, Z1 \
	ADDWORDS(Z1, Z6)

// HEAD does the same with the first R11 bytes of Z0, into Z5. R9 is -1.
#define HEAD(even) \
	BZHIQ	R11, R9, CX \
	KMOVQ	CX, K1 \
	VMOVDQU8.Z	Z0, K1, Z0 \
	TESTB	$1, R11 \
	JZ	even \
	VPROLQ	$8, Z0, Z0 \
even: \
	ADDWORDS(Z0, Z5)

// TOTAL leaves the sum of Z4..Z7 in AX, turned by the odd bit of R11. No 32-bit sum
// can overflow within chunk bytes.
#define TOTAL(even) \
	VPADDD	Z5, Z4, Z4 \
	VPADDD	Z7, Z6, Z6 \
	VPADDD	Z6, Z4, Z4 \
	VEXTRACTI64X4	$1, Z4, Y5 \
	VPADDD	Y5, Y4, Y4 \
	VEXTRACTI128	$1, Y4, X5 \
	VPADDD	X5, X4, X4 \
	VPUNPCKHQDQ	X4, X4, X5 \
	VPADDD	X5, X4, X4 \
	VMOVQ	X4, AX \
	VZEROUPPER \
	TESTB	$1, R11 \
	JZ	even \
	ROLQ	$8, AX \
even:

// UNDER64 sums K1's bytes, loaded in Z4, as words extended to 32 bits.
#define UNDER64 \
	CONSTANTS \
	VPXORQ	Z5, Z5, Z5 \
	ADDWORDS(Z4, Z5) \
	MOVL	$65536, CX \
	VPBROADCASTD	CX, Z8 \
	VPADDD	Z8, Z5, Z4 \
	VEXTRACTI64X4	$1, Z4, Y5 \
	VPADDD	Y5, Y4, Y4 \
	VEXTRACTI128	$1, Y4, X5 \
	VPADDD	X5, X4, X4 \
	VPUNPCKHQDQ	X4, X4, X5 \
	VPADDD	X5, X4, X4 \
	VMOVQ	X4, AX \
	VZEROUPPER
