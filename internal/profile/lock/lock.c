//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//
// Who waited for which kind of lock, where, how often and how long: the contention
// tracepoints (Linux 5.19) around the slow paths of spin locks, rw locks, mutexes and
// semaphores. A lock that is free costs nothing here.

#include "../kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define DEPTH 24

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/* One wait of a CPU or task: softirqs interrupt tasks, so both are told apart by lock. */
struct wait_key {
	__u64 lock;
	__u64 who; /* task, or CPU where the idle task or an interrupt waits */
};

struct wait {
	__u64 since;
	__u32 flags;
	__s32 stack;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct wait_key);
	__type(value, struct wait);
} waits SEC(".maps");

struct site_key {
	__s32 stack; /* negative: the table of stacks collided */
	__u32 flags; /* LCB_F_ of include/trace/events/lock.h */
};

struct site {
	__u64 count;
	__u64 total_ns;
	__u64 longest_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct site_key);
	__type(value, struct site);
} sites SEC(".maps");

/* 0: waits without room, 1: stacks that collided */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __always_inline void lose(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&lost, &which);

	if (n)
		(*n)++;
}

static __always_inline __u64 who(void)
{
	__u64 task = bpf_get_current_pid_tgid();

	return task ? task : 1ULL << 63 | bpf_get_smp_processor_id();
}

SEC("tp_btf/contention_begin")
int BPF_PROG(lock_contention_begin, void *lock, unsigned int flags)
{
	struct wait_key key = { (__u64)lock, who() };
	struct wait w = { .flags = flags };

	w.stack = bpf_get_stackid(ctx, &stacks, 0);
	if (w.stack < 0)
		lose(1);
	w.since = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&waits, &key, &w, BPF_ANY))
		lose(0);
	return 0;
}

SEC("tp_btf/contention_end")
int BPF_PROG(lock_contention_end, void *lock, int ret)
{
	__u64 now = bpf_ktime_get_ns(), d;
	struct wait_key key = { (__u64)lock, who() };
	struct wait *w = bpf_map_lookup_elem(&waits, &key);
	struct site_key at;
	struct site *s, fresh = {};

	if (!w)
		return 0; /* began before the programs were there */
	at.stack = w->stack < 0 ? -1 : w->stack;
	at.flags = w->flags;
	d = now - w->since;
	bpf_map_delete_elem(&waits, &key);
	s = bpf_map_lookup_elem(&sites, &at);
	if (!s) {
		bpf_map_update_elem(&sites, &at, &fresh, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&sites, &at);
	}
	if (!s) {
		lose(0);
		return 0;
	}
	s->count++;
	s->total_ns += d;
	if (d > s->longest_ns)
		s->longest_ns = d;
	return 0;
}
