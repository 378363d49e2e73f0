package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/result"
	"github.com/stackmeter/stackmeter/internal/synthetic"
)

// browser finds a Chromium, or skips.
func browser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser: not in -short")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium is installed (chromium, chromium-browser or google-chrome in PATH)")
	return ""
}

// chromium runs the browser on a page and returns its standard output and
// error.
func chromium(t *testing.T, args ...string) (out, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser(t), append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr",
		"--virtual-time-budget=3000", "--user-data-dir=" + t.TempDir(),
	}, args...)...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, e.String())
	}
	return o.String(), e.String()
}

// harness shows the report in frames of both widths and measures it.
const harness = `<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">
<iframe src="report.html" width="400" height="900"></iframe><iframe src="report.html" width="1200" height="900"></iframe>
<pre id="out"></pre><script>
window.onload = () => {
  const seen = [...document.querySelectorAll('iframe')].map(f => {
    const d = f.contentDocument, w = f.contentWindow, overflow = [];
    d.querySelectorAll('details').forEach(x => x.open = true);
    for (const el of d.querySelectorAll('header *, main *, footer *')) {
      if (el.closest('svg') || el.closest('.scroll') || !el.innerText) continue;
      const r = el.getBoundingClientRect();
      if (r.right > w.innerWidth + 1 || r.left < -1) overflow.push(el.tagName + ': ' + el.innerText.slice(0, 60));
    }
    const texts = [];
    for (const s of d.querySelectorAll('svg.chart')) {
      const box = s.getBoundingClientRect(), labels = [...s.querySelectorAll('text')].map(x => [x.textContent, x.getBoundingClientRect()]);
      labels.forEach(([name, b], i) => {
        if (b.left < box.left - 1 || b.right > box.right + 1 || b.bottom > box.bottom + 1) texts.push('outside: ' + name);
        labels.slice(i + 1).forEach(([other, c]) => {
          if (Math.min(b.right, c.right) - Math.max(b.left, c.left) > 1 && Math.min(b.bottom, c.bottom) - Math.max(b.top, c.top) > 3) texts.push(name + ' over ' + other);
        });
      });
    }
    const boxes = q => [...d.querySelectorAll(q)].map(x => x.getBoundingClientRect()).map(b => [b.width, b.height]);
    return {
      width: w.innerWidth, page: d.documentElement.scrollWidth, overflow, texts,
      figures: boxes('figure svg.chart'), strips: boxes('svg.strip'), bars: boxes('svg.cpubar'), sparks: boxes('svg.spark'),
      unlabelled: [...d.querySelectorAll('svg[role=img]')].filter(x => !x.getAttribute('aria-label')).length,
      heads: [...d.querySelectorAll('table')].filter(x => !x.querySelector('thead th[scope=col]')).length,
      tips: d.querySelectorAll('svg title').length, fetched: w.performance.getEntriesByType('resource').map(x => x.name),
      smallest: Math.min(...[...d.querySelectorAll('svg.chart text')].map(x => x.getBoundingClientRect().height)),
    };
  });
  document.getElementById('out').textContent = JSON.stringify(seen);
};
</script>`

type seen struct {
	Width, Page                   float64
	Overflow, Texts, Fetched      []string
	Figures, Strips, Bars, Sparks [][2]float64
	Unlabelled, Heads, Tips       int
	Smallest                      float64
}

// look opens a page in the harness and tells what the browser saw, which paths
// it asked for, and its console.
func look(t *testing.T, page []byte) (frames []seen, asked []string, console []string) {
	t.Helper()
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		switch r.URL.Path {
		case "/":
			fmt.Fprint(w, harness)
		case "/report.html":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write(page)
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	dom, log := chromium(t, "--window-size=1700,1000", "--dump-dom", srv.URL+"/")
	_, out, ok := strings.Cut(dom, `<pre id="out">`)
	out, _, ok2 := strings.Cut(out, "</pre>")
	if !ok || !ok2 {
		t.Fatalf("the harness did not run:\n%.2000s", dom)
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(out)), &frames); err != nil {
		t.Fatalf("%v in %.500q", err, out)
	}
	for _, l := range strings.Split(log, "\n") {
		if strings.Contains(l, "CONSOLE") {
			console = append(console, l)
		}
	}
	return frames, asked, console
}

