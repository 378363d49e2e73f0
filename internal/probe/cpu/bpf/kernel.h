//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The few kernel types and constants that cputime.c needs, so that neither
 * kernel headers nor a vmlinux.h of megabytes is wanted. Structures are partial:
 * offsets are relocated against the running kernel's BTF when loading.
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
enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2 };
enum { BPF_NOEXIST = 1 };
enum { BPF_F_MMAPABLE = 1024 };

struct bpf_raw_tracepoint_args {
	__u64 args[0];
};

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
#define PWR_EVENT_EXIT ((__u32)-1) /* include/trace/events/power.h */

struct sched_entity {
	__u64 sum_exec_runtime;
} __attribute__((preserve_access_index));

struct task_struct {
	int tgid;
	unsigned int flags;
	struct task_struct *group_leader;
	char comm[16];
	struct sched_entity se;
} __attribute__((preserve_access_index));
