/* SPDX-License-Identifier: MIT */
/*
 * Running a CPU, and telling from the state in which KVM leaves it why the program stopped.
 *
 * The program leaves ring 3 through the entry stub: by an exception, which puts a frame on the
 * CPU's stack, or by SYSCALL, which does not. KVM returns at the stub's OUT. What is then in the
 * registers is the stub's; the program's are put back in their place, so that the next run goes on
 * in ring 3 and the stub never ends.
 */
#include "base/types.h"
#include "machine/kvm/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* From the top of the stack down, in words. */
enum {
	FRAME_RSP = 2,
	FRAME_RFLAGS = 3,
	FRAME_CS = 4,
	FRAME_RIP = 5,
	FRAME_ERROR_CODE = 6
};

#define VECTOR_UD 6
#define VECTOR_GP 13
#define VECTOR_PF 14

/* DF TS NP SS GP PF AC CP VC SX: those that push an error code. */
#define VECTORS_WITH_ERROR_CODE 0x60227d00u

#define ERROR_CODE_IDT 0x2u
#define OPCODE_INT 0xcd

#define PF_WRITE 0x2u
#define PF_USER 0x4u
#define PF_RESERVED 0x8u
#define PF_FETCH 0x10u

#define RFLAGS_FIXED 0x2ull
#define RFLAGS_IF 0x200ull
/* CF PF AF ZF SF TF DF OF NT RF AC ID: what ring 3 may set. */
#define RFLAGS_USER 0x254dd5ull

static void broken(struct kvm_cpu *cpu, struct kvm_cpu_exit *exit, uint32_t why, uint64_t detail)
{
	cpu->broken = true;
	exit->reason = KVM_CPU_BROKEN;
	exit->vector = why;
	exit->error_code = detail;
}

static uint64_t frame_word(const struct kvm_cpu *cpu, uint32_t word)
{
	uint64_t value;

	memcpy(&value, cpu->page + PAGE_SIZE - 8 * word, sizeof(value));
	return value;
}

/*
 * A KVM without hardware support may have SYSCALL jump to the stub in ring 3, where it faults.
 * Interrupts are masked then, as they never are when a program jumps there.
 */
static bool at_syscall_entry(const struct kvm_regs *regs)
{
	return regs->rip == STUB_SYSCALL && !(regs->rflags & RFLAGS_IF);
}

/* SYSCALL has left rip and rflags in rcx and r11. */
static void leave_syscall(struct kvm_cpu *cpu)
{
	struct kvm_regs *regs = &cpu->run->s.regs.regs;

	regs->rip = regs->rcx;
	regs->rflags = regs->r11;
	kvm_cpu_enter_user_mode(cpu);
}

/* A system call, unless it was answered on the way: then the program may go on. */
static void syscall_exit(struct kvm_cpu *cpu, struct kvm_cpu_exit *exit)
{
	exit->reason = kvm_call_exits(cpu) ? KVM_CPU_INTERRUPTED : KVM_CPU_SYSCALL;
	leave_syscall(cpu);
}

/* The CPU was stopped in its call page: not by the program, so only the call counts. */
static bool call_exit(struct kvm_cpu *cpu, struct kvm_cpu_exit *exit)
{
	const enum kvm_call_progress progress = kvm_call_progress(cpu);

	if (progress == KVM_CALL_NONE)
		return false;
	exit->reason = progress == KVM_CALL_MADE ? KVM_CPU_SYSCALL : KVM_CPU_INTERRUPTED;
	leave_syscall(cpu);
	return true;
}

static void page_fault_exit(struct kvm_cpu *cpu, struct kvm_cpu_exit *exit)
{
	exit->reason = KVM_CPU_FAULT;
	exit->error_code &= ~(uint64_t)PF_RESERVED;
	exit->address = cpu->run->s.regs.sregs.cr2;
	exit->access = exit->error_code & PF_WRITE   ? QUIRE_ACCESS_WRITE
		       : exit->error_code & PF_FETCH ? QUIRE_ACCESS_EXEC
						     : QUIRE_ACCESS_READ;
}

