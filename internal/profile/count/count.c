//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//
// Counts events of the network stack, and nothing else: an event costs a look-up
// and an addition in memory of its own CPU. Counters only grow; the reader takes
// differences. What belongs to a NIC or a network namespace is counted by it.
//
// A program is attached only for the pass that it belongs to, see count.go.

#include "../kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum counter {
	SWITCH,
	SWITCH_TO_IDLE,
	SWITCH_PREEMPTED,
	WAKEUP,
	WAKEUP_REMOTE,
	MIGRATION,
	KMALLOC,
	KMALLOC_BYTES,
	KFREE,
	PAGE_ALLOC,
	PAGES_ALLOC,
	PAGE_FREE,
	PAGES_FREE,
	PAGE_POOL_HOLD,
	PAGE_POOL_RELEASE,
	SKB_CONSUMED,
	SKB_DROPPED,
	SKB_FREED_REMOTE,
	COPY_TO_USER,
	COPY_TO_USER_BYTES,
	COPY_REMOTE_BYTES,
	TCP_SEGMENT,
	TCP_RETRANSMIT,
	LOST, /* events that no entry could be made for */
	COUNTERS = 32,
};

/* keeps the names in the object, for the reader */
const enum counter *names_kept __attribute__((unused));

struct counts {
	__u64 n[COUNTERS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counts);
} counters SEC(".maps");

struct nic_key {
	__u32 netns;   /* inode of the network namespace */
	__u32 ifindex; /* 0: what belongs to no NIC, such as the backlog and sockets */
};

struct nic {
	__u64 polls;
	__u64 work;
	__u64 polls_empty;
	__u64 polls_full;
	__u64 gro_frames;
	__u64 gro_bytes;
	__u64 received;
	__u64 received_bytes;
	__u64 netif_rx;
	__u64 xmit;
	__u64 xmit_bytes;
	__u64 xmit_failed;
	__u64 send_calls;
	__u64 send_bytes;
	__u64 recv_calls;
	__u64 recv_bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 512); /* each takes 128 bytes a CPU */
	__type(key, struct nic_key);
	__type(value, struct nic);
} nics SEC(".maps");

struct cache {
	__u64 allocs;
	__u64 frees;
	char name[32];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 384);
	__type(key, __u64);
	__type(value, struct cache);
} caches SEC(".maps");

static __always_inline void add(__u32 which, __u64 n)
{
	__u32 zero = 0;
	struct counts *c = bpf_map_lookup_elem(&counters, &zero);

	if (c && which < COUNTERS)
		c->n[which] += n;
}

static __always_inline struct nic *nic_of(__u32 netns, __u32 ifindex)
{
	struct nic_key key = { netns, ifindex };
	struct nic *n = bpf_map_lookup_elem(&nics, &key);
	struct nic fresh = {};

	if (n)
		return n;
	bpf_map_update_elem(&nics, &key, &fresh, BPF_NOEXIST);
	n = bpf_map_lookup_elem(&nics, &key);
	if (!n)
		add(LOST, 1);
	return n;
}

static __always_inline struct nic *nic_of_dev(struct net_device *dev)
{
	if (!dev)
		return nic_of(0, 0);
	return nic_of(dev->nd_net.net->ns.inum, dev->ifindex);
}

/* The light pass: nothing here happens once a frame, and nothing that the kernel itself counts. */

