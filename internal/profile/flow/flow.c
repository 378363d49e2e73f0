//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//
// For each receive call: which CPU ran the softirq that the socket's last segment came
// in on (sk_incoming_cpu), and which runs the reader. Nothing happens once a frame but
// the check of which CPU allocated a buffer when it is copied.

#include "../kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct flow {
	__u32 netns;
	__u32 family;
	__u32 protocol;
	__u32 reader; /* process */
	__u32 last_cpu;     /* of the reader, plus one; 0: none yet */
	__u32 last_softirq; /* plus one */
	__u64 migrations;   /* of the reader between two receive calls */
	__u64 moves;        /* of the softirq between two receive calls */
	__u64 copied;        /* bytes copied out of buffers */
	__u64 copied_remote; /* of them, out of buffers that another CPU allocated */
	__u16 local_port;
	__u16 peer_port;
	__u8 local[16];
	__u8 peer[16];
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* id */
	__type(value, struct flow);
} flows SEC(".maps");

/* The memory of a closed socket may hold another by now: the ports tell. */
struct known {
	__u64 id;
	__u16 local_port;
	__u16 peer_port;
	__u32 netns;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* struct sock */
	__type(value, struct known);
} socks SEC(".maps");

struct pair {
	__u64 id;
	__u32 softirq; /* CPU; ~0 where not known */
	__u32 reader;  /* CPU */
};

struct bytes {
	__u64 calls;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct pair);
	__type(value, struct bytes);
} pairs SEC(".maps");

struct wakes {
	__u64 all;
	__u64 remote; /* the woken task was put on another CPU than the waker's */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32); /* process */
	__type(value, struct wakes);
} wakeups SEC(".maps");

/* events for which there was no room, by CPU */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __always_inline void lose(void)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&lost, &zero);

	if (n)
		(*n)++;
}

static __always_inline void describe(struct flow *f, struct sock *sk)
{
	struct sock_common *c = &sk->__sk_common;

	f->netns = c->skc_net.net->ns.inum;
	f->family = c->skc_family;
	f->protocol = sk->sk_protocol;
	f->local_port = c->skc_num;
	f->peer_port = bpf_ntohs(c->skc_dport);
	if (c->skc_family == 10) {
		BPF_CORE_READ_INTO(&f->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&f->peer, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	} else {
		*(__u32 *)f->local = c->skc_rcv_saddr;
		*(__u32 *)f->peer = c->skc_daddr;
	}
	f->reader = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(f->comm, sizeof(f->comm));
}

/* id_of is the id of the flow on a socket, 0 where it is not known. */
static __always_inline __u64 id_of(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct known *k = bpf_map_lookup_elem(&socks, &key);

	if (k && k->local_port == sk->__sk_common.skc_num && k->peer_port == (__u16)bpf_ntohs(sk->__sk_common.skc_dport) &&
	    k->netns == sk->__sk_common.skc_net.net->ns.inum)
		return k->id;
	return 0;
}

/* begin makes a flow for a socket that has none yet. */
static __always_inline __u64 begin(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct flow fresh = {};
	struct known k = {};

	describe(&fresh, sk);
	k.id = bpf_ktime_get_ns() << 8 | (bpf_get_smp_processor_id() & 255);
	k.local_port = fresh.local_port;
	k.peer_port = fresh.peer_port;
	k.netns = fresh.netns;
	if (bpf_map_update_elem(&flows, &k.id, &fresh, BPF_ANY) || bpf_map_update_elem(&socks, &key, &k, BPF_ANY)) {
		lose();
		return 0;
	}
	return k.id;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(flow_sock_recv_length, struct sock *sk, int ret, int flags)
{
	struct pair key = {};
	struct bytes *b, fresh = {};
	struct flow *f;
	__u16 family;

	if (ret <= 0 || flags & 2 /* MSG_PEEK */)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family != 2 && family != 10) /* AF_INET, AF_INET6 */
		return 0;
	key.id = id_of(sk);
	if (!key.id)
		key.id = begin(sk);
	f = bpf_map_lookup_elem(&flows, &key.id);
	if (!f)
		return 0;
	key.softirq = sk->__sk_common.skc_incoming_cpu;
	key.reader = bpf_get_smp_processor_id();
	if (f->last_cpu && f->last_cpu != key.reader + 1)
		f->migrations++;
	if (f->last_softirq && f->last_softirq != key.softirq + 1)
		f->moves++;
	f->last_cpu = key.reader + 1;
	f->last_softirq = key.softirq + 1;
	b = bpf_map_lookup_elem(&pairs, &key);
	if (!b) {
		bpf_map_update_elem(&pairs, &key, &fresh, BPF_NOEXIST);
		b = bpf_map_lookup_elem(&pairs, &key);
	}
	if (!b) {
		lose();
		return 0;
	}
	__sync_fetch_and_add(&b->calls, 1);
	__sync_fetch_and_add(&b->bytes, ret);
	return 0;
}

SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(flow_skb_copy_datagram_iovec, const struct sk_buff *skb, int len)
{
	struct sock *sk = skb->sk;
	struct flow *f;
	__u64 id;

	if (!sk || !bpf_core_field_exists(skb->alloc_cpu))
		return 0;
	id = id_of(sk);
	f = bpf_map_lookup_elem(&flows, &id);
	if (!f)
		return 0;
	__sync_fetch_and_add(&f->copied, len);
	if (skb->alloc_cpu != bpf_get_smp_processor_id())
		__sync_fetch_and_add(&f->copied_remote, len);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(flow_sched_wakeup, struct task_struct *p)
{
	__u32 key = p->tgid;
	struct wakes *w = bpf_map_lookup_elem(&wakeups, &key), fresh = {};

	if (!w) {
		bpf_map_update_elem(&wakeups, &key, &fresh, BPF_NOEXIST);
		w = bpf_map_lookup_elem(&wakeups, &key);
	}
	if (!w) {
		lose();
		return 0;
	}
	w->all++;
	if (p->wake_cpu != bpf_get_smp_processor_id())
		w->remote++;
	return 0;
}
