package cpu

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	f, err := os.Open("testdata/stat-linux-6.18")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := ParseStat(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Online(); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("online %v, want [0 1]", got)
	}
	// cpu0's line holds hundredths of a second
	raw, _ := os.ReadFile("testdata/stat-linux-6.18")
	line := strings.Fields(strings.Split(string(raw), "\n")[1])
	if want := line[4]; strings.TrimRight(want, "0") == "" || s.CPUs[0].Idle < 1 {
		t.Errorf("idle %s read as %g s", want, s.CPUs[0].Idle)
	}
}

func TestParseStatColumns(t *testing.T) {
	s, err := ParseStat(strings.NewReader("cpu  9 9 9 9\ncpu3 100 200 300 400 500 600 700 800 900 1000\nintr 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Ticks{User: 1, Nice: 2, System: 3, Idle: 4, IOWait: 5, IRQ: 6, SoftIRQ: 7, Steal: 8}
	if s.CPUs[3] != want || len(s.CPUs) != 1 {
		t.Errorf("got %+v, want only CPU 3 with %+v", s.CPUs, want)
	}
}

func TestParseStatNamesTheFault(t *testing.T) {
	for in, want := range map[string]string{
		"":                "no line of a CPU",
		"intr 5\n":        "no line of a CPU",
		"cpu0 1 2 3\n":    "cpu0 has 3 columns",
		"cpu0 1 2 x 4\n":  `column 3: "x"`,
		"cpux 1 2 3 4\n":  "cpux: not a CPU number",
		"cpu0 1 2 3 -4\n": `column 4: "-4"`,
		"cpu1 1" + strings.Repeat(" 1", 5000) + "\n": "too long",
	} {
		if _, err := ParseStat(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want one with %q", in, err, want)
		}
	}
}

func TestParsePIDStat(t *testing.T) {
	for in, want := range map[string]procInfo{
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 24 0 0":              {"kthreadd", true, 1},
		"7 (a) b (c)) R 1 1 1 0 -1 4194304 101 0 0 0 0 0 0 0 20 0 12 0 260455 3133440 3": {"a) b (c)", false, 12},
	} {
		got, err := parsePIDStat([]byte(in))
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", in, got, err, want)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	fixture, err := os.ReadFile("testdata/stat-linux-6.18")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fixture)
	f.Add([]byte("cpu0 1 2 3 4"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStat(bytes.NewReader(b))
		if (err == nil) == (s == nil) {
			t.Fatal("want either a result or an error")
		}
		if err != nil {
			return
		}
		for n, c := range s.CPUs {
			if n < 0 || c.sum() < 0 || c.sub(c) != (Ticks{}) {
				t.Fatalf("CPU %d: %+v", n, c)
			}
		}
	})
}

func FuzzParsePIDStat(f *testing.F) {
	f.Add([]byte("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 24 0 0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := parsePIDStat(b)
		if err == nil && (info.threads < 0 || !bytes.Contains(b, []byte("("+info.comm+")"))) {
			t.Fatalf("%q gave %+v", b, info)
		}
	})
}

func FuzzParseSchedstat(f *testing.F) {
	f.Add([]byte("1234 55953 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ns, err := ParseSchedstat(b); err == nil && ns < 0 {
			t.Fatalf("%q gave %d", b, ns)
		}
	})
}
