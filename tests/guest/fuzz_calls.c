/* SPDX-License-Identifier: MIT */
/*
 * System calls as fuzz_syscalls sees them: which it leaves out, and which take names of files.
 */
#include "fuzz_calls.h"

#include <stddef.h>
#include <sys/syscall.h>

/* Numbers that no call has, up to 423. */
#define UNUSED_FIRST 338
#define UNUSED_LAST 423

/* Calls that are left out, and why. */
static const short left_out[] = {
	/* They end the program, or take away what it needs to go on. */
	SYS_exit,
	SYS_exit_group,
	SYS_fork,
	SYS_vfork,
	SYS_clone,
	SYS_clone3,
	SYS_execve,
	SYS_execveat,
	SYS_rt_sigreturn,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigsuspend,
	SYS_rt_sigtimedwait,
	SYS_sigaltstack,
	SYS_arch_prctl,
	SYS_set_robust_list,
	SYS_set_tid_address,
	SYS_rseq,
	SYS_alarm,
	SYS_setitimer,
	SYS_timer_create,
	SYS_prlimit64,
	SYS_setrlimit,
	SYS_brk,
	SYS_mlockall,
	462 /* mseal */,
	SYS_restart_syscall,
	SYS_seccomp,
	SYS_pause,
	/* They reach other processes. */
	SYS_kill,
	SYS_tkill,
	SYS_tgkill,
	SYS_rt_sigqueueinfo,
	SYS_rt_tgsigqueueinfo,
	SYS_pidfd_send_signal,
	SYS_pidfd_getfd,
	SYS_ptrace,
	SYS_process_vm_writev,
	SYS_setpriority,
	SYS_ioprio_set,
	SYS_sched_setaffinity,
	SYS_sched_setscheduler,
	SYS_sched_setparam,
	SYS_sched_setattr,
	SYS_process_madvise,
	448 /* process_mrelease */,
	SYS_migrate_pages,
	SYS_move_pages,
	SYS_setpgid,
	SYS_setsid,
	SYS_semget,
	SYS_semop,
	SYS_semtimedop,
	SYS_semctl,
	SYS_msgget,
	SYS_msgsnd,
	SYS_msgrcv,
	SYS_msgctl,
	SYS_shmget,
	SYS_shmat,
	SYS_shmctl,
	SYS_mq_open,
	SYS_mq_unlink,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	/* They change the system, or what the program may do. */
	SYS_reboot,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_swapon,
	SYS_swapoff,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_adjtimex,
	SYS_clock_adjtime,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_acct,
	SYS_vhangup,
	SYS_syslog,
	SYS_quotactl,
	SYS_quotactl_fd,
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
	SYS_unshare,
	SYS_setns,
	SYS_bpf,
	SYS_open_tree,
	SYS_move_mount,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	467 /* open_tree_attr */,
	SYS_open_by_handle_at,
	SYS_setuid,
	SYS_setgid,
	SYS_setreuid,
	SYS_setregid,
	SYS_setresuid,
	SYS_setresgid,
	SYS_setfsuid,
	SYS_setfsgid,
	SYS_setgroups,
	SYS_capset,
	SYS_prctl,
	SYS_personality,
	SYS_sync,
	SYS_landlock_restrict_self,
	SYS_mknod,
	SYS_mknodat,
};

bool is_left_out(long number)
{
	if (number >= UNUSED_FIRST && number <= UNUSED_LAST)
		return true;
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (left_out[i] == number)
			return true;
	return false;
}

bool takes_names(long number)
{
	switch (number) {
	case SYS_open:
	case SYS_stat:
	case SYS_lstat:
	case SYS_access:
	case SYS_truncate:
	case SYS_chdir:
	case SYS_rename:
	case SYS_mkdir:
	case SYS_rmdir:
	case SYS_creat:
	case SYS_link:
	case SYS_unlink:
	case SYS_symlink:
	case SYS_readlink:
	case SYS_chmod:
	case SYS_chown:
	case SYS_lchown:
	case SYS_statfs:
	case SYS_utime:
	case SYS_utimes:
	case SYS_setxattr:
	case SYS_lsetxattr:
	case SYS_getxattr:
	case SYS_lgetxattr:
	case SYS_listxattr:
	case SYS_llistxattr:
	case SYS_removexattr:
	case SYS_lremovexattr:
		return true;
	default:
		return false;
	}
}

bool takes_directory(long number)
{
	switch (number) {
	case SYS_openat:
	case SYS_mkdirat:
	case SYS_fchownat:
	case SYS_futimesat:
	case SYS_newfstatat:
	case SYS_unlinkat:
	case SYS_renameat:
	case SYS_linkat:
	case SYS_symlinkat:
	case SYS_readlinkat:
	case SYS_fchmodat:
	case SYS_faccessat:
	case SYS_utimensat:
	case SYS_name_to_handle_at:
	case SYS_renameat2:
	case SYS_statx:
	case SYS_openat2:
	case SYS_faccessat2:
	case 452: /* fchmodat2 */
		return true;
	default:
		return false;
	}
}
