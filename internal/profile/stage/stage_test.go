package stage

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// captured is a line of testdata: stacks sampled at 999 Hz on a 2-CPU virtual machine
// without NMI, Linux 6.18, as "count kind leaf;...;root". kind is task, idle (the idle
// task was the current one) or user.
type captured struct {
	count  int
	kind   string
	frames []string
}

func readCaptured(t *testing.T, name string) []captured {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".txt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []captured
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		p := strings.SplitN(sc.Text(), " ", 3)
		n, err := strconv.Atoi(p[0])
		if err != nil || len(p) != 3 {
			t.Fatalf("%s: %q", name, sc.Text())
		}
		c := captured{count: n, kind: p[1]}
		if p[2] != "" {
			c.frames = strings.Split(p[2], ";")
		}
		out = append(out, c)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCapturedStreamsHaveLittleOther holds every capture against what must be in it:
// at most 2 % other, and the stages that such a load can't do without.
func TestCapturedStreamsHaveLittleOther(t *testing.T) {
	for _, tc := range []struct {
		name     string
		stages   []Stage
		contexts []Context
	}{
		{"tcp-stream-veth-napi-thread", []Stage{Driver, NAPI, IP, TCP, Socket, Copy, Checksum, Alloc, Wakeup, Locks, Timers, Xmit, Syscall}, []Context{InNAPI, InSoftIRQ, InSyscall}},
		{"tcp-stream-loopback-ipv4", []Stage{Driver, NAPI, IP, TCP, Socket, Copy, Alloc, Wakeup, Timers, Xmit, Syscall}, []Context{InSoftIRQ, InSyscall}},
		{"tcp-stream-loopback-ipv6", []Stage{Driver, NAPI, IP, TCP, Socket, Copy, Alloc, Wakeup, Timers, Xmit, Syscall}, []Context{InSoftIRQ, InSyscall}},
		{"tcp-rr-ipv4", []Stage{NAPI, IP, TCP, Socket, Alloc, Wakeup, Timers, Xmit, Syscall}, []Context{InSoftIRQ, InSyscall}},
		{"tcp-rr-ipv6", []Stage{NAPI, IP, TCP, Socket, Alloc, Wakeup, Timers, Xmit, Syscall}, []Context{InSoftIRQ, InSyscall}},
		{"udp-stream-ipv4", []Stage{NAPI, IP, UDP, Socket, Copy, Alloc, Wakeup, Xmit, Syscall}, []Context{InSoftIRQ, InSyscall}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := NewClassifier()
			stages, contexts, other := map[Stage]int{}, map[Context]int{}, map[string]int{}
			kernel, skid := 0, 0
			for _, s := range readCaptured(t, tc.name) {
				if s.kind == "user" {
					continue
				}
				r := c.Classify(s.frames, s.kind == "idle")
				if r.Stage == Idle {
					continue
				}
				kernel += s.count
				stages[r.Stage] += s.count
				contexts[r.Context] += s.count
				if r.Skid {
					skid += s.count
				}
				if r.Stage == Other {
					other[strings.Join(s.frames, ";")] += s.count
				}
			}
			share := float64(stages[Other]) / float64(kernel)
			t.Logf("%d kernel samples, other %.2f %%, skid %.1f %%, %v, %v", kernel, 100*share, 100*float64(skid)/float64(kernel), stages, contexts)
			if share > 0.02 {
				t.Errorf("other is %.1f %%, want at most 2: %v", 100*share, other)
			}
			for _, s := range tc.stages {
				if stages[s] == 0 {
					t.Errorf("no sample in stage %s", s)
				}
			}
			for _, x := range tc.contexts {
				if contexts[x] == 0 {
					t.Errorf("no sample in context %s", x)
				}
			}
		})
	}
}

