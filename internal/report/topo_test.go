package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/topo/madeup"
)

// topologies are machines of all kinds by name.
func topologies(t *testing.T) map[string]*topo.Machine {
	t.Helper()
	out := map[string]*topo.Machine{}
	for _, x := range append(madeup.Machines(), madeup.Machine{Name: "large", Tree: madeup.Large()}) {
		m, err := topo.Read(x.Tree)
		if err != nil {
			t.Fatal(err)
		}
		out[x.Name] = m
	}
	// Many NICs of long names on one CPU.
	crowded := *out["old-pci-bus"]
	crowded.NICs = nil
	for i := range 60 {
		n := out["old-pci-bus"].NICs[i%3]
		n.Name = fmt.Sprintf("wide%dWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW", i)
		crowded.NICs = append(crowded.NICs, n)
	}
	out["crowded"] = &crowded
	return out
}

// topoHarness shows each picture and looks for texts that overlap or leave their box, and for
// boxes that overlap.
const topoHarness = `<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">
<pre id="out"></pre><script>
window.onload = async () => {
  const seen = {};
  for (const name of NAMES) {
    const frame = document.createElement('iframe');
    frame.width = 1200; frame.height = 900; frame.src = name;
    const loaded = new Promise(done => frame.onload = done);
    document.body.append(frame);
    await loaded;
    const faults = [], d = frame.contentDocument, s = d.querySelector('svg.topo');
    if (!s) { seen[name] = {Faults: ['no picture']}; continue; }
    const over = (b, c) => Math.min(b.right, c.right) - Math.max(b.left, c.left) > 1 && Math.min(b.bottom, c.bottom) - Math.max(b.top, c.top) > 3;
    const within = (b, o) => b.left >= o.left - 1 && b.right <= o.right + 1 && b.top >= o.top - 1 && b.bottom <= o.bottom + 1;
    const all = [...s.querySelectorAll('text')].map(x => [x.textContent, x.getBoundingClientRect(), x.closest('g.box')]);
    const frameOf = s.getBoundingClientRect(), blocks = [...s.querySelectorAll('rect.block')].map(x => x.getBoundingClientRect());
    all.sort((a, b) => a[1].top - b[1].top);
    all.forEach(([text, b, box], i) => {
      if (b.width < 1 || b.height < 9) faults.push('tiny: ' + text);
      if (!within(b, frameOf)) faults.push('outside: ' + text);
      if (box && !within(b, box.firstElementChild.getBoundingClientRect())) faults.push('leaves its box: ' + text);
      if (!box && blocks.length && !blocks.some(o => within(b, o)) && !text.includes('package')) faults.push('in no block: ' + text);
      for (let j = i + 1; j < all.length && all[j][1].top < b.bottom; j++) if (over(b, all[j][1])) faults.push(text + ' over ' + all[j][0]);
    });
    const boxes = [...s.querySelectorAll('g.box')].map(x => x.firstElementChild.getBoundingClientRect()).sort((a, b) => a.top - b.top);
    boxes.forEach((b, i) => {
      if (!blocks.some(o => within(b, o))) faults.push('a box outside its block');
      for (let j = i + 1; j < boxes.length && boxes[j].top < b.bottom; j++) if (over(b, boxes[j])) faults.push('boxes overlap');
    });
    blocks.forEach((b, i) => blocks.slice(i + 1).forEach(c => { if (over(b, c)) faults.push('blocks overlap'); }));
    seen[name] = {Faults: faults.slice(0, 10), Cells: s.querySelectorAll('rect.cell').length, NICs: s.querySelectorAll('rect.nicbox').length,
      Bad: s.querySelectorAll('.wire.bad').length, Far: s.querySelectorAll('.far').length};
    frame.remove();
  }
  document.getElementById('out').textContent = JSON.stringify(seen);
};
</script>`

type topoSeen struct {
	Faults                []string
	Cells, NICs, Bad, Far int
}

