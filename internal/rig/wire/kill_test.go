package wire

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// makerRole is a process that makes a rig, says which processes it has, and stays.
const makerRole = "test-maker"

func makerMain() int {
	var server, client int
	if _, err := fmt.Sscan(os.Getenv("HOSTS"), &server, &client); err != nil {
		return 1
	}
	r, err := Start(server, client, rig.Plan(2), []int{0})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(r.Hardware(), r.Interrupts(Server).PID, r.Interrupts(Client).PID)
	select {}
}

// TestKill kills the maker of a rig, and wants its processes gone and, while the hosts live on, its NICs.
func TestKill(t *testing.T) {
	server, client := resident(t), resident(t)
	cmd := selfexec.Command(context.Background(), makerRole, fmt.Sprintf("HOSTS=%d %d", server.Process.Pid, client.Process.Pid))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	var pids [3]int
	if _, scan := fmt.Sscan(line, &pids[0], &pids[1], &pids[2]); err != nil || scan != nil {
		t.Fatalf("%q: %v %v", line, err, scan)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, pid := range pids {
		wait(t, fmt.Sprintf("process %d to end", pid), func() bool {
			state := processState(pid)
			return state == 0 || state == 'Z'
		})
	}
	wait(t, "the NICs to go", func() (gone bool) {
		inside(t, server, func() error {
			b, err := os.ReadFile("/proc/thread-self/net/dev")
			gone = !strings.Contains(string(b), "srv")
			return err
		})
		return gone
	})
}
