package pmu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/host"
)

// cpuinfos are the lines of /proc/cpuinfo that tell a processor, as the kernel prints
// them. The PMUs in testdata are as arch/x86/events/intel/core.c, arch/x86/events/amd/core.c and
// drivers/perf/arm_pmuv3.c describe theirs.
var cpuinfos = map[string]string{
	"cascade-lake": "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz\nstepping\t: 7\n\nprocessor\t: 1\n",
	"sapphire":     "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz\n\n",
	"milan":        "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7B13\n\n",
	"turin":        "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\n\n",
	"naples":       "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 23\nmodel\t\t: 1\n\n",
	"neoverse-n1":  "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd evtstrm\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n",
	"via":          "processor\t: 0\nvendor_id\t: CentaurHauls\ncpu family\t: 7\nmodel\t\t: 59\n\n",
}

func TestEventsOfProcessors(t *testing.T) {
	for _, tc := range []struct {
		cpu, pmu string
		want     map[string]uint64 // name -> config
	}{
		{"cascade-lake", "intel", map[string]uint64{"CPU_CLK_UNHALTED.THREAD": 0x3c, "INST_RETIRED.ANY_P": 0xc0, "L2_LINES_OUT.SILENT+NON_SILENT": 0x3f2, "LONGEST_LAT_CACHE.MISS": 0x412e, "MEM_LOAD_L3_HIT_RETIRED.XSNP_FWD": 0x4d2}},
		{"sapphire", "intel", map[string]uint64{"CPU_CLK_UNHALTED.THREAD": 0x3c, "INST_RETIRED.ANY_P": 0xc0, "L2_LINES_OUT.SILENT+NON_SILENT": 0x326, "LONGEST_LAT_CACHE.MISS": 0x412e, "MEM_LOAD_L3_HIT_RETIRED.XSNP_FWD": 0x4d2}},
		{"milan", "amd", map[string]uint64{"LsNotHaltedCyc": 0x76, "ExRetInstr": 0xc0, "LsAnyFillsFromSys.DramIo": 0x4844, "LsAnyFillsFromSys.RemoteCache": 0x1444}},
		{"turin", "amd", map[string]uint64{"LsNotHaltedCyc": 0x76, "ExRetInstr": 0xc0, "LsAnyFillsFromSys.DramIo": 0x4844, "LsAnyFillsFromSys.RemoteCache": 0x1444}},
		{"naples", "amd", map[string]uint64{"LsNotHaltedCyc": 0x76, "ExRetInstr": 0xc0}},
		{"neoverse-n1", "arm", map[string]uint64{"CPU_CYCLES": 0x11, "INST_RETIRED": 0x08, "L2D_CACHE_WB": 0x18, "L2D_CACHE_REFILL": 0x17, "LL_CACHE_MISS_RD": 0x37, "REMOTE_ACCESS": 0x31}},
	} {
		c, err := ParseCPUInfo(strings.NewReader(cpuinfos[tc.cpu]))
		if err != nil {
			t.Fatal(err)
		}
		events, err := At(filepath.Join("testdata", tc.pmu), c)
		if err != nil {
			t.Fatalf("%s: %v", tc.cpu, err)
		}
		if len(events) != len(tc.want) {
			t.Errorf("%s: %d events, want %d", tc.cpu, len(events), len(tc.want))
		}
		for _, e := range events {
			if want, ok := tc.want[e.Name]; !ok || e.Config != want || e.Type == 0 || e.Source == "" || e.Period < 1000 {
				t.Errorf("%s: %+v, want config %#x", tc.cpu, e, want)
			}
		}
	}
	c, err := ParseCPUInfo(strings.NewReader(cpuinfos["via"]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := At("testdata/intel", c); !host.IsNotSupported(err) {
		t.Errorf("a processor without a table: %v", err)
	}
}

func TestFormats(t *testing.T) {
	split, err := ParseFormat("config:0-7,32-35\n")
	if err != nil {
		t.Fatal(err)
	}
	f := Formats{"event": split, "ldlat": {Word: "config1", Bits: [][2]int{{0, 15}}}}
	if c, err := f.Encode("event=0x1c0"); err != nil || c != 0x1000000c0 {
		t.Errorf("an event over two ranges of bits: %#x, %v", c, err)
	}
	for terms, want := range map[string]string{
		"event=0x1ffff": "does not fit", "umask=1": "none of that name", "event": "NAME=NUMBER", "event=x": "NAME=NUMBER", "ldlat=3": "config1",
	} {
		if _, err := f.Encode(terms); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", terms, err, want)
		}
	}
	for _, bad := range []string{"", "config", "config:", "config:7-0", "config:64", "config:a-b"} {
		if _, err := ParseFormat(bad); err == nil {
			t.Errorf("format %q was accepted", bad)
		}
	}
}

// TestOpenHere takes what this machine has: events, or the word that there are none.
func TestOpenHere(t *testing.T) {
	events, err := Open(host.Live())
	if err == nil && len(events) == 0 || err != nil && !host.IsNotSupported(err) {
		t.Fatal(events, err)
	}
	t.Log(events, err)
}

func TestOpenOfAMachineWithoutPMU(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "sys/bus/event_source/devices/software"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Open(host.At(root))
	if !host.IsNotSupported(err) || !strings.Contains(err.Error(), "no PMU") || !strings.Contains(err.Error(), "bare metal") {
		t.Errorf("%v", err)
	}
}
