//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//
// Where does each CPU spend its time? At every instant a CPU is in exactly one
// class (enum class). Every event charges the segment since the previous event
// to the class the CPU was in, then works out the new class. The classes of a
// CPU therefore always sum to (since - start); the reader uses that to detect
// torn reads, and adds the segment in progress itself.
//
// Nesting: an interrupt is charged to IRQ whatever it interrupts; a softirq to
// SOFTIRQ whether it runs on interrupt exit, under local_bh_enable() in a
// system call or in ksoftirqd. Both are attributed as well to the process they
// ran over.
//
// Concurrency: only the CPU itself writes its struct cpu. Of the tracepoints
// used only softirq_entry and softirq_exit are hit with interrupts enabled
// (kernel/softirq.c, handle_softirqs), so only the interrupt programs can come
// in the middle of another one. They see an odd sequence number and step back:
// that interrupt (a few in a million events) stays in the outer class.
//
// Missed events: there are virtual machines on which a patched-in tracepoint is
// not executed by every task (sched_switch out of an early process, or
// sched_switch and cpu_idle in the idle loop of a CPU). Hence no event is
// trusted to have been preceded by the right one: each compares the current
// task with the one noted and, where a switch was missed, divides the segment by
// the scheduler's own account (se.sum_exec_runtime). An interrupt that comes
// over the idle task comes out of a halt, seen or not, for the idle loop
// enables interrupts nowhere else (unless it polls). What is lost is the idle
// task's own work around a halt that was not reported: it falls to the halt and to
// the task that follows.

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum class {
	TASK,
	SOFTIRQ,
	IRQ,
	IDLE_BUSY, /* idle task, not halted */
	HALTED,
	OFFLINE,
	CLASSES = 8, /* a power of two, so that an index can be masked */
};

struct cpu {
	__u64 seq;   /* odd while being written */
	__u64 start; /* CLOCK_MONOTONIC of the first event; 0: none yet */
	__u64 since; /* start of the segment in progress */
	__u64 ns[CLASSES];   /* all time up to since */
	__u64 cur[CLASSES];  /* the part of ns not yet flushed to the current process */
	__u64 idle[CLASSES]; /* the part of ns spent over the idle task */
	__u32 class;
	__u32 tgid;   /* current process, 0 is the idle task */
	__u32 kthread;
	__u32 irq;    /* depth */
	__u32 softirq;
	__u32 halted;
	__u32 offline;
	__u32 polling; /* in a cpuidle state that polls */
	__u64 task;    /* struct task_struct of the current task */
	__u64 exec;    /* its se.sum_exec_runtime when it was switched to */
	__u64 stint;   /* time charged since, in all classes */
	__u64 events;
	__u64 dropped;   /* flushes lost because procs was full */
	__u64 dropped_ns;
	__u64 deferred;  /* interrupts that came within another program */
	__u64 anomalies; /* events that do not fit the state */
	__u64 missed;    /* switches that were not seen */
	__u64 missed_ns; /* the segments in which they lay, where nothing tells how to divide them */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set to the number of possible CPUs by the loader */
	__type(key, __u32);
	__type(value, struct cpu);
} cpus SEC(".maps");

struct proc_key {
	__u32 cpu;
	__u32 tgid;
};

struct proc {
	__u64 ns[3]; /* TASK, SOFTIRQ, IRQ */
	__u64 last;  /* CLOCK_MONOTONIC of the last flush */
	__u32 kthread;
	__u32 flushes;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct proc_key);
	__type(value, struct proc);
} procs SEC(".maps");

/* Bit N set: cpuidle state N polls, the CPU is not halted in it. */
const volatile __u32 polling_states = 1;
/* False when the cpu_idle tracepoint is absent: the idle task counts as halted. */
const volatile __u8 idle_traced = 1;

#define barrier() asm volatile("" ::: "memory")

static __always_inline struct cpu *this_cpu(void)
{
	__u32 n = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&cpus, &n);
}

static __always_inline void set_class(struct cpu *c)
{
	if (c->irq)
		c->class = IRQ;
	else if (c->softirq)
		c->class = SOFTIRQ;
	else if (c->tgid)
		c->class = TASK;
	else if (c->offline)
		c->class = OFFLINE;
	else
		c->class = c->halted ? HALTED : IDLE_BUSY;
}

