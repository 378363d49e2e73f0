package analysis

// The paper: V. Anand, B. Hartner, 'TCPIP Network Stack Performance in Linux
// Kernel 2.4 and 2.5', Ottawa Linux Symposium 2002. Only figures that its text
// and tables state stand here; its drawings were not measured with a ruler.

// PaperAffinity is a row of its Table 1 (kernel 2.4.17, 4P, 4 NICs of 100
// Mb/s), shares.
type PaperAffinity struct {
	MessageBytes int64   `json:"message_bytes"`
	IRQ          float64 `json:"irq"`
	Process      float64 `json:"process"`
	Both         float64 `json:"both"`
}

// Interaction is by how much BOTH is above the sum of the two.
func (p *PaperAffinity) Interaction() float64 { return p.Both - p.IRQ - p.Process }

// PaperTable1 is Table 1, 'Affinity Comparison using 2.4.17 Kernel on 4P using
// 4 NICs'.
var PaperTable1 = []PaperAffinity{
	{1024, 0.0434, 0.1271, 0.7453},
	{2048, 0.2145, 0.2143, 0.6656},
	{4096, 0.1901, 0.2873, 0.7468},
	{8192, 0.1918, 0.2525, 0.6803},
	{16384, 0.1636, 0.1437, 0.5522},
	{32768, 0.1138, 0.1138, 0.4745},
	{65536, 0.1131, 0.0634, 0.4209},
}

func paperAffinity(bytes int64) *PaperAffinity {
	for i := range PaperTable1 {
		if PaperTable1[i].MessageBytes == bytes {
			return &PaperTable1[i]
		}
	}
	return nil
}

// PaperNIC is total throughput over gigabit NICs, bits per second.
type PaperNIC struct {
	NICs          int
	BitsPerSecond float64
}

// PaperNICs are the two points of Figure 7 that section 4.1 states (kernel
// 2.4.7, 8 CPUs, MTU 1500). Of the rest, up to seven, it says that each 'added
// minimal throughput'.
var PaperNICs = []PaperNIC{{1, 604e6}, {2, 699e6}}

// PaperNICEfficiency is '58 % = 699/604*2'.
const PaperNICEfficiency = 0.58

// PaperSMP4 is what section 2.1 says of the factor at 4 CPUs: 2.4.17 'barely
// achieves 2/4 scaling' at 65536 bytes; 2.5.3 'reaching 2/4 in most of the
// cases'.
const PaperSMP4 = 2.0