/* INT n for which there is no gate is a general protection fault; a KVM without hardware support
 * may take it for an instruction that does not exist. */
static void correct_int(struct kvm_cpu *cpu, struct kvm_cpu_exit *exit)
{
	uint8_t code[2];

	if (quire_read_memory(cpu->mm, cpu->run->s.regs.regs.rip, code, sizeof(code)) !=
		    (int64_t)sizeof(code) ||
	    code[0] != OPCODE_INT)
		return;
	exit->vector = VECTOR_GP;
	exit->error_code = (uint64_t)code[1] << 3 | ERROR_CODE_IDT;
}

static void exception_exit(struct kvm_cpu *cpu, uint32_t vector, struct kvm_cpu_exit *exit)
{
	const uint32_t fetch = PF_USER | PF_FETCH;
	struct kvm_regs *regs = &cpu->run->s.regs.regs;

	if (frame_word(cpu, FRAME_CS) != SELECTOR_USER_CODE) {
		broken(cpu, exit, KVM_EXIT_EXCEPTION, vector);
		return;
	}
	exit->vector = vector;
	exit->error_code =
		VECTORS_WITH_ERROR_CODE >> vector & 1 ? frame_word(cpu, FRAME_ERROR_CODE) : 0;
	regs->rsp = frame_word(cpu, FRAME_RSP);
	regs->rip = frame_word(cpu, FRAME_RIP);
	regs->rflags = frame_word(cpu, FRAME_RFLAGS);
	/* A KVM without hardware support may have SYSCALL jump in ring 3, where it faults.
	 * Interrupts are masked then, as they never are when a program jumps there. */
	if (vector == VECTOR_PF && regs->rip == STUB_SYSCALL &&
	    (exit->error_code & fetch) == fetch && !(regs->rflags & RFLAGS_IF)) {
		atomic_store_explicit(&cpu->machine->syscall_in_ring_3, true, memory_order_relaxed);
		syscall_exit(cpu, exit);
		return;
	}
	if (call_exit(cpu, exit))
		return;
	kvm_cpu_enter_user_mode(cpu);
	exit->reason = KVM_CPU_EXCEPTION;
	if (vector == VECTOR_PF)
		page_fault_exit(cpu, exit);
	else if (vector == VECTOR_UD)
		correct_int(cpu, exit);
}

/* The stub is about to do, or has done, its OUT to `port`. */
static void stub_exit(struct kvm_cpu *cpu, uint32_t port, struct kvm_cpu_exit *exit)
{
	if (port == STUB_SYSCALL_PORT)
		syscall_exit(cpu, exit);
	else if (port < STUB_VECTORS)
		exception_exit(cpu, port, exit);
	else
		broken(cpu, exit, KVM_EXIT_IO, port);
}

static bool in_user_mode(const struct kvm_cpu *cpu)
{
	return (cpu->run->s.regs.sregs.cs.selector & 3) == 3;
}

/* An exception that KVM has seen but not delivered. */
static bool exception_under_way(struct kvm_cpu *cpu)
{
	struct kvm_vcpu_events events;

	if (ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events))
		return false;
	return events.exception.injected || events.exception.pending;
}

/*
 * KVM_RUN was interrupted. False: the program is on its way into the stub, so it must go on, to
 * leave there; the kick, if there was one, waits. (KVM lets it go on as far as the OUT, as a signal
 * that is pending has been delivered when KVM_RUN returned.)
 */
static bool interrupted(struct kvm_cpu *cpu, struct kvm_cpu_exit *exit)
{
	if (!in_user_mode(cpu)) {
		const uint64_t entry = (cpu->run->s.regs.regs.rip - STUB_ADDRESS) / STUB_STRIDE;

		if (entry > STUB_VECTORS)
			broken(cpu, exit, KVM_EXIT_INTR, cpu->run->s.regs.regs.rip);
		else
			stub_exit(cpu, entry < STUB_VECTORS ? (uint32_t)entry : STUB_SYSCALL_PORT,
				  exit);
		return true;
	}
	if (exception_under_way(cpu))
		return false;
	if (at_syscall_entry(&cpu->run->s.regs.regs)) {
		syscall_exit(cpu, exit);
		return true;
	}
	if (call_exit(cpu, exit) && exit->reason == KVM_CPU_SYSCALL)
		return true;
	/* Whoever kicks first says why elsewhere; it is to be seen by whom this tells. */
	__atomic_exchange_n(&cpu->run->immediate_exit, 0, __ATOMIC_ACQ_REL);
	exit->reason = KVM_CPU_INTERRUPTED;
	return true;
}

