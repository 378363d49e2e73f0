package stage

import "strings"

// rule gives the functions of one stage. doc/profile-stages.md shows the table; a
// test holds it against this one.
type rule struct {
	stage     Stage
	functions []string
}

func names(s string) []string { return strings.Fields(s) }

// rules are tried in this order for each function: what is particular stands before
// what is general, so tcp_v4_send_check is checksum, not TCP.
var rules = []rule{
	{Trace, names(`bpf_prog_* bpf_trace_run* __bpf_trace_* __bpf_prog_* __traceiter_* bpf_get_stack* bpf_probe_read* bpf_ktime_get* bpf_map_* bpf_dispatcher_*
		bpf_ringbuf_* htab_* __htab_* perf_* __perf_* tracing_* trace_* ftrace_* stack_map_*`)},
	{Checksum, names(`csum_partial* csum_ipv6_magic csum_tcpudp* csum_block* do_csum __skb_checksum* skb_checksum* ip_fast_csum ip_compute_csum ip_send_check
		udp4_hwcsum udp6_hwcsum udp_set_csum udp6_set_csum tcp_v4_send_check tcp_v6_send_check __tcp_v4_send_check __tcp_v6_send_check skb_csum_hwoffload_help
		__skb_gro_checksum_complete skb_crc32c*`)},
	{Copy, names(`_copy_to_iter _copy_from_iter* copy_page_to_iter copy_page_from_iter csum_and_copy_* simple_copy_to_iter __skb_datagram_iter skb_copy_datagram_*
		skb_copy_bits skb_store_bits skb_copy_and_csum* _copy_to_user _copy_from_user copy_user_* rep_movs_alternative __arch_copy_* raw_copy_* copyin copyout
		__check_object_size check_stack_object __check_heap_object __virt_addr_valid is_vmalloc_addr ip_generic_getfrag __get_user_* __put_user_* skb_splice_from_iter
		zerocopy_fill_skb_from_iter __zerocopy_sg_from_iter`)},
	{Alloc, names(`__alloc_skb alloc_skb_* __build_skb* build_skb* napi_build_skb napi_alloc_skb __napi_alloc* netdev_alloc* __netdev_alloc* kmalloc* __kmalloc* kmem_cache_*
		__kmem_cache_* kfree kfree_skb* __kfree_skb kfree_skbmem sk_skb_reason_drop consume_skb skb_release_* skb_free_head napi_consume_skb napi_skb_cache_* __napi_kfree_skb
		napi_skb_free* napi_reuse_skb slab_* ___slab_alloc __slab_* get_partial_node get_any_partial allocate_slab put_cpu_partial __put_partials build_detached_freelist
		get_page_from_freelist __alloc_pages* __alloc_frozen_pages* alloc_pages* __free_frozen_pages free_frozen_* free_unref_* __free_pages* free_pages* free_pcppages*
		free_tail_page_prepare page_frag_* __page_frag* skb_page_frag_refill sk_page_frag_refill page_pool_* __page_pool* skb_attempt_defer_free skb_defer_free_flush
		skb_clone __copy_skb_header skb_copy pskb_* __pskb_* skb_condense skb_headers_offset_update tcp_stream_alloc_skb sk_stream_alloc_skb sock_alloc_send_* sock_wmalloc
		__rmqueue* rmqueue* decay_pcp_high get_pfnblock* __get_pfnblock* __folio_put put_page __put_page memcg_slab_* __memcg_slab_* memcg_alloc_* refill_obj_stock
		obj_cgroup_* get_netmem put_netmem mod_memcg_* kvfree* skb_kfree_head alloc_slab_obj_exts policy_nodemask
		rcu_do_batch rcu_core rcu_core_si rcu_free_sheaf free_to_partial_list skb_zerocopy_clone mm_account* ip_frag_*`)},
	{Locks, names(`native_queued_spin_lock_slowpath __pv_queued_spin_lock_slowpath queued_* __pv_queued_* __raw_callee_save___pv_* pv_wait* pv_kick* kvm_wait kvm_kick_cpu
		_raw_spin_lock* _raw_spin_trylock* _raw_spin_unlock* _raw_read_* _raw_write_* mutex_* __mutex_* down_read* down_write* up_read up_write rwsem_* osq_* rt_mutex_*
		lock_sock_nested __lock_sock percpu_down_* percpu_up_* __percpu_*`)},
	{Timers, names(`hrtimer_* __hrtimer_* enqueue_hrtimer run_timer_softirq __run_timers __run_timer_base call_timer_fn mod_timer* __mod_timer add_timer* del_timer* timer_*
		__timer_* lock_timer_base sk_reset_timer sk_stop_timer calc_wheel_index collect_expired_timers expire_timers tick_* clockevents_* ktime_get* ktime_mono* getboottime*
		read_tsc read_hv* kvm_clock_* pvclock_* tmigr_* get_next_timer* sysvec_apic_timer_interrupt __sysvec_apic_timer_interrupt local_apic_timer_interrupt lapic_next_*
		arch_timer_* itimer_*`)},
	{Wakeup, names(`try_to_wake_up ttwu_* __wake_up* wake_up* wake_q_* woken_wake_function autoremove_wake_function default_wake_function pollwake ep_poll_callback
		sock_def_readable sock_def_write_space* sk_stream_write_space tcp_data_ready sock_def_wakeup swake_up_* schedule schedule_* __schedule preempt_schedule*
		finish_task_switch pick_next_* pick_task_* __pick_next_* enqueue_task* dequeue_* enqueue_entity put_prev_* set_next_* update_curr* update_load_avg update_rq_clock*
		update_se select_task_rq* select_idle_* available_idle_cpu sched_* resched_* __resched_* wait_woken sk_wait_data sk_stream_wait_memory prepare_to_wait* finish_wait
		add_wait_queue* remove_wait_queue init_wait* switch_mm* __switch_to* switch_fpu* prepare_task_switch psi_* cpuacct_* dl_server_* futex_* __futex_* do_futex
		do_nanosleep nohz_* smp_call_function* __smp_call_* generic_smp_call_* flush_smp_call_function_queue __flush_smp_call_* sysvec_reschedule_ipi
		sysvec_call_function* x2apic_send_IPI* native_smp_send_* native_send_call_func_* send_call_function_* ipi_* migration_cpu_stop cpu_stopper_* __sched_* set_task_cpu
		cpu_startup_entry_wake place_entity check_preempt_* wakeup_preempt* ___update_load_* __update_load_* task_h_load tg_* eventfd_*`)},
	{NAPI, names(`net_rx_action __napi_poll napi_* __napi_* dev_gro_receive gro_* __gro_flush *_gro_receive *_gro_complete *_gro_receive_skb skb_gro_* tcp_gro_* udp_gro_*
		process_backlog enqueue_to_backlog netif_rx* __netif_rx* get_rps_cpu set_rps_cpu net_rps_* rps_* netif_receive_skb* __netif_receive_skb* eth_type_trans
		eth_get_headlen skb_defer_rx_timestamp busy_poll* sk_busy_loop* do_xdp_generic bpf_prog_run_generic_xdp xdp_do_flush xdp_do_redirect`)},
	{Driver, names(`veth_* loopback_xmit dev_hard_start_xmit xmit_one __dev_forward_skb* dev_forward_skb dev_gro_cells virtnet_* virtqueue_* vring_* vp_* skb_xmit_done skb_recv_done
		e1000* e1000e* igb_* igc_* ixgbe* i40e_* iavf_* ice_* idpf_* mlx4_* mlx5* mlx5e_* bnxt_* bnx2x_* ena_* gve_* hns3_* tg3_* r8169_* rtl8169_* rtl_* vmxnet3_* xennet_*
		netvsc_* nfp_* qede_* sfc_* efx_* fbnic_* mana_* enetc_* stmmac_* dpaa2_* octep_* tun_* tap_* vhost_* macvlan_* ipvlan_* bond_* br_* vlan_* vxlan_* dma_map_* dma_unmap_*
		dma_sync_* iommu_* __iommu_* skb_clone_tx_timestamp skb_tx_timestamp __skb_tstamp_tx skb_scrub_packet xsk_* __xsk_*`)},
	{Xmit, names(`__dev_queue_xmit dev_queue_xmit* __dev_direct_xmit sch_direct_xmit __qdisc_run qdisc_* net_tx_action validate_xmit_* __skb_gso_segment skb_mac_gso_segment
		skb_gso_* *_gso_segment tcp_gso_segment skb_segment* skb_network_protocol netif_skb_features passthru_features_check netdev_core_pick_tx netdev_pick_tx skb_tx_hash
		__skb_tx_hash __get_xps_queue_idx netif_schedule_queue __netif_schedule pfifo_fast_* fq_* fq_codel_* tbf_* htb_* mq_* noqueue_* cake_* tcf_* __tcf_* sch_handle_* dev_loopback_xmit`)},
	{TCP, names(`tcp_v4_* tcp_v6_* __tcp_v4_* __tcp_v6_* tcp_* __tcp_* tcp4_* tcp6_* mptcp_* subflow_* __inet_lookup* inet_lookup* __inet6_lookup* inet6_lookup* inet_ehashfn inet6_ehashfn
		inet_csk_* inet6_csk_* __inet_csk_* cubictcp_* bictcp_* bbr_* dctcp_* reno_* minmax_* skb_try_coalesce skb_shift skb_split skb_rbtree* sk_forced_mem_schedule
		inet_twsk_* __inet_twsk_* reqsk_* inet_reqsk_* secure_tcp_* sk_pacing* tasklet_action* cookie_*`)},
	{UDP, names(`udp_* __udp_* udp4_* __udp4_* udp6_* udpv6_* __udp6_* skb_consume_udp`)},
	{IP, names(`ip_* __ip_* ip4_* ip6_* __ip6_* ipv4_* ipv6_* inet_gso* inet_rtm* ip6table* iptable* ipt_* ip6t_* nf_* nft_* xt_* xfrm* __xfrm* neigh_* __neigh* arp_* ndisc_*
		fib_* fib6_* rt_* rt6_* dst_* icmp_* icmpv6_* raw_local_deliver raw6_local_deliver raw_* inet_addr_* __inet_dev_addr* skb_dst_* __skb_dst_* eth_header* dev_hold* igmp_* mld_* lwtunnel_* seg6_*`)},
	{Socket, names(`sock_* __sock_* sk_* __sk_* release_sock __release_sock inet_sendmsg inet6_sendmsg inet_recvmsg inet6_recvmsg inet_send_prepare inet_accept inet_release inet6_release
		inet_stream_connect __inet_stream_connect inet_create inet6_create inet_shutdown __sys_sendto __sys_recvfrom ____sys_* ___sys_* __sys_sendm* __sys_recvm* __sys_socket
		__sys_accept* __sys_connect __sys_setsockopt __sys_getsockopt __sys_bind __sys_listen __sys_shutdown do_accept do_sock_setsockopt do_tcp_* __x64_sys_send* __x64_sys_recv*
		__arm64_sys_send* __arm64_sys_recv* security_sock* selinux_sock* apparmor_sock* bpf_lsm_sock* hook_socket* aa_sk_* __skb_recv_* skb_recv_* __skb_try_recv_* skb_queue_* __skb_wait_*
		skb_set_owner_* skb_orphan* datagram_poll* core_sys_select do_select do_sys_poll do_poll poll_* __pollwait select_estimate_accuracy ep_* do_epoll_* epoll_* reuseport_*
		import_iovec import_ubuf sockfd_lookup* move_addr_* kernel_sendmsg kernel_recvmsg splice_to_socket unix_* scm_* set_user_sigmask io_send* io_recv*`)},
	{Memory, names(`asm_exc_page_fault exc_page_fault do_user_addr_fault handle_mm_fault __handle_mm_fault do_anonymous_page do_fault* do_wp_page do_mmap do_munmap* __mmap_region mmap_*
		exit_mmap __mmput mmput unmap_* zap_* free_pgtables free_pgd_range flush_tlb_* native_flush_tlb_* tlb_* tlb_flush_* vm_* vma_* mas_* kswapd shrink_* damon_* kdamond_fn
		khugepaged* collapse_* compact_* kcompactd* migrate_* folio_* lru_* copy_page_range dup_mmap reclaim_* rmap_* page_vma_* mprotect_* do_madvise madvise_* numa_* task_numa_*
		vmstat_* refresh_cpu_vm_stats vmap_* __vmalloc* mem_cgroup_* __mem_cgroup_* pte_* __pte_* el0_da el0_ia el1_abort el1h_64_sync do_translation_fault do_page_fault do_mem_abort`)},
	{Process, names(`do_exit do_group_exit release_task kernel_clone copy_process wake_up_new_task load_elf_binary bprm_execve do_execveat_common begin_new_exec wait_task_* do_wait
		kernel_wait4 get_signal arch_do_signal_or_restart do_send_* kill_* signal_* proc_* seq_* show_* cgroup_* ptrace_* do_notify_*`)},
	{Files, names(`ext4_* xfs_* btrfs_* jbd2_* kjournald2 blk_* __blk_* blkdev_* submit_bio* __submit_bio* virtblk_* virtio_queue_rq nvme_* scsi_* filemap_* generic_perform_write
		generic_file_* path_* do_filp_open do_sys_open* vfs_stat* vfs_open vfs_get* vfs_mkdir vfs_rmdir vfs_unlink vfs_rename iterate_dir link_path_walk lookup_* walk_component d_* __d_*
		dput wb_* writeback_* __writeback_* do_writepages evict iput new_inode page_cache_* __fput fput_* ksys_mmap_pgoff anon_pipe_* pipe_* tmpfs_* shmem_* kernfs_* simple_* dd_* elv_*
		do_unlinkat do_rmdir do_mkdirat tty_* n_tty_* fuse_* overlay* ovl_* bdi_* flush_to_ldisc`)},
	{Interrupt, names(`asm_common_interrupt common_interrupt __common_interrupt asm_sysvec_* sysvec_* __irq_exit_rcu irq_exit* irq_enter* irqentry_* handle_edge_irq handle_fasteoi_irq
		handle_irq* __handle_irq_* handle_softirqs __do_softirq run_ksoftirqd irq_thread* irq_work_* __raise_softirq_irqoff raise_softirq* apic_* x2apic_* native_apic_* ack_apic_*
		gic_* el1_interrupt el0_interrupt el1h_64_irq* el0t_64_irq* generic_handle_* do_interrupt_handler call_on_irq_stack asm_call_irq_* tasklet_* wakeup_softirqd`)},
	{Syscall, names(`do_syscall_64 entry_SYSCALL_* x64_sys_call __x64_sys_* __ia32_sys_* __arm64_sys_* el0_svc* el0t_64_sync* do_el0_svc invoke_syscall* syscall_* exit_to_user_mode*
		prepare_exit_to_* ksys_read ksys_write vfs_read vfs_write vfs_readv vfs_writev do_iter_* rw_verify_area fdget* __fdget* fget* __fget* fput security_file_permission bpf_lsm_file_*
		__rseq_* rseq_* __audit_* io_uring_* __io_* io_issue_sqe io_submit_* ksys_*`)},
	{Idle, names(`do_idle cpu_startup_entry cpuidle_* call_cpuidle default_idle* pv_native_safe_halt native_safe_halt acpi_idle_* acpi_safe_halt intel_idle* mwait_idle* cpu_do_idle
		arch_cpu_idle* haltpoll_* menu_* teo_* start_secondary secondary_startup_64* rest_init start_kernel common_startup_64`)},
}

