/* SPDX-License-Identifier: MIT */
/*
 * From the CPU's registers to a row of the table and back.
 */
#include <errno.h>
#include <string.h>

#include "run/clock.h"
#include "run/report/report.h"
#include "run/report/trace.h"
#include "run/syscall/file_size.h"
#include "run/syscall/table.h"
#include "run/task/call_server.h"

/* Length of the SYSCALL instruction. */
#define SYSCALL_BYTES 2

static int64_t call_row(struct thread *thread, const struct syscall_row *row,
			const uint64_t args[6])
{
	if (row->function)
		return row->function(thread, args);
	if (row->how == HOW_REFUSED)
		return -row->error;
	return host_call(thread, row, args);
}

static int64_t call_limited(struct thread *thread, const struct syscall_row *row,
			    const uint64_t args[6])
{
	struct limited_call call = {.number = row->number};
	int error;

	memcpy(call.args, args, sizeof(call.args));
	error = limit_file_size(thread, &call);
	return error ? error : call_row(thread, syscall_row(call.number), call.args);
}

int64_t syscall_serve(struct thread *thread, int64_t number, const uint64_t args[6])
{
	const struct syscall_row *row = syscall_row(number);
	struct run *run = thread->process->run;
	const uint64_t start = now_ns();
	int64_t result;
	uint64_t ns;

	if (row) {
		result = call_limited(thread, row, args);
	} else {
		report_unknown_syscall(run->report, number);
		result = -ENOSYS;
	}
	ns = now_ns() - start;
	thread->syscall_time += ns;
	report_count_syscall(run->report, number, result, ns);
	if (run->trace && row && row->how == HOW_QUIRE)
		trace_call(run->trace, number, args, result, start);
	return result;
}

static enum syscall_restart restart_of(const struct syscall_row *row, int64_t result)
{
	if (result != -EINTR || !row)
		return RESTART_NONE;
	if (row->flags & SYSCALL_RESTART)
		return RESTART_SYS;
	return row->flags & SYSCALL_NOHAND ? RESTART_NOHAND : RESTART_NONE;
}

/*
 * A call that goes on after handlers with SA_RESTART, and that a signal kept from beginning on the
 * host, is made again after any handler: the signal came as if before it. So what never waits, as
 * a read of a file, is not interrupted.
 */
static bool came_before(const struct thread *thread, const struct syscall_row *row, int64_t result)
{
	return (result == -EINTR || result == -EINTR_FINAL) && row->flags & SYSCALL_RESTART &&
	       thread->signals.not_begun;
}

void syscall_dispatch(struct thread *thread)
{
	struct kvm_regs *regs = kvm_cpu_regs(thread->cpu);
	const uint64_t args[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
	const struct syscall_row *row;
	enum syscall_restart restart;
	int64_t result;

	/* A signal that came before the call does not interrupt it: it is handled first. */
	if (thread->signals.caught) {
		regs->rip -= SYSCALL_BYTES;
		signal_deliver(thread, RESTART_NONE);
		return;
	}
	/* As the kernel does, the number is taken as an int. */
	thread->syscall = (int32_t)regs->rax;
	row = syscall_row(thread->syscall);
	result = syscall_serve(thread, thread->syscall, args);
	restart = restart_of(row, result);
	regs = kvm_cpu_regs(thread->cpu);
	if (row && came_before(thread, row, result)) {
		restart = RESTART_NONE;
		regs->rip -= SYSCALL_BYTES;
		result = thread->syscall;
	} else if (result == -EINTR_FINAL) {
		result = -EINTR;
	}
	regs->rax = (uint64_t)result;
	signal_deliver(thread, restart);
	thread->syscall = -1;
	call_server_note(thread);
}