static void kvm_exit(struct kvm_cpu *cpu, struct kvm_cpu_exit *exit)
{
	const struct kvm_run *run = cpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (in_user_mode(cpu))
			broken(cpu, exit, KVM_EXIT_IO, run->io.port);
		else
			stub_exit(cpu, run->io.port, exit);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		broken(cpu, exit, run->exit_reason, run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		broken(cpu, exit, run->exit_reason, run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_MMIO:
		broken(cpu, exit, run->exit_reason, run->mmio.phys_addr);
		break;
	default:
		broken(cpu, exit, run->exit_reason, run->hw.hardware_exit_reason);
	}
}

/* Of the flags only those that ring 3 may set itself; KVM takes over what the owner wrote. */
static void prepare(struct kvm_cpu *cpu)
{
	struct kvm_regs *regs = &cpu->run->s.regs.regs;

	regs->rflags = (regs->rflags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF;
	cpu->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}

static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* 0, or -1 and errno. */
static int enter_guest(struct kvm_cpu *cpu)
{
	int result;
	int error;

	kvm_call_enter_guest(cpu);
	result = ioctl(cpu->fd, KVM_RUN, 0);
	error = errno;
	kvm_call_leave_guest(cpu);
	errno = error;
	return result;
}

void kvm_cpu_run(struct kvm_cpu *cpu, struct kvm_cpu_exit *exit)
{
	uint8_t kicked = 0;

	memset(exit, 0, sizeof(*exit));
	prepare(cpu);
	/* Returning to such an address is a fault of the return; KVM might refuse to enter. */
	if (!is_canonical(cpu->run->s.regs.regs.rip)) {
		exit->reason = KVM_CPU_EXCEPTION;
		exit->vector = VECTOR_GP;
		return;
	}
	for (;;) {
		if (!enter_guest(cpu)) {
			kvm_exit(cpu, exit);
			break;
		}
		if (errno != EINTR && errno != EAGAIN) {
			broken(cpu, exit, KVM_EXIT_UNKNOWN, (uint64_t)errno);
			break;
		}
		if (interrupted(cpu, exit))
			break;
		kicked |= __atomic_exchange_n(&cpu->run->immediate_exit, 0, __ATOMIC_ACQ_REL);
	}
	if (kicked && exit->reason != KVM_CPU_INTERRUPTED)
		kvm_cpu_kick(cpu);
}

QUIRE_IN_SIGNAL_HANDLER void kvm_cpu_kick(struct kvm_cpu *cpu)
{
	__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_RELEASE);
}

void kvm_describe_broken(const struct kvm_cpu_exit *exit, char *text, size_t bytes)
{
	switch (exit->vector) {
	case KVM_EXIT_UNKNOWN:
		snprintf(text, bytes, "KVM cannot run the CPU: %s",
			 strerror((int)exit->error_code));
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(text, bytes, "KVM cannot emulate an instruction (internal error %llu)",
			 (unsigned long long)exit->error_code);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(text, bytes, "the CPU refuses to enter the guest (reason %#llx)",
			 (unsigned long long)exit->error_code);
		break;
	case KVM_EXIT_MMIO:
		snprintf(text, bytes, "the CPU accessed %#llx, where the guest has no memory",
			 (unsigned long long)exit->error_code);
		break;
	case KVM_EXIT_SHUTDOWN:
		snprintf(text, bytes, "the CPU shut down after three faults in a row");
		break;
	default:
		snprintf(text, bytes, "KVM stopped the CPU for reason %u (%#llx)", exit->vector,
			 (unsigned long long)exit->error_code);
	}
}
