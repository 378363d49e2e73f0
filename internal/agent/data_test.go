package agent

import (
	"net"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestSinglePort carries data over the agent's own port, and refuses strangers who know how
// such a connection begins but not the token.
func TestSinglePort(t *testing.T) {
	a := listen(t)
	receiver, sender := specs(3)
	for i := range receiver.Flows {
		receiver.Flows[i].SinglePort, sender.Flows[i].SinglePort = true, true
	}
	r, err := Dial(t.Context(), a.addr, a.key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := serve(t, defaults())
	if _, err := r.Prepare(t.Context(), receiver); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prepare(t.Context(), sender); err != nil {
		t.Fatal(err)
	}
	for _, opening := range []string{load.DataMagic, load.DataMagic + "an unknown token....", "SMTP\r\n", "S"} {
		conn, err := net.Dial("tcp", a.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(opening)); err != nil {
			t.Fatal(err)
		}
		if len(opening) == load.DataPreambleBytes {
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Error("a stranger was taken in")
			}
			a.said(t, "no flow awaits")
		}
	}
	to := map[int]string{}
	for i := range receiver.Flows {
		to[receiver.Flows[i].ID] = a.addr
	}
	accepted := make(chan error, 1)
	go func() { accepted <- r.Connect(t.Context(), Connect{}) }()
	if err := s.Connect(t.Context(), Connect{To: to}); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Client{r, s.Client} {
		if err := c.Go(t.Context(), Start{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Await(t.Context(), Await{Timeout: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Client{s.Client, r} {
		stopped, err := c.Stop(t.Context(), 2*time.Second)
		if err != nil || len(stopped.Ends) != 3 {
			t.Fatalf("%+v, %v", stopped, err)
		}
		for _, e := range stopped.Ends {
			if e.Error != "" {
				t.Errorf("flow %d: %s", e.ID, e.Error)
			}
		}
	}
	if err := r.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", a.addr) // after the load
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write(append([]byte(load.DataMagic), make([]byte, 20)...))
	a.said(t, "no load is prepared")
}