func render(t *testing.T, d *result.Dir) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInBrowser(t *testing.T) {
	t.Parallel()
	browser(t)
	for name, want := range map[string]struct{ figures, strips, sparks int }{
		// smp 2 (both metrics), affinity 2, nics 1, mtu 1
		"clean":       {6, 34, 204},
		"interrupted": {6, 16, 90},
		"no groups":   {5, 16, 96},
	} {
		t.Run(name, func(t *testing.T) {
			inFrames(t, render(t, write(t, ugly[name])), want.figures, want.strips, want.sparks)
		})
	}
	t.Run("stack", func(t *testing.T) {
		// effects, interactions, copy routines by size (both metrics)
		inFrames(t, render(t, writeStack(t, synthetic.Options{})), 4, 32+9, 6*(32+9))
	})
}

// TestPairsInBrowser looks at heat maps of 2 and of 8 CPUs, by two metrics each.
func TestPairsInBrowser(t *testing.T) {
	t.Parallel()
	browser(t)
	for _, cpus := range []int{2, 8} {
		trials := synthetic.Pairs(synthetic.Options{Seed: 1}, cpus, false)
		d := writeTrials(t, "cpu-pairs", synthetic.PairsPlan, trials, len(trials))
		if err := SaveTopo(d.Path, twoPackages()); err != nil {
			t.Fatal(err)
		}
		inFrames(t, render(t, d), 2, cpus*cpus, len(trials))
	}
}

// inFrames holds what a browser shows of a page, narrow and wide, against what must be.
func inFrames(t *testing.T, page []byte, figures, strips, sparks int) {
	t.Helper()
	frames, asked, console := look(t, page)
	if len(console) > 0 {
		t.Errorf("the console says %q", console)
	}
	slices.Sort(asked)
	if asked = slices.Compact(asked); !slices.Equal(asked, []string{"/", "/report.html"}) {
		t.Errorf("the page asked for %q", asked)
	}
	if len(frames) != 2 || frames[0].Width != 400 || frames[1].Width != 1200 {
		t.Fatalf("frames: %+v", frames)
	}
	for _, f := range frames {
		if f.Page > f.Width {
			t.Errorf("at %v px the page is %v wide", f.Width, f.Page)
		}
		if len(f.Overflow)+len(f.Texts)+len(f.Fetched) > 0 {
			t.Errorf("at %v px: overflow %q, chart texts %q, fetched %q", f.Width, f.Overflow, f.Texts, f.Fetched)
		}
		if len(f.Figures) != figures || len(f.Strips) != strips || len(f.Sparks) < sparks {
			t.Errorf("at %v px: %d figures, %d strips, %d sparklines, want %d, %d, %d", f.Width, len(f.Figures), len(f.Strips), len(f.Sparks), figures, strips, sparks)
		}
		for _, b := range slices.Concat(f.Strips, f.Bars, f.Sparks) {
			if b[0] < 80 || b[1] < 8 {
				t.Errorf("at %v px: a picture of %v", f.Width, b)
			}
		}
		for _, b := range f.Figures {
			if b[0] < 280 || b[1] < 160 {
				t.Errorf("at %v px: a figure of %v", f.Width, b)
			}
		}
		if f.Unlabelled+f.Heads > 0 || f.Tips < 20 {
			t.Errorf("%d images without label, %d tables without heads, %d tips", f.Unlabelled, f.Heads, f.Tips)
		}
		if f.Smallest < 9 {
			t.Errorf("at %v px the smallest text of a chart is %v px high", f.Width, f.Smallest)
		}
	}
}

