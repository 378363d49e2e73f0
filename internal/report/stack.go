package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/stacklab"
)

// StackFile holds what a look into a running stack showed on the machine of a result,
// where its plan asks for one.
const StackFile = "stack.json"

//go:embed stack.tmpl
var stackTemplate string

var stackTmpl = template.Must(template.New("stack").Parse(stackTemplate))

// ReadStack reads a directory's stack.json. The error is [fs.ErrNotExist], wrapped, if
// there is none.
func ReadStack(dir string) (r stacklab.Report, err error) {
	err = readBeside(dir, StackFile, &r, &r.Schema, stacklab.SchemaVersion)
	return r, err
}

// WriteStack stores what was seen in a result's directory, replacing an earlier
// stack.json.
func WriteStack(dir string, r stacklab.Report) error { return saveBeside(dir, StackFile, r) }

// stackTable is one of the tables of a look into a stack, in text.
type stackTable struct {
	Title string
	Left  int // columns that are words
	Head  []string
	Rows  [][]string
	Note  string
}

// StackText writes the tables as text.
func StackText(w io.Writer, r stacklab.Report, o TextOptions) error {
	if o.Width <= 0 || o.Width > maxWidth {
		o.Width = maxWidth
	}
	p := &printer{w: w, color: o.Color, width: max(o.Width, 60)}
	p.section("Inside the stack", "")
	p.wrap("  "+stackPlace(r), 4, dim)
	for _, t := range stackTables(r) {
		p.print("\n")
		p.wrap("  "+t.Title, 4, plain)
		out := &table{left: t.Left}
		out.head(t.Head...)
		for _, row := range t.Rows {
			var cells []textCell
			for _, c := range row {
				cells = append(cells, textCell{text: c})
			}
			out.row(cells...)
		}
		p.table(out)
		p.wrap("  "+t.Note, 4, dim)
	}
	for _, warning := range r.Warnings {
		p.wrap("  "+warning.Code+": "+warning.Text, 4, yellow)
	}
	return p.err
}

// stackPlace says where the figures are from.
func stackPlace(r stacklab.Report) string {
	sender := "a sender on the same one"
	if r.Sender != r.CPU {
		sender = fmt.Sprintf("the kernel's sender on CPU %d", r.Sender)
	}
	return fmt.Sprintf("One stream from the kernel to the stack over veth, device %s, real frames; the stack and its reader on CPU %d, %s.", r.Device, r.CPU, sender)
}

func stackTables(r stacklab.Report) []stackTable {
	var out []stackTable
	for _, t := range []stackTable{copyCostTable(r), callsTable(r), buffersTable(r)} {
		if len(t.Rows) > 0 {
			out = append(out, t)
		}
	}
	return out
}

func copyCostTable(r stacklab.Report) stackTable {
	t := stackTable{
		Title: fmt.Sprintf("Table 6's counterpart: core cycles of the copy of %d bytes to the reader, inside the receive path", stacklab.SegmentBytes), Left: 2,
		Head: []string{"routine", "receive buffer", "mean", "p10", "p50", "p90", "ns", "from", "to", "samples", "paper"},
		Note: "From and to: bytes behind a multiple of 64 at which the payload and its place begin. Mean without the slowest hundredth. The timer's own cost is taken off. Fused routines sum too. The paper's are cycles of a Pentium III at 700 MHz, from memory that the NIC had written.",
	}
	if step := r.CoreCyclesPerTick * float64(r.Clock.Granularity); step > 2 {
		t.Note = fmt.Sprintf("The counter advances in steps of %.0f core cycles here, on which p10, p50 and p90 fall: trust the mean. ", step) + t.Note
	}
	if r.CoreCyclesPerTick == 0 {
		t.Note = "In ticks of the clock: core cycles are not known here. " + t.Note
	}
	for _, c := range r.Copies {
		paper := ""
		for _, p := range stacklab.Table6 {
			if p.Routine == c.Name() && p.Aligned == c.Aligned {
				paper = fmt.Sprintf("%.0f", p.Cycles)
			}
		}
		t.Rows = append(t.Rows, []string{
			c.Name(), stacklab.AlignedName(c.Aligned), fmt.Sprintf("%.0f", c.Mean), fmt.Sprintf("%.0f", c.P10), fmt.Sprintf("%.0f", c.P50), fmt.Sprintf("%.0f", c.P90),
			fmt.Sprintf("%.0f", c.Nanoseconds), fmt.Sprint(c.SourceOffset), fmt.Sprint(c.DestinationOffset), fmt.Sprint(c.Samples), paper,
		})
	}
	return t
}

// layerRows are the rows of Tables 7 and 8's counterpart, with the paper's counts for
// 1000 frames at MTU 1500 and 9000 (2,291,591 and 758,774 calls of netif_rx).
var layerRows = []struct {
	layer, what string
	of          func(p stacklab.Passage) uint64
	paper       [2]string
}{
	{"device", "waits until frames come", func(p stacklab.Passage) uint64 { return p.Sleeps }, [2]string{"120", "1108"}},
	{"device", "receive calls", func(p stacklab.Passage) uint64 { return p.ReceiveCalls }, [2]string{"136", "1254"}},
	{"link, IP", "calls", func(p stacklab.Passage) uint64 { return p.Frames }, [2]string{"1000", "1000"}},
	{"TCP", "calls", func(p stacklab.Passage) uint64 { return p.TCPCalls }, [2]string{}},
	{"socket", "deliveries", func(p stacklab.Passage) uint64 { return p.Deliveries }, [2]string{}},
	{"socket", "wake-ups of the reader", func(p stacklab.Passage) uint64 { return p.Wakeups }, [2]string{}},
	{"socket", "reads", func(p stacklab.Passage) uint64 { return p.Reads }, [2]string{}},
	{"sent", "acknowledgements", func(p stacklab.Passage) uint64 { return p.Acks }, [2]string{}},
}

