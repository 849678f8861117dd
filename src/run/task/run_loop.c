/* SPDX-License-Identifier: MIT */
/*
 * The life of a thread: the CPU runs until something happens, and that is dealt with.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "core/vma/vma.h"
#include "run/clock.h"
#include "run/file/mapped_file.h"
#include "run/report/report.h"
#include "run/syscall/table.h"
#include "run/task/internal.h"

/* The file mapped at an address may have grown on the host since its size was last looked at.
 * Whether one is mapped there. */
static bool look_at_size(struct mm_struct *mm, uint64_t address)
{
	struct vm_area_struct *vma;
	struct inode *inode = NULL;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, address);
	if (vma && vma->vm_file && vma->vm_file->f_inode->kind == INODE_REGULAR) {
		inode = vma->vm_file->f_inode;
		iget(inode);
	}
	mmap_read_unlock(mm);
	if (!inode)
		return false;
	mapped_size_changed(inode);
	iput(inode);
	return true;
}

static void force_segv(struct thread *thread, int code, const struct kvm_cpu_exit *exit)
{
	uint64_t error_code = exit->error_code;

	/* Addresses of the kernel are present, for all that the program is told. */
	if (exit->address >= TASK_SIZE_MAX)
		error_code |= 1;
	signal_force_fault(thread, SIGSEGV, code, exit->address, TRAP_PAGE_FAULT, error_code);
}

static void resolve_fault(struct thread *thread, const struct kvm_cpu_exit *exit)
{
	struct mm_struct *mm = thread_mm(thread);
	enum quire_signal signal = QUIRE_SIGNAL_NONE;

	if (quire_handle_fault(mm, exit->address, exit->access, &signal) == 0)
		return;
	if (signal == QUIRE_BUS_ADRERR && look_at_size(mm, exit->address) &&
	    quire_handle_fault(mm, exit->address, exit->access, &signal) == 0)
		return;
	switch (signal) {
	case QUIRE_SIGNAL_NONE:
		/* Memory is short, and another program was chosen to pay: once it is gone, the
		 * access succeeds. */
		sched_yield();
		break;
	case QUIRE_SEGV_MAPERR:
		force_segv(thread, SEGV_MAPERR, exit);
		break;
	case QUIRE_SEGV_ACCERR:
		force_segv(thread, SEGV_ACCERR, exit);
		break;
	case QUIRE_BUS_ADRERR:
		signal_force_fault(thread, SIGBUS, BUS_ADRERR, exit->address, TRAP_PAGE_FAULT,
				   exit->error_code);
		break;
	case QUIRE_KILL_OOM:
		process_end(thread->process, 0, SIGKILL);
	}
}

static void handle_fault(struct thread *thread, const struct kvm_cpu_exit *exit)
{
	const uint64_t start = now_ns();
	uint64_t ns;

	resolve_fault(thread, exit);
	ns = now_ns() - start;
	thread->fault_time += ns;
	report_count_fault(thread->process->run->report, ns);
}

static void handle_exception(struct thread *thread, const struct kvm_cpu_exit *exit)
{
	int code;
	uint64_t address;
	const int signal = exception_signal(thread, exit->vector, &code, &address);

	if (signal)
		signal_force_fault(thread, signal, code, address, (int)exit->vector,
				   exit->error_code);
}

static void handle_broken(struct thread *thread, const struct kvm_cpu_exit *exit)
{
	const struct kvm_regs *regs = kvm_cpu_regs(thread->cpu);

	fprintf(stderr,
		"quire: KVM cannot go on with thread %d (reason %llu, instruction at %#llx): the "
		"program is killed\n",
		(int)thread->tid, (unsigned long long)exit->error_code,
		(unsigned long long)regs->rip);
	process_end(thread->process, 0, SIGKILL);
}

_Noreturn void thread_run(struct thread *thread)
{
	struct report *report = thread->process->run->report;
	struct kvm_cpu_exit exit;

	for (;;) {
		thread_look_around(thread);
		kvm_cpu_run(thread->cpu, &exit);
		atomic_fetch_add_explicit(&report->exits, 1, memory_order_relaxed);
		switch (exit.reason) {
		case KVM_CPU_SYSCALL:
			syscall_dispatch(thread);
			continue;
		case KVM_CPU_FAULT:
			handle_fault(thread, &exit);
			break;
		case KVM_CPU_EXCEPTION:
			handle_exception(thread, &exit);
			break;
		case KVM_CPU_INTERRUPTED:
			break;
		case KVM_CPU_BROKEN:
			handle_broken(thread, &exit);
			break;
		}
		signal_deliver(thread, RESTART_NONE);
	}
}