// calls gives a stage to functions without a rule by who calls them: so are drivers
// known that no list has.
var calls = []rule{
	{Driver, names(`__napi_poll dev_hard_start_xmit __handle_irq_event_percpu`)},
}

// enablers are functions that turn interrupts on and do little else.
var enablers = names(`_raw_spin_unlock_irqrestore _raw_spin_unlock_irq _raw_read_unlock_irqrestore _raw_read_unlock_irq _raw_write_unlock_irqrestore _raw_write_unlock_irq
	__raw_spin_unlock_irqrestore finish_task_switch handle_softirqs __do_softirq __local_bh_enable_ip do_softirq`)

// contextRule gives the functions that open a context. The first frame of a stack
// from the leaf that has one decides.
type contextRule struct {
	context   Context
	functions []string
}

var contexts = []contextRule{
	{InNAPI, names(`napi_threaded_poll napi_threaded_poll_loop`)},
	{InSoftIRQ, names(`handle_softirqs __do_softirq`)},
	{InIPI, names(`sysvec_reschedule_ipi sysvec_call_function sysvec_call_function_single asm_sysvec_reschedule_ipi asm_sysvec_call_function asm_sysvec_call_function_single
		ipi_handler do_handle_IPI flush_smp_call_function_queue`)},
	{InIRQ, names(`common_interrupt asm_common_interrupt sysvec_* asm_sysvec_* gic_handle_irq el1_interrupt el0_interrupt el1h_64_irq_handler el0t_64_irq_handler __irq_exit_rcu`)},
	{InFault, names(`asm_exc_* exc_page_fault el0_da el0_ia el1_abort`)},
	{InSyscall, names(`do_syscall_64 entry_SYSCALL_64_after_hwframe __do_fast_syscall_32 el0_svc`)},
	{InKThread, names(`kthread ret_from_fork ret_from_fork_asm`)},
}