SEC("tp_btf/napi_poll")
int BPF_PROG(light_napi_poll, struct napi_struct *napi, int work, int budget)
{
	struct nic *n = nic_of_dev(napi->dev);

	if (!n)
		return 0;
	n->polls++;
	n->work += work;
	if (!work)
		n->polls_empty++;
	else if (work >= budget)
		n->polls_full++;
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(light_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 zero = 0;
	struct counts *c = bpf_map_lookup_elem(&counters, &zero);

	if (!c)
		return 0;
	c->n[SWITCH]++;
	if (!next->pid)
		c->n[SWITCH_TO_IDLE]++;
	else if (preempt)
		c->n[SWITCH_PREEMPTED]++;
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(light_sched_wakeup, struct task_struct *p)
{
	__u32 zero = 0;
	struct counts *c = bpf_map_lookup_elem(&counters, &zero);

	if (!c)
		return 0;
	c->n[WAKEUP]++;
	if (p->wake_cpu != bpf_get_smp_processor_id())
		c->n[WAKEUP_REMOTE]++;
	return 0;
}

SEC("raw_tp/sched_migrate_task")
int light_sched_migrate_task(void *ctx)
{
	add(MIGRATION, 1);
	return 0;
}

/* The per-frame pass. */

static __always_inline int gro(const struct sk_buff *skb)
{
	struct nic *n = nic_of_dev(skb->dev);

	if (n) {
		n->gro_frames++;
		n->gro_bytes += skb->len;
	}
	return 0;
}

SEC("tp_btf/napi_gro_receive_entry")
int BPF_PROG(frame_napi_gro_receive_entry, const struct sk_buff *skb)
{
	return gro(skb);
}

SEC("tp_btf/napi_gro_frags_entry")
int BPF_PROG(frame_napi_gro_frags_entry, const struct sk_buff *skb)
{
	return gro(skb);
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(frame_netif_receive_skb, struct sk_buff *skb)
{
	struct nic *n = nic_of_dev(skb->dev);

	if (n) {
		n->received++;
		n->received_bytes += skb->len;
	}
	return 0;
}

SEC("tp_btf/netif_rx")
int BPF_PROG(frame_netif_rx, struct sk_buff *skb)
{
	struct nic *n = nic_of_dev(skb->dev);

	if (n)
		n->netif_rx++;
	return 0;
}

SEC("tp_btf/net_dev_xmit")
int BPF_PROG(frame_net_dev_xmit, struct sk_buff *skb, int rc, struct net_device *dev, unsigned int len)
{
	struct nic *n = nic_of_dev(dev);

	if (!n)
		return 0;
	if (rc) {
		n->xmit_failed++;
		return 0;
	}
	n->xmit++;
	n->xmit_bytes += len;
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(frame_sock_send_length, struct sock *sk, int ret, int flags)
{
	struct nic *n;

	if (ret < 0)
		return 0;
	n = nic_of(sk->__sk_common.skc_net.net->ns.inum, 0);
	if (n) {
		n->send_calls++;
		n->send_bytes += ret;
	}
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(frame_sock_recv_length, struct sock *sk, int ret, int flags)
{
	struct nic *n;

	if (ret < 0 || flags & 2 /* MSG_PEEK */)
		return 0;
	n = nic_of(sk->__sk_common.skc_net.net->ns.inum, 0);
	if (n) {
		n->recv_calls++;
		n->recv_bytes += ret;
	}
	return 0;
}

static __always_inline bool remote(const struct sk_buff *skb)
{
	__u16 cpu = 0;

	if (!bpf_core_field_exists(skb->alloc_cpu))
		return false;
	BPF_CORE_READ_INTO(&cpu, skb, alloc_cpu);
	return cpu != bpf_get_smp_processor_id();
}

SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(frame_skb_copy_datagram_iovec, const struct sk_buff *skb, int len)
{
	__u32 zero = 0;
	struct counts *c = bpf_map_lookup_elem(&counters, &zero);

	if (!c)
		return 0;
	c->n[COPY_TO_USER]++;
	c->n[COPY_TO_USER_BYTES] += len;
	if (remote(skb))
		c->n[COPY_REMOTE_BYTES] += len;
	return 0;
}

static __always_inline struct cache *cache_of(const struct kmem_cache *s)
{
	__u64 key = (__u64)s;
	struct cache *c = bpf_map_lookup_elem(&caches, &key);
	struct cache fresh = {};

	if (c)
		return c;
	bpf_probe_read_kernel_str(fresh.name, sizeof(fresh.name), s->name);
	bpf_map_update_elem(&caches, &key, &fresh, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&caches, &key);
	if (!c)
		add(LOST, 1);
	return c;
}

SEC("tp_btf/kmem_cache_alloc")
int BPF_PROG(frame_kmem_cache_alloc, unsigned long site, const void *ptr, struct kmem_cache *s)
{
	struct cache *c = cache_of(s);

	if (c)
		c->allocs++;
	return 0;
}

SEC("tp_btf/kmem_cache_free")
int BPF_PROG(frame_kmem_cache_free, unsigned long site, const void *ptr, const struct kmem_cache *s)
{
	struct cache *c = cache_of(s);

	if (!c)
		return 0;
	c->frees++;
	/* skbuff_head_cache and skbuff_fclone_cache hold struct sk_buff */
	if (c->name[0] == 's' && c->name[1] == 'k' && c->name[2] == 'b' && c->name[3] == 'u' &&
	    (c->name[7] == 'h' || c->name[7] == 'f') && remote(ptr))
		add(SKB_FREED_REMOTE, 1);
	return 0;
}

SEC("raw_tp/kmalloc")
int frame_kmalloc(struct bpf_raw_tracepoint_args *ctx)
{
	add(KMALLOC, 1);
	add(KMALLOC_BYTES, ctx->args[3]);
	return 0;
}

SEC("raw_tp/kfree")
int frame_kfree(struct bpf_raw_tracepoint_args *ctx)
{
	if (ctx->args[1]) /* kfree(NULL) frees nothing */
		add(KFREE, 1);
	return 0;
}

SEC("raw_tp/mm_page_alloc")
int frame_mm_page_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	add(PAGE_ALLOC, 1);
	add(PAGES_ALLOC, 1ULL << (ctx->args[1] & 31));
	return 0;
}

SEC("raw_tp/mm_page_free")
int frame_mm_page_free(struct bpf_raw_tracepoint_args *ctx)
{
	add(PAGE_FREE, 1);
	add(PAGES_FREE, 1ULL << (ctx->args[1] & 31));
	return 0;
}

SEC("raw_tp/page_pool_state_hold")
int frame_page_pool_state_hold(void *ctx)
{
	add(PAGE_POOL_HOLD, 1);
	return 0;
}

SEC("raw_tp/page_pool_state_release")
int frame_page_pool_state_release(void *ctx)
{
	add(PAGE_POOL_RELEASE, 1);
	return 0;
}

SEC("raw_tp/consume_skb")
int frame_consume_skb(void *ctx)
{
	add(SKB_CONSUMED, 1);
	return 0;
}

SEC("raw_tp/kfree_skb")
int frame_kfree_skb(void *ctx)
{
	add(SKB_DROPPED, 1);
	return 0;
}

SEC("raw_tp/tcp_probe")
int frame_tcp_probe(void *ctx)
{
	add(TCP_SEGMENT, 1);
	return 0;
}

SEC("raw_tp/tcp_retransmit_skb")
int frame_tcp_retransmit_skb(void *ctx)
{
	add(TCP_RETRANSMIT, 1);
	return 0;
}