static __always_inline void charge(struct cpu *c, __u32 class, __u64 d)
{
	__u64 k = class;

	/* by hand, lest the compiler find a form that the verifier cannot follow */
	asm volatile("%0 &= 7" : "+r"(k));
	c->ns[k] += d;
	c->stint += d;
	if (c->tgid)
		c->cur[k] += d;
	else
		c->idle[k] += d;
}

/* flush moves what the current process used on this CPU to its entry. */
static __always_inline void flush(struct cpu *c, __u64 now)
{
	struct proc_key key = { bpf_get_smp_processor_id(), c->tgid };
	struct task_struct *task = (void *)c->task, *leader;
	struct proc *p;
	__u32 n;

	if (!c->tgid)
		return;
	p = bpf_map_lookup_elem(&procs, &key);
	if (!p) {
		struct proc fresh = {};

		bpf_map_update_elem(&procs, &key, &fresh, BPF_NOEXIST);
		p = bpf_map_lookup_elem(&procs, &key);
	}
	if (p) {
		p->ns[TASK] += c->cur[TASK];
		p->ns[SOFTIRQ] += c->cur[SOFTIRQ];
		p->ns[IRQ] += c->cur[IRQ];
		p->last = now;
		p->kthread = c->kthread;
		n = p->flushes++;
		/* exec changes the name: look again, ever more rarely */
		if ((!(n & (n - 1)) || !(n & 63)) && BPF_CORE_READ(task, tgid) == c->tgid) {
			leader = BPF_CORE_READ(task, group_leader);
			bpf_probe_read_kernel(p->comm, sizeof(p->comm), &leader->comm);
		}
	} else {
		c->dropped++;
		c->dropped_ns += c->cur[TASK] + c->cur[SOFTIRQ] + c->cur[IRQ];
	}
	c->cur[TASK] = 0;
	c->cur[SOFTIRQ] = 0;
	c->cur[IRQ] = 0;
}

/* become notes the task that runs from now on. */
static __always_inline void become(struct cpu *c, struct task_struct *task, __u64 now)
{
	__u32 tgid = BPF_CORE_READ(task, tgid);

	if (tgid != c->tgid) {
		flush(c, now);
		c->tgid = tgid;
		c->kthread = !!(BPF_CORE_READ(task, flags) & PF_KTHREAD);
	}
	c->task = (__u64)task;
	c->exec = BPF_CORE_READ(task, se.sum_exec_runtime);
	c->stint = 0;
}

/*
 * resync charges a segment of length d in which the CPU went from the noted task
 * to another one unseen.
 */
static __noinline int resync(struct cpu *c, struct task_struct *task, __u64 d, __u64 now, bool interrupt)
{
	struct task_struct *old;
	__u64 part = 0, ran;
	__u32 rest;

	if (!c)
		return 0;
	old = (void *)c->task;
	if (!c->offline)
		c->missed++;
	c->irq = 0;
	c->softirq = 0;
	if (c->tgid) {
		/* the tgid guards against memory that holds another task by now */
		if (BPF_CORE_READ(old, tgid) == c->tgid) {
			ran = BPF_CORE_READ(old, se.sum_exec_runtime) - c->exec;
			if (ran > c->stint)
				part = ran - c->stint;
			if (part > d)
				part = d;
		} else {
			c->missed_ns += d;
		}
		charge(c, c->class, part);
	} else if (c->class == HALTED || c->class == OFFLINE) {
		/* woken by something untraced */
		if (!c->offline)
			c->missed_ns += d;
		part = d;
		charge(c, c->class, part);
	} /* else the idle task was on its way out: what came next gets it all */
	become(c, task, now);
	rest = TASK;
	if (!c->tgid)
		rest = interrupt && !c->polling ? HALTED : IDLE_BUSY;
	if (c->offline)
		rest = OFFLINE;
	charge(c, rest, d - part);
	c->halted = !idle_traced;
	return 0;
}

/*
 * begin opens an update: it charges the segment that ends now. interrupt tells
 * that an interrupt ended it.
 */
