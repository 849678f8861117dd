/* SPDX-License-Identifier: MIT */
/*
 * Frames between the CPU and the program's stack: built for a handler, restored by rt_sigreturn(2).
 */
#include "run/signal/frame.h"

#include <errno.h>
#include <string.h>

#include "run/signal/internal.h"
#include "run/user/user.h"

#define RFLAGS_TRAP 0x100u
#define RFLAGS_DIRECTION 0x400u
#define RFLAGS_RESUME 0x10000u

uint64_t signal_frame_bytes(const struct quire_machine *machine)
{
	const uint64_t bytes = sizeof(struct rt_sigframe) + kvm_xsave_bytes(machine) +
			       FPX_MAGIC2_BYTES + 63 + 15 + 8;

	return (bytes + 15) & ~(uint64_t)15;
}

static int write_fpstate(struct thread *thread, uint64_t address)
{
	const struct quire_machine *machine = thread->process->run->machine;
	const uint32_t bytes = kvm_xsave_bytes(machine);
	_Alignas(64) uint8_t area[XSAVE_BYTES_MAX + FPX_MAGIC2_BYTES];

	kvm_cpu_get_xsave(thread->cpu, area);
	fpstate_mark(area, bytes, kvm_xfeatures(machine));
	return copy_to_user(thread_mm(thread), address, area, bytes + FPX_MAGIC2_BYTES);
}

static void fill_frame(struct rt_sigframe *frame, struct thread *thread,
		       const struct guest_sigaction *action, const siginfo_t *info)
{
	const struct thread_signals *signals = &thread->signals;
	struct frame_ucontext *uc = &frame->uc;

	frame->pretcode = action->restorer;
	frame->info = *info;
	uc->uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	uc->uc_stack = frame_stack(&signals->altstack, signals->altstack.ss_flags);
	sigcontext_from_regs(&uc->uc_mcontext, kvm_cpu_regs(thread->cpu));
	uc->uc_mcontext.err = signals->error_code;
	uc->uc_mcontext.trapno = (uint64_t)signals->trapno;
	uc->uc_mcontext.cr2 = signals->cr2;
}

static void enter(struct thread *thread, const struct guest_sigaction *action, int signal,
		  uint64_t frame)
{
	struct kvm_regs *regs = kvm_cpu_regs(thread->cpu);

	regs->rdi = (uint64_t)signal;
	regs->rsi = frame + offsetof(struct rt_sigframe, info);
	regs->rdx = frame + offsetof(struct rt_sigframe, uc);
	regs->rax = 0;
	regs->rip = action->handler;
	regs->rsp = frame;
	regs->rflags &= ~(uint64_t)(RFLAGS_TRAP | RFLAGS_DIRECTION | RFLAGS_RESUME);
	kvm_cpu_reset_fpu(thread->cpu);
}

int signal_frame_build(struct thread *thread, const struct guest_sigaction *action,
		       const siginfo_t *info, uint64_t mask)
{
	struct thread_signals *signals = &thread->signals;
	const uint32_t xsave_bytes = kvm_xsave_bytes(thread->process->run->machine);
	struct rt_sigframe frame = {0};
	struct frame_place place;
	int error;

	if (!(action->flags & SA_RESTORER_FLAG) || action->handler >= TASK_SIZE_MAX)
		return -EFAULT;
	error = frame_place(kvm_cpu_regs(thread->cpu)->rsp, &signals->altstack,
			    action->flags & SA_ONSTACK, xsave_bytes, &place);
	if (error)
		return error;
	fill_frame(&frame, thread, action, info);
	frame.uc.uc_mcontext.fpstate = place.fpstate;
	frame.uc.uc_mcontext.oldmask = mask;
	frame.uc.uc_sigmask = mask;
	error = write_fpstate(thread, place.fpstate);
	if (!error)
		error = copy_to_user(thread_mm(thread), place.frame, &frame, sizeof(frame));
	if (error)
		return error;
	if (signals->altstack.ss_flags & (int)SS_AUTODISARM_FLAG)
		signals->altstack = (stack_t){.ss_flags = SS_DISABLE};
	enter(thread, action, info->si_signo, place.frame);
	return 0;
}

static int restore_fpstate(struct thread *thread, uint64_t address)
{
	const struct quire_machine *machine = thread->process->run->machine;
	const uint32_t bytes = kvm_xsave_bytes(machine);
	_Alignas(64) uint8_t area[XSAVE_BYTES_MAX + FPX_MAGIC2_BYTES];
	uint32_t claimed;
	uint32_t magic2 = 0;

	if (!address) {
		kvm_cpu_reset_fpu(thread->cpu);
		return 0;
	}
	if (copy_from_user(thread_mm(thread), area, address, XSAVE_LEGACY_BYTES) != 0)
		return -EFAULT;
	claimed = fpstate_claims(area, bytes, kvm_xfeatures(machine));
	if (claimed) {
		if (copy_from_user(thread_mm(thread), area, address, claimed) != 0)
			return -EFAULT;
		memcpy(&magic2, area + claimed - FPX_MAGIC2_BYTES, sizeof(magic2));
		/* Another thread of the program may have changed it meanwhile. */
		if (fpstate_claims(area, bytes, kvm_xfeatures(machine)) != claimed)
			return -EFAULT;
	}
	fpstate_unmark(area, bytes, kvm_xfeatures(machine), magic2 == FPX_MAGIC2);
	return kvm_cpu_set_xsave(thread->cpu, area) == 0 ? 0 : -EFAULT;
}

int signal_frame_restore(struct thread *thread)
{
	struct kvm_regs *regs = kvm_cpu_regs(thread->cpu);
	struct rt_sigframe frame;
	stack_t altstack;

	/* The handler's return took the address to return to. */
	if (copy_from_user(thread_mm(thread), &frame, regs->rsp - sizeof(frame.pretcode),
			   offsetof(struct rt_sigframe, info)) != 0)
		return -EFAULT;
	if (frame.uc.uc_mcontext.ip >= TASK_SIZE_MAX ||
	    restore_fpstate(thread, frame.uc.uc_mcontext.fpstate) != 0)
		return -EFAULT;
	signal_set_mask(thread, frame.uc.uc_sigmask);
	sigcontext_to_regs(&frame.uc.uc_mcontext, kvm_cpu_regs(thread->cpu));
	altstack = (stack_t){
		.ss_sp = (void *)(uintptr_t)frame.uc.uc_stack.ss_sp,
		.ss_flags = frame.uc.uc_stack.ss_flags,
		.ss_size = frame.uc.uc_stack.ss_size,
	};
	/* As in the kernel, one that cannot be set stays as it was. */
	(void)altstack_set(&thread->signals.altstack, &altstack, kvm_cpu_regs(thread->cpu)->rsp);
	return 0;
}
