package advise

import "github.com/stackmeter/stackmeter/internal/trial"

// flows takes medians over the trials of what the senders' TCP_INFO and the sockets tell.
func (e *Evidence) flows(trials []trial.Trial) {
	for i, f := range trials[0].Flows {
		out := Flow{NIC: f.NIC, ReaderCPU: f.ServerCPU}
		at := func(of func(*trial.Flow) float64) float64 {
			return median(trials, func(t *trial.Trial) float64 {
				if i >= len(t.Flows) {
					return 0
				}
				return of(&t.Flows[i])
			})
		}
		of := func(value func(*trial.Sender) float64) float64 {
			return at(func(f *trial.Flow) float64 {
				if f.Sender == nil {
					return 0
				}
				return value(f.Sender)
			})
		}
		out.Known = f.Sender != nil
		out.ReceiveWindow = of(func(s *trial.Sender) float64 { return s.ReceiveWindow })
		out.SendBuffer = of(func(s *trial.Sender) float64 { return s.SendBuffer })
		out.RTT = of(func(s *trial.Sender) float64 { return s.RTTSeconds })
		out.SegmentBytes = int(of(func(s *trial.Sender) float64 { return float64(s.SegmentBytes) }))
		out.ReceiveBuffer = int(at(func(f *trial.Flow) float64 { return float64(f.ReceiveBufferBytes) }))
		e.Flows = append(e.Flows, out)
	}
}
