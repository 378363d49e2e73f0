package memcopy

// The assembly. None checks for overlap or bounds; n is in bytes and at most
// chunk, so that no call is long. Sums are end-around-carry sums of little-endian
// 64-bit words, or plain ones of 32-bit words: equal modulo 65535, and zero only
// if every byte is zero.

//go:noescape
func copyRepMovsB(dst, src *byte, n uintptr)

//go:noescape
func copyRepMovsL(dst, src *byte, n uintptr)

//go:noescape
func copyRepMovsQ(dst, src *byte, n uintptr)

//go:noescape
func copyInt32(dst, src *byte, n uintptr)

//go:noescape
func copyInt64(dst, src *byte, n uintptr)

//go:noescape
func copyX87(dst, src *byte, n uintptr)

//go:noescape
func copyX87Double(dst, src *byte, n uintptr)

//go:noescape
func copyXMM8(dst, src *byte, n uintptr)

//go:noescape
func copySSE2(dst, src *byte, n uintptr)

//go:noescape
func copyAVX2(dst, src *byte, n uintptr)

//go:noescape
func copyAVX512(dst, src *byte, n uintptr)

//go:noescape
func copyRealign(dst, src *byte, n uintptr)

//go:noescape
func copySSE2NT(dst, src *byte, n uintptr)

//go:noescape
func copyAVX2NT(dst, src *byte, n uintptr)

//go:noescape
func copyAVX512NT(dst, src *byte, n uintptr)

//go:noescape
func copyMovdir64B(dst, src *byte, n uintptr)

//go:noescape
func sumADC1(src *byte, n uintptr) uint64

//go:noescape
func sumADC2(src *byte, n uintptr) uint64

//go:noescape
func sumAVX2(src *byte, n uintptr) uint64

//go:noescape
func sumAVX512(src *byte, n uintptr) uint64

//go:noescape
func copySumADC(dst, src *byte, n uintptr) uint64

//go:noescape
func copySumAVX2(dst, src *byte, n uintptr) uint64

//go:noescape
func copySumAVX512(dst, src *byte, n uintptr) uint64

//go:noescape
func sumVNNI(src *byte, n uintptr) uint64

//go:noescape
func copySumRealign(dst, src *byte, n uintptr) uint64
