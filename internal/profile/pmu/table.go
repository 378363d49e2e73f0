package pmu

import "slices"

// entry is an event on some processors.
type entry struct {
	name, title, terms string
	vendor             string
	family             int   // x86; 0: any
	models             []int // x86 models or Arm parts; nil: any
	period             uint64
	source             string
}

func (e *entry) on(c CPU) bool {
	if e.vendor != c.Vendor || e.family != 0 && e.family != c.Family {
		return false
	}
	at := c.Model
	if c.Vendor == "ARM" {
		at = c.Part
	}
	return e.models == nil || slices.Contains(e.models, at)
}

// The processors.
var (
	// Skylake-SP, Cascade Lake-SP and Cooper Lake-SP share a model number.
	skylakeSP = []int{0x55}
	iceLakeSP = []int{0x6a, 0x6c}
	// Sapphire, Emerald and Granite Rapids.
	rapids  = []int{0x8f, 0xcf, 0xad, 0xae}
	servers = slices.Concat(skylakeSP, iceLakeSP, rapids)
)

// Titles, the same for every maker.
const (
	cycles       = "cycles not halted"
	instructions = "instructions retired"
	l2Out        = "lines that left the second-level cache (the paper's L2_cache_lines_out)"
	llcMiss      = "misses of the last-level cache"
	modified     = "loads of a line that another core's cache forwarded, most of them modified"
)

// Sources.
const (
	sdm    = "Intel SDM volume 3, architectural performance events"
	intel  = "Intel perfmon event lists (github.com/intel/perfmon) for the model"
	amd    = "AMD PPR for family 19h and 1Ah, section core performance monitor counters"
	armARM = "Arm Architecture Reference Manual, common PMU events"
)

// table is all events. Periods are near what gives some hundred samples a second on
// a busy CPU, and odd so that they don't fall in step with loops.
var table = []entry{
	{"CPU_CLK_UNHALTED.THREAD", cycles, "event=0x3c,umask=0x00", "GenuineIntel", 6, nil, 10_000_019, sdm},
	{"INST_RETIRED.ANY_P", instructions, "event=0xc0,umask=0x00", "GenuineIntel", 6, nil, 10_000_019, sdm},
	{"L2_LINES_OUT.SILENT+NON_SILENT", l2Out, "event=0xf2,umask=0x03", "GenuineIntel", 6, slices.Concat(skylakeSP, iceLakeSP), 50_021, intel},
	{"L2_LINES_OUT.SILENT+NON_SILENT", l2Out, "event=0x26,umask=0x03", "GenuineIntel", 6, rapids, 50_021, intel},
	{"LONGEST_LAT_CACHE.MISS", llcMiss, "event=0x2e,umask=0x41", "GenuineIntel", 6, nil, 20_011, sdm},
	{"MEM_LOAD_L3_HIT_RETIRED.XSNP_FWD", modified, "event=0xd2,umask=0x04", "GenuineIntel", 6, servers, 10_007, intel},

	{"LsNotHaltedCyc", cycles, "event=0x76", "AuthenticAMD", 0, nil, 10_000_019, amd},
	{"ExRetInstr", instructions, "event=0xc0", "AuthenticAMD", 0, nil, 10_000_019, amd},
	{"LsAnyFillsFromSys.DramIo", llcMiss, "event=0x44,umask=0x48", "AuthenticAMD", 0x19, nil, 20_011, amd},
	{"LsAnyFillsFromSys.DramIo", llcMiss, "event=0x44,umask=0x48", "AuthenticAMD", 0x1a, nil, 20_011, amd},
	{"LsAnyFillsFromSys.RemoteCache", "fills out of a cache of another core complex", "event=0x44,umask=0x14", "AuthenticAMD", 0x19, nil, 10_007, amd},
	{"LsAnyFillsFromSys.RemoteCache", "fills out of a cache of another core complex", "event=0x44,umask=0x14", "AuthenticAMD", 0x1a, nil, 10_007, amd},

	{"CPU_CYCLES", cycles, "event=0x11", "ARM", 0, nil, 10_000_019, armARM},
	{"INST_RETIRED", instructions, "event=0x08", "ARM", 0, nil, 10_000_019, armARM},
	{"L2D_CACHE_WB", "lines written back from the second-level cache", "event=0x18", "ARM", 0, nil, 50_021, armARM},
	{"L2D_CACHE_REFILL", "lines brought into the second-level cache", "event=0x17", "ARM", 0, nil, 50_021, armARM},
	{"LL_CACHE_MISS_RD", llcMiss, "event=0x37", "ARM", 0, nil, 20_011, armARM},
	{"REMOTE_ACCESS", "accesses to another socket", "event=0x31", "ARM", 0, nil, 10_007, armARM},
}