static __always_inline __u64 begin(struct cpu *c, bool interrupt)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 now, d;
	__u32 class;

	(*(volatile __u64 *)&c->seq)++;
	barrier();
	now = bpf_ktime_get_ns();
	d = now - c->since;
	class = c->class;
	if (!c->start) {
		c->start = now;
		become(c, task, now);
		c->halted = !idle_traced;
	} else if ((__u64)task != c->task) {
		resync(c, task, d, now, interrupt);
	} else {
		if (interrupt && class == IDLE_BUSY && !c->polling)
			class = HALTED;
		charge(c, class, d);
	}
	c->since = now;
	c->events++;
	return now;
}

static __always_inline void end(struct cpu *c)
{
	set_class(c);
	barrier();
	(*(volatile __u64 *)&c->seq)++;
}

/* wake ends a halt: whatever happens on a CPU, it happens on one that runs. */
static __always_inline void wake(struct cpu *c)
{
	if (idle_traced)
		c->halted = 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct cpu *c = this_cpu();
	__u64 now;

	if (!c)
		return 0;
	now = begin(c, false);
	if (c->irq || c->softirq) {
		/* PREEMPT_RT switches within softirqs; elsewhere this is an event missed */
		c->anomalies++;
		c->irq = 0;
		c->softirq = 0;
	}
	wake(c);
	c->polling = 0;
	become(c, next, now);
	end(c);
	return 0;
}

SEC("raw_tp/softirq_entry")
int on_softirq_entry(void *ctx)
{
	struct cpu *c = this_cpu();

	if (!c)
		return 0;
	begin(c, false);
	wake(c);
	c->softirq = 1;
	end(c);
	return 0;
}

SEC("raw_tp/softirq_exit")
int on_softirq_exit(void *ctx)
{
	struct cpu *c = this_cpu();

	if (!c)
		return 0;
	begin(c, false);
	wake(c);
	c->softirq = 0;
	end(c);
	return 0;
}

/* Attached to every tracepoint at which a hardware interrupt begins. */
SEC("raw_tp/irq_handler_entry")
int on_irq_entry(void *ctx)
{
	struct cpu *c = this_cpu();

	if (!c)
		return 0;
	if (c->seq & 1) {
		c->deferred++;
		return 0;
	}
	begin(c, true);
	wake(c);
	c->irq++;
	end(c);
	return 0;
}

SEC("raw_tp/irq_handler_exit")
int on_irq_exit(void *ctx)
{
	struct cpu *c = this_cpu();

	if (!c || c->seq & 1)
		return 0;
	begin(c, false);
	wake(c);
	if (c->irq)
		c->irq--;
	end(c);
	return 0;
}

SEC("raw_tp/cpu_idle")
int on_cpu_idle(struct bpf_raw_tracepoint_args *ctx)
{
	struct cpu *c = this_cpu();
	__u32 state = ctx->args[0];

	if (!c)
		return 0;
	begin(c, false);
	c->halted = 0;
	c->polling = 0;
	if (state != PWR_EVENT_EXIT) {
		c->polling = state < 32 && polling_states >> state & 1;
		c->halted = !c->polling;
	}
	end(c);
	return 0;
}

/*
 * A CPU that goes offline tears its callbacks down in a thread of its own, and
 * sets them up again there when it comes back (kernel/cpu.c, cpuhp_thread_fun).
 * In between tracepoints are silent on it. Its idle time from the first to the
 * last of these is no idle time.
 */
SEC("raw_tp/cpuhp_enter")
int on_cpuhp(struct bpf_raw_tracepoint_args *ctx)
{
	struct cpu *c = this_cpu();
	int target = ctx->args[1], step = ctx->args[2];

	if (!c || (__u32)ctx->args[0] != bpf_get_smp_processor_id())
		return 0;
	begin(c, false);
	wake(c);
	c->offline = target < step;
	end(c);
	return 0;
}

/*
 * Run on a CPU by the loader, so that no CPU's state is unknown, and by the
 * reader, so that a switch missed long ago is known.
 */
SEC("raw_tp/seed")
int seed(void *ctx)
{
	struct cpu *c = this_cpu();

	if (!c || c->seq & 1)
		return 0;
	begin(c, true);
	end(c);
	return 0;
}