// lookAtTopo opens pictures in the browser: pages by names that end in .html, images in .svg.
func lookAtTopo(t *testing.T, pages map[string][]byte) map[string]topoSeen {
	t.Helper()
	var names []string
	for n := range pages {
		names = append(names, n)
	}
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[strings.TrimPrefix(r.URL.Path, "/")]
		switch {
		case r.URL.Path == "/":
			fmt.Fprint(w, strings.Replace(topoHarness, "NAMES", string(list), 1))
		case ok:
			w.Header().Set("Content-Type", map[bool]string{true: "image/svg+xml", false: "text/html"}[strings.HasSuffix(r.URL.Path, ".svg")])
			_, _ = w.Write(page)
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	dom, _ := chromium(t, "--window-size=1300,1000", "--dump-dom", srv.URL+"/")
	_, out, _ := strings.Cut(dom, `<pre id="out">`)
	out, _, _ = strings.Cut(out, "</pre>")
	var seen map[string]topoSeen
	if err := json.Unmarshal([]byte(html.UnescapeString(out)), &seen); err != nil {
		t.Fatalf("%v in %.500q", err, dom)
	}
	return seen
}

// Pictures of all machines, as files and in pages, are drawn without overlaps.
func TestTopoInBrowser(t *testing.T) {
	t.Parallel()
	browser(t)
	machines := topologies(t)
	pages := map[string][]byte{}
	for name, m := range machines {
		var svg, page bytes.Buffer
		if err := TopoSVG(&svg, m); err != nil {
			t.Fatal(err)
		}
		if err := TopoHTML(&page, m); err != nil {
			t.Fatal(err)
		}
		pages[name+".svg"], pages[name+".html"] = svg.Bytes(), page.Bytes()
	}
	// One that is broken on purpose, so that the test is seen to see.
	pages["broken.svg"] = bytes.Replace(pages["vm-gce.svg"], []byte(`text-anchor="middle" class="num">0<`), []byte(`text-anchor="middle" class="num">0000000000000<`), 1)
	seen := lookAtTopo(t, pages)
	if len(seen["broken.svg"].Faults) == 0 {
		t.Error("a text over its neighbours went unseen")
	}
	for name, m := range machines {
		for _, kind := range []string{".svg", ".html"} {
			s := seen[name+kind]
			if len(s.Faults) > 0 || s.Cells != len(m.CPUs) || s.NICs != len(m.NICs) {
				t.Errorf("%s%s: %d CPUs of %d, %d NICs of %d, %q", name, kind, s.Cells, len(m.CPUs), s.NICs, len(m.NICs), s.Faults)
			}
		}
	}
	if s := seen["server-2-sockets.svg"]; s.Bad != 1 || s.Far != 8 {
		t.Errorf("%d links and %d interrupts are marked, want the shared link and the 8 on the far node", s.Bad, s.Far)
	}
}

// A picture is one file, whatever a machine or a NIC is called.
func TestTopoIsSelfContained(t *testing.T) {
	t.Parallel()
	machines := topologies(t)
	evil := *machines["vm-ec2"]
	evil.CPUModel, evil.Product = `<script>alert(1)</script>`, `"><img src=x>`
	evil.NICs[0].Name, evil.NICs[0].Driver = `<script>`, `"onload="`
	evil.Warnings = []topo.Warning{{Path: "<b>", Text: "<i>"}}
	machines["evil"] = &evil
	for name, m := range machines {
		var svg, page bytes.Buffer
		if err := errors.Join(TopoSVG(&svg, m), TopoHTML(&page, m)); err != nil {
			t.Fatal(err)
		}
		all := strings.Replace(svg.String(), "http://www.w3.org/2000/svg", "", 1) + page.String()
		for _, bad := range []string{"<script", "<img", "url(", "http://", "https://", "%!", "ZgotmplZ", "NaN"} {
			if strings.Contains(all, bad) {
				t.Errorf("%s holds %q", name, bad)
			}
		}
	}
}

// A study's page has the topology that was added to its result.
func TestTopoInReport(t *testing.T) {
	t.Parallel()
	d := write(t, ugly["one replicate"])
	if p := render(t, d); bytes.Contains(p, []byte(`id="topology"`)) {
		t.Error("a section without a topology")
	}
	page, err := WriteTopo(d.Path, topologies(t)["server-2-sockets"])
	if err != nil {
		t.Fatal(err)
	}
	p := render(t, d)
	if !strings.HasSuffix(page, ReportFile) || !bytes.Contains(p, []byte(`id="topology"`)) || !bytes.Contains(p, []byte("share the PCI Express link")) {
		t.Errorf("%s has no topology", page)
	}
	if _, err := WriteTopo(t.TempDir(), topologies(t)["vm-ec2"]); err == nil {
		t.Error("a topology was added to no result")
	}
}
