/* SPDX-License-Identifier: MIT */
/*
 * Calls that are known and refused: each would change Quire itself, hand out memory of the host, or
 * have the host use addresses of the program that it does not know.
 */
#include <errno.h>

#include "run/syscall/families.h"
#include "run/syscall/rows.h"

#define NEVER_IN_KERNEL "not in the kernel"
#define HOST_RING "its rings would be memory of the host"
#define NUMA "frames are Quire's; as without NUMA"
#define OTHER_QUIRE "would act on Quire itself"
#define NEW_FUTEX "glibc uses futex(2)"
#define POINTERS "its arguments have pointers that the host cannot use"

static const struct syscall_row rows[] = {
	ROW_REFUSED(ptrace, EPERM, "would see Quire in place of the program"),
	ROW_REFUSED(unshare, EPERM, OTHER_QUIRE),
	ROW_REFUSED(setns, EPERM, OTHER_QUIRE),
	ROW_REFUSED(seccomp, ENOSYS, "a filter would stop Quire too"),
	ROW_REFUSED(landlock_create_ruleset, ENOSYS, OTHER_QUIRE),
	ROW_REFUSED(landlock_add_rule, ENOSYS, OTHER_QUIRE),
	ROW_REFUSED(landlock_restrict_self, ENOSYS, OTHER_QUIRE),
	ROW_REFUSED(lsm_get_self_attr, ENOSYS, OTHER_QUIRE),
	ROW_REFUSED(lsm_set_self_attr, ENOSYS, OTHER_QUIRE),
	ROW_REFUSED(lsm_list_modules, ENOSYS, OTHER_QUIRE),
	ROW_REFUSED(bpf, EPERM, "its maps would be memory of the host"),
	ROW_REFUSED(perf_event_open, EACCES, HOST_RING),
	ROW_REFUSED(fanotify_init, ENOSYS, "could wait for Quire's own accesses"),
	ROW_REFUSED(fanotify_mark, ENOSYS, "could wait for Quire's own accesses"),
	ROW_REFUSED(io_uring_setup, ENOSYS, HOST_RING),
	ROW_REFUSED(io_uring_enter, ENOSYS, HOST_RING),
	ROW_REFUSED(io_uring_register, ENOSYS, HOST_RING),
	ROW_REFUSED(io_setup, ENOSYS, HOST_RING),
	ROW_REFUSED(io_destroy, ENOSYS, HOST_RING),
	ROW_REFUSED(io_submit, ENOSYS, HOST_RING),
	ROW_REFUSED(io_cancel, ENOSYS, HOST_RING),
	ROW_REFUSED(io_getevents, ENOSYS, HOST_RING),
	ROW_REFUSED(io_pgetevents, ENOSYS, HOST_RING),
	ROW_REFUSED(futex_wake, ENOSYS, NEW_FUTEX),
	ROW_REFUSED(futex_wait, ENOSYS, NEW_FUTEX),
	ROW_REFUSED(futex_requeue, ENOSYS, NEW_FUTEX),
	ROW_REFUSED(mbind, ENOSYS, NUMA),
	ROW_REFUSED(set_mempolicy, ENOSYS, NUMA),
	ROW_REFUSED(get_mempolicy, ENOSYS, NUMA),
	ROW_REFUSED(set_mempolicy_home_node, ENOSYS, NUMA),
	ROW_REFUSED(migrate_pages, ENOSYS, NUMA),
	ROW_REFUSED(move_pages, ENOSYS, NUMA),
	ROW_REFUSED(cachestat, ENOSYS, "the page cache of a mapped file is Quire's"),
	ROW_REFUSED(modify_ldt, ENOSYS, "as without CONFIG_MODIFY_LDT_SYSCALL"),
	ROW_REFUSED(iopl, EPERM, "the program runs in ring 3 only"),
	ROW_REFUSED(ioperm, EPERM, "the program runs in ring 3 only"),
	ROW_REFUSED(uretprobe, ENOSYS, "for the kernel's own use"),
	ROW_REFUSED(uprobe, ENOSYS, "for the kernel's own use"),
	ROW_REFUSED(kexec_load, EPERM, POINTERS),
	ROW_REFUSED(kexec_file_load, EPERM, POINTERS),
	ROW_REFUSED(init_module, EPERM, POINTERS),
	ROW_REFUSED(finit_module, EPERM, POINTERS),
	ROW_REFUSED(quotactl, ENOSYS, POINTERS),
	ROW_REFUSED(quotactl_fd, ENOSYS, POINTERS),
	ROW_REFUSED(add_key, ENOSYS, "as without CONFIG_KEYS"),
	ROW_REFUSED(request_key, ENOSYS, "as without CONFIG_KEYS"),
	ROW_REFUSED(keyctl, ENOSYS, POINTERS),
	ROW_REFUSED(sysfs, ENOSYS, "as without CONFIG_SYSFS_SYSCALL"),
	ROW_REFUSED(uselib, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(_sysctl, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(create_module, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(get_kernel_syms, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(query_module, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(nfsservctl, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(getpmsg, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(putpmsg, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(afs_syscall, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(tuxcall, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(security, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(set_thread_area, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(get_thread_area, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(epoll_ctl_old, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(epoll_wait_old, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(vserver, ENOSYS, NEVER_IN_KERNEL),
	ROW_REFUSED(lookup_dcookie, ENOSYS, NEVER_IN_KERNEL),
};
SYSCALL_FAMILY(refused_calls, "Refused", rows);
