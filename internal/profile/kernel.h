//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The few kernel types and constants that the programs below this directory need,
 * so that neither kernel headers nor a vmlinux.h of megabytes is wanted. Structures
 * are partial: offsets are relocated against the running kernel's BTF when loading.
 */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false, true };

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_F_FAST_STACK_CMP = 512 };

struct bpf_raw_tracepoint_args {
	__u64 args[0];
};

#define core __attribute__((preserve_access_index))

struct ns_common {
	unsigned int inum;
} core;

struct net {
	struct ns_common ns;
} core;

typedef struct {
	struct net *net;
} core possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} core;

struct napi_struct {
	struct net_device *dev;
} core;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
} core;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	union {
		int skc_incoming_cpu;
		__u32 skc_rcv_wnd;
	};
} core;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
} core;

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	__u16 alloc_cpu;
} core;

struct kmem_cache {
	const char *name;
} core;

struct task_struct {
	int pid;
	int tgid;
	int wake_cpu;
} core;