// The stacks below are out of the captures, but for those of other drivers and
// machines, which are after their kernel sources.
const (
	send    = ";tcp_sendmsg;sock_write_iter;vfs_write;ksys_write;do_syscall_64;entry_SYSCALL_64_after_hwframe"
	recv    = ";tcp_recvmsg_locked;tcp_recvmsg;sock_recvmsg;__sys_recvfrom;__x64_sys_recvfrom;do_syscall_64;entry_SYSCALL_64_after_hwframe"
	nested  = ";net_rx_action;handle_softirqs;do_softirq.part.0;__local_bh_enable_ip;__dev_queue_xmit;ip_finish_output2;ip_output;__ip_queue_xmit;__tcp_transmit_skb;tcp_write_xmit" + send
	thread  = ";veth_poll;__napi_poll;napi_threaded_poll_loop;napi_threaded_poll;kthread;ret_from_fork;ret_from_fork_asm"
	idle    = ";do_idle;cpu_startup_entry;start_secondary;common_startup_64"
	irqExit = ";handle_softirqs;__irq_exit_rcu;common_interrupt;asm_common_interrupt"
)

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		stack   string
		idle    bool
		stage   Stage
		context Context
		skid    bool
	}{
		{"_copy_from_iter;tcp_sendmsg_locked" + send, false, Copy, InSyscall, false},
		{"tcp_sendmsg_locked" + send, false, TCP, InSyscall, false},
		{"__check_object_size;simple_copy_to_iter;__skb_datagram_iter;skb_copy_datagram_iter" + recv, false, Copy, InSyscall, false},
		{"skb_release_data;__kfree_skb" + recv, false, Alloc, InSyscall, false},
		{"__rcu_read_lock;tcp_v4_rcv;ip_protocol_deliver_rcu;ip_local_deliver_finish;__netif_receive_skb_one_core;process_backlog;__napi_poll" + nested, false, TCP, InSoftIRQ, false},
		{"ip_protocol_deliver_rcu;ip_local_deliver_finish;__netif_receive_skb_one_core;process_backlog;__napi_poll" + nested, false, IP, InSoftIRQ, false},
		{"_raw_spin_unlock_irqrestore;sock_def_readable;tcp_data_queue;tcp_rcv_established;tcp_v4_do_rcv;tcp_v4_rcv" + nested, false, Wakeup, InSoftIRQ, true},
		{"_raw_spin_unlock_irqrestore;__mod_timer;sk_reset_timer;tcp_write_xmit" + send, false, Timers, InSyscall, true},
		{"_raw_spin_unlock_bh;release_sock;tcp_sendmsg" + send, false, Locks, InSyscall, false},
		{"release_sock" + send, false, Socket, InSyscall, false},
		{"__pv_queued_spin_lock_slowpath;_raw_spin_lock_bh;lock_sock_nested" + send, false, Locks, InSyscall, false},
		{"memset;__alloc_skb;skb_segment;tcp_gso_segment", false, Alloc, InKThread, false},
		{"skb_segment;tcp_gso_segment;inet_gso_segment;skb_mac_gso_segment;__skb_gso_segment;validate_xmit_skb.isra.0;__dev_queue_xmit" + nested, false, Xmit, InSoftIRQ, false},
		{"tcp_gro_receive;tcp4_gro_receive;inet_gro_receive;dev_gro_receive;gro_receive_skb;veth_xdp_rcv" + thread, false, NAPI, InNAPI, false},
		{"veth_xdp_rcv" + thread, false, Driver, InNAPI, false},
		{"tcp_v4_send_check;__tcp_transmit_skb;tcp_write_xmit" + send, false, Checksum, InSyscall, false},
		{"csum_partial;__skb_checksum;tcp_v4_rcv" + thread, false, Checksum, InNAPI, false},
		{"finish_task_switch.isra.0;__schedule;schedule;schedule_timeout;wait_woken;sk_wait_data" + recv, false, Wakeup, InSyscall, true},
		{"do_syscall_64;entry_SYSCALL_64_after_hwframe", false, Syscall, InSyscall, false},
		{"udp_sendmsg;sock_write_iter;vfs_write;ksys_write;do_syscall_64", false, UDP, InSyscall, false},
		{"pv_native_safe_halt;default_idle;default_idle_call" + idle, true, Idle, InIdle, false},
		{"tick_nohz_idle_exit" + idle, true, Timers, InIdleTask, false},
		{"handle_softirqs;__irq_exit_rcu;sysvec_apic_timer_interrupt;asm_sysvec_apic_timer_interrupt;pv_native_safe_halt;default_idle" + idle, true, Interrupt, InSoftIRQ, true},
		{"tcp_v4_rcv;ip_protocol_deliver_rcu;__netif_receive_skb_core;net_rx_action" + irqExit + ";pv_native_safe_halt" + idle, true, TCP, InSoftIRQ, false},
		{"some_new_nic_clean_rx;some_new_nic_poll;__napi_poll;net_rx_action" + irqExit, false, Driver, InSoftIRQ, false},
		{"unknown_isr;__handle_irq_event_percpu;handle_irq_event;common_interrupt;asm_common_interrupt", false, Driver, InIRQ, false},
		{"try_to_wake_up;flush_smp_call_function_queue;sysvec_call_function_single;asm_sysvec_call_function_single", true, Wakeup, InIPI, false},
		{"clear_page_erms;get_page_from_freelist;do_anonymous_page;exc_page_fault;asm_exc_page_fault", false, Alloc, InFault, false},
		{"bpf_prog_d59439af8600c612_on_softirq_entry;bpf_trace_run1;handle_softirqs;do_softirq.part.0" + nested, false, Trace, InSoftIRQ, false},
		{"tcp_rcv_established;tcp_v4_do_rcv;__release_sock;release_sock;tcp_recvmsg;inet_recvmsg;__sys_recvfrom;__arm64_sys_recvfrom;invoke_syscall;el0_svc_common;do_el0_svc;el0_svc;el0t_64_sync_handler", false, TCP, InSyscall, false},
		{"wholly_unknown;kthread;ret_from_fork;ret_from_fork_asm", false, Other, InKThread, false},
		{"", false, Load, InUser, false},
	} {
		var frames []string
		if tc.stack != "" {
			frames = strings.Split(tc.stack, ";")
		}
		got := NewClassifier().Classify(frames, tc.idle)
		if got.Stage != tc.stage || got.Context != tc.context || got.Skid != tc.skid {
			t.Errorf("%.60s...: %s in %s (skid %v), want %s in %s (%v)", tc.stack, got.Stage, got.Context, got.Skid, tc.stage, tc.context, tc.skid)
		}
	}
}

// TestDocumentShowsTheTable holds doc/profile-stages.md against the rules.
func TestDocumentShowsTheTable(t *testing.T) {
	name := filepath.Join("..", "..", "..", "doc", "profile-stages.md")
	want := Document()
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, table, ok := strings.Cut(string(got), Marker); !ok || strings.TrimSpace(table) != strings.TrimSpace(want) {
		t.Errorf("%s is not of these rules: replace what follows its marker by the output of: go test ./internal/profile/stage -run Document -v", name)
		fmt.Println(want)
	}
}

func TestEveryRuleIsOfAKnownStage(t *testing.T) {
	known := map[Stage]bool{}
	for _, s := range Stages() {
		known[s.Stage] = true
	}
	seen := map[string]Stage{}
	for _, r := range rules {
		if !known[r.stage] {
			t.Errorf("stage %q is not in Stages", r.stage)
		}
		for _, f := range r.functions {
			if first, twice := seen[f]; twice {
				t.Errorf("%s stands in %s and %s", f, first, r.stage)
			}
			seen[f] = r.stage
		}
	}
}