func callsTable(r stacklab.Report) stackTable {
	t := stackTable{
		Title: "Tables 7 and 8's counterpart: calls for 1000 frames, by layer, with frames handed up one by one and gathered", Left: 2,
		Head: []string{"layer", "MTU/frames gathered"},
		Note: "The paper's: e1000_intr, ProcessReceiveInterrupts, netif_rx; it knows no calls of TCP and above, and says that each layer is called for one frame at a time.",
	}
	shown := slices.DeleteFunc(slices.Clone(r.Layers), func(p stacklab.Passage) bool { return p.Buffers != "recycled" })
	for _, p := range shown {
		t.Head = append(t.Head, fmt.Sprintf("%d/%d", p.MTU, p.Gather))
	}
	t.Head = append(t.Head, "paper 1500", "paper 9000")
	if len(shown) == 0 {
		return t
	}
	for _, row := range layerRows {
		cells := []string{row.layer, row.what}
		for _, p := range shown {
			cells = append(cells, perThousand(row.of(p), p.Frames))
		}
		t.Rows = append(t.Rows, append(cells, row.paper[:]...))
	}
	return t
}

func buffersTable(r stacklab.Report) stackTable {
	t := stackTable{
		Title: "Tables 9 and 10's counterpart: buffers for 1000 frames received", Left: 1,
		Head: []string{"MTU, gathered, buffers", "takes", "frames", "allocations", "Go allocs", "Go KiB", "returns"},
		Note: "Takes and returns: calls of the pool. Frames: taken by them, those of acknowledgements included. Allocations: of memory for frames; Go's: of all objects in the process. The paper's: ReceiveBufferFill, alloc_skb, kmalloc; it freed frames one at a time.",
	}
	for _, p := range r.Layers {
		t.Rows = append(t.Rows, []string{
			fmt.Sprintf("%d by %d, %s", p.MTU, p.Gather, p.Buffers),
			perThousand(p.FrameTakes, p.Frames), perThousand(p.FramesTaken, p.Frames), perThousand(p.FrameAllocs, p.Frames),
			perThousand(p.GoAllocs, p.Frames), perThousand(p.GoBytes/1024, p.Frames), perThousand(p.FrameReturns, p.Frames),
		})
	}
	if len(t.Rows) > 0 {
		t.Rows = append(t.Rows,
			[]string{"the paper, 1500", "14", "1000", "1083", "", "", ""},
			[]string{"the paper, 9000", "16", "1000", "1485", "", "", ""})
	}
	return t
}

// perThousand is a count for 1000 frames, with a decimal where it is small.
func perThousand(n, frames uint64) string {
	if frames == 0 {
		return "-"
	}
	v := 1000 * float64(n) / float64(frames)
	if n > 0 && v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// stackSection is the section for the page of a study; empty if there was no such look.
func stackSection(dir string) (template.HTML, error) {
	r, err := ReadStack(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = stackTmpl.Execute(&b, struct {
		Place   string
		Figures []*chart
		Tables  []stackTable
		Report  stacklab.Report
	}{stackPlace(r), copyCostFigures(r), stackTables(r), r})
	return template.HTML(b.String()), err //nolint:gosec // escaped by its own template
}

// copyCostFigures draw Table 6's counterpart, a bar for each alignment of each routine:
// those that copy, and those that sum too.
func copyCostFigures(r stacklab.Report) []*chart {
	var out []*chart
	for _, fused := range []bool{false, true} {
		what := "the copy"
		if fused {
			what = "the copy with the checksum"
		}
		c := &chart{
			Title: "Core cycles of " + what + " inside the receive path",
			Desc:  "The table below holds the same numbers.",
			Caption: fmt.Sprintf("Table 6’s counterpart: %s of %d bytes inside the receive path; bars: mean, whiskers: 10th and 90th percentile.",
				what, stacklab.SegmentBytes),
			YTitle: "core cycles", Bars: true, whiskers: "10 to 90 %",
		}
		for _, k := range r.Copies {
			if k.Fused == fused && !slices.Contains(c.Cats, k.Name()) {
				c.Cats = append(c.Cats, k.Name())
			}
		}
		for i, aligned := range []bool{false, true} {
			s := series{Name: "receive buffer " + stacklab.AlignedName(aligned), Color: i + 1, Marks: make([]mark, len(c.Cats))}
			for _, k := range r.Copies {
				if k.Aligned == aligned && k.Fused == fused {
					s.Marks[slices.Index(c.Cats, k.Name())] = mark{
						Has: true, V: k.Mean, Lo: k.P10, Hi: k.P90,
						Tip: fmt.Sprintf("%s, %s: %.0f cycles", k.Name(), stacklab.AlignedName(aligned), k.Mean),
					}
				}
			}
			c.Series = append(c.Series, s)
		}
		for i, name := range c.Cats {
			c.Cats[i] = strings.NewReplacer("-", catBreak, ", ", catBreak).Replace(name) // a line for each word
		}
		if len(c.Cats) > 0 {
			out = append(out, c)
		}
	}
	return out
}