// The test above would see a page that is broken.
func TestBrowserSeesFaults(t *testing.T) {
	t.Parallel()
	p := render(t, write(t, ugly["one replicate"]))
	broken := bytes.Replace(p, []byte("<h1>"), []byte(`<img src="spy.png" alt=""><p style="width:2000px">wide wide</p><h1>`), 1)
	frames, asked, console := look(t, broken)
	if frames[0].Page <= 400 || len(frames[0].Overflow) == 0 {
		t.Errorf("a paragraph of 2000 px went unseen: %+v", frames[0])
	}
	if slices.Contains(asked, "/spy.png") {
		t.Error("the content security policy let a picture be fetched")
	}
	if len(console) == 0 {
		t.Error("a refused picture left the console empty")
	}
}

// The page is drawn, light and dark.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	browser(t)
	d := write(t, ugly["clean"])
	name, err := Write(d)
	if err != nil {
		t.Fatal(err)
	}
	for scheme, want := range map[string]func(lum uint32) bool{
		"1": func(l uint32) bool { return l > 200 }, // light
		"0": func(l uint32) bool { return l < 60 },  // dark
	} {
		shot := filepath.Join(t.TempDir(), "shot.png")
		chromium(t, "--window-size=1200,2000", "--blink-settings=preferredColorScheme="+scheme, "--screenshot="+shot, "file://"+name)
		f, err := os.Open(shot)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if b := img.Bounds(); b.Dx() != 1200 || b.Dy() != 2000 {
			t.Errorf("a picture of %v", b)
		}
		colors := map[[3]uint32]int{}
		for y := 0; y < 2000; y += 3 {
			for x := 0; x < 1200; x += 3 {
				r, g, b, _ := img.At(x, y).RGBA()
				colors[[3]uint32{r >> 8, g >> 8, b >> 8}]++
			}
		}
		r, g, b, _ := img.At(3, 3).RGBA()
		if lum := (r + g + b) / 3 >> 8; !want(lum) {
			t.Errorf("scheme %s: the background's brightness is %d", scheme, lum)
		}
		if len(colors) < 30 {
			t.Errorf("scheme %s: %d colours, an empty page?", scheme, len(colors))
		}
	}
}

func TestHTMLIsSelfContained(t *testing.T) {
	t.Parallel()
	for name, o := range ugly {
		p := string(render(t, write(t, o)))
		for _, bad := range []string{"src=", "@import", "url(", "http://", "https://", "<script", "%!", "ZgotmplZ", "NaN", "Inf"} {
			if i := strings.Index(p, bad); i >= 0 {
				t.Errorf("%s: %q in %.60q", name, bad, p[max(0, i-20):])
			}
		}
	}
}

// What a host or a process calls itself can't become markup.
func TestHTMLEscapes(t *testing.T) {
	t.Parallel()
	d := write(t, ugly["one replicate"])
	const evil = `<script>alert(1)</script>`
	d.Manifest.Rig, d.Manifest.CommandLine, d.Manifest.Plan.Name = evil, []string{evil}, evil
	d.Hosts["server"] = json.RawMessage(`{"model":"` + evil + `"}`)
	for i := range d.Trials {
		d.Trials[i].Levels["affinity"], d.Trials[i].Error = evil, evil
		d.Trials[i].CPU.Groups = map[string]float64{evil: 0.5}
		d.Trials[i].Knobs[0].Value = `"><img src=x>`
	}
	p := render(t, d)
	if bytes.Contains(p, []byte("<script>")) || bytes.Contains(p, []byte("<img")) {
		t.Error("markup from data")
	}
}

func TestEmptyPage(t *testing.T) {
	t.Parallel()
	d := write(t, ugly["one replicate"])
	d.Trials = nil
	if p := render(t, d); !bytes.Contains(p, []byte("nothing to tell")) {
		t.Error("an empty result is not told")
	}
}
