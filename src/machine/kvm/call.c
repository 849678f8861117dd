/* SPDX-License-Identifier: MIT */
/*
 * System calls without an exit, for a KVM whose exits are dear.
 *
 * A KVM without hardware support leaves the CPU in ring 3 at SYSCALL and jumps to the entry
 * address. If the page there is the program's to execute, its code runs without anybody's help: it
 * posts the call in an area shared with the host, and a host thread that looks there at the time
 * answers it. That takes a twentieth of the time of an exit. It is used only where a first system
 * call has shown that the CPU works like this; real hardware enters ring 0, for which the
 * supervisor's stub is there.
 *
 * Page and area are mapped in the program's mm, and may be changed or unmapped by it: whatever
 * stands in the area is taken as something that the program did with its registers, which it may;
 * an entry address that cannot be executed is a fault there, which is taken for the system call
 * that it is. What protects the host is cpu->holder: a call is taken only from a CPU that is in the
 * guest, and the CPU's owner waits before it looks at anything when it comes back meanwhile.
 */
#include "machine/kvm/internal.h"

#include "core/pgtable/pgtable.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

extern const char kvm_call_stub[], kvm_call_stub_posted[], kvm_call_stub_exit[];
extern const char kvm_call_stub_answered[], kvm_call_stub_stack[], kvm_call_stub_done[];
extern const char kvm_call_stub_target[], kvm_call_stub_end[];

enum call_state {
	CALL_IDLE,
	CALL_POSTED,
	CALL_TAKEN,
	CALL_ANSWERED,
	CALL_REFUSED
};

/* Layout known to call_stub.S. Written by both sides, never trusted. */
struct kvm_call_area {
	_Atomic uint32_t state;
	_Atomic uint32_t open;
	_Atomic uint64_t result;
	_Atomic uint64_t stack;
	uint64_t unused[5];
	_Atomic uint64_t number;
	_Atomic uint64_t arguments[6];
	_Atomic uint64_t rip;
	_Atomic uint64_t rflags;
	uint64_t unused_too[7];
	_Atomic uint64_t allowed[KVM_CALLS / 64];
};

_Static_assert(offsetof(struct kvm_call_area, number) == 64, "as in call_stub.S");
_Static_assert(offsetof(struct kvm_call_area, rip) == 120, "as in call_stub.S");
_Static_assert(offsetof(struct kvm_call_area, rflags) == 128, "as in call_stub.S");
_Static_assert(offsetof(struct kvm_call_area, allowed) == 192, "as in call_stub.S");

/* Bytes from the start of the call page to a label in it. */
static uint64_t offset_of(const char *label)
{
	return (uintptr_t)label - (uintptr_t)kvm_call_stub;
}

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

bool kvm_calls_possible(const struct kvm_cpu *cpu)
{
	return atomic_load_explicit(&cpu->machine->syscall_in_ring_3, memory_order_relaxed);
}

int kvm_calls_enable(struct kvm_cpu *cpu, const struct kvm_call_place *place,
		     const uint64_t allowed[KVM_CALLS / 64])
{
	const uint64_t target = STUB_SYSCALL;
	struct kvm_call_area *area = place->area;
	char *code = place->code;

	memset(area, 0, sizeof(*area));
	for (uint32_t i = 0; i < KVM_CALLS / 64; i++)
		atomic_store_explicit(&area->allowed[i], allowed[i], memory_order_relaxed);
	memcpy(code, kvm_call_stub, offset_of(kvm_call_stub_end));
	memcpy(code + offset_of(kvm_call_stub_target), &target, sizeof(target));
	cpu->call_area = area;
	cpu->call_entry = place->entry;
	cpu->calls = !kvm_cpu_set_syscall_entry(cpu, place->entry);
	return cpu->calls ? 0 : -EIO;
}

void kvm_calls_disable(struct kvm_cpu *cpu)
{
	/* KVM took the address before; it takes this one too. */
	if (cpu->calls && kvm_cpu_set_syscall_entry(cpu, STUB_SYSCALL))
		cpu->broken = true;
	cpu->calls = false;
}

void kvm_calls_open(struct kvm_cpu *cpu, bool open)
{
	atomic_store_explicit(&cpu->call_area->open, open, memory_order_release);
}

bool kvm_call_take(struct kvm_cpu *cpu, struct kvm_call *call)
{
	struct kvm_call_area *area = cpu->call_area;
	uint32_t holder = HOLDER_GUEST;
	uint32_t posted = CALL_POSTED;

	if (atomic_load_explicit(&area->state, memory_order_acquire) != CALL_POSTED)
		return false;
	if (!atomic_compare_exchange_strong(&cpu->holder, &holder, HOLDER_SERVER))
		return false;
	if (!atomic_compare_exchange_strong(&area->state, &posted, CALL_TAKEN)) {
		atomic_store_explicit(&cpu->holder, HOLDER_GUEST, memory_order_release);
		return false;
	}
	call->number = load(&area->number);
	for (int i = 0; i < 6; i++)
		call->args[i] = load(&area->arguments[i]);
	return true;
}

static void finish(struct kvm_cpu *cpu, enum call_state state)
{
	atomic_store_explicit(&cpu->call_area->state, state, memory_order_release);
	atomic_store_explicit(&cpu->holder, HOLDER_GUEST, memory_order_release);
}

void kvm_call_answer(struct kvm_cpu *cpu, uint64_t result)
{
	atomic_store_explicit(&cpu->call_area->result, result, memory_order_relaxed);
	finish(cpu, CALL_ANSWERED);
}

void kvm_call_refuse(struct kvm_cpu *cpu)
{
	finish(cpu, CALL_REFUSED);
}

void kvm_call_enter_guest(struct kvm_cpu *cpu)
{
	if (cpu->calls)
		atomic_store_explicit(&cpu->holder, HOLDER_GUEST, memory_order_release);
}

void kvm_call_leave_guest(struct kvm_cpu *cpu)
{
	uint32_t holder = HOLDER_GUEST;

	while (cpu->calls && !atomic_compare_exchange_strong(&cpu->holder, &holder, HOLDER_OWNER) &&
	       holder != HOLDER_OWNER) {
		holder = HOLDER_GUEST;
		sched_yield();
	}
}

/* The state that was found, which is over now. */
static uint32_t take_state(struct kvm_cpu *cpu)
{
	return atomic_exchange_explicit(&cpu->call_area->state, CALL_IDLE, memory_order_acquire);
}

/* The registers that a posted call was made with. */
static void restore_posted(const struct kvm_cpu *cpu)
{
	struct kvm_regs *regs = &cpu->run->s.regs.regs;

	regs->rcx = load(&cpu->call_area->rip);
	regs->r11 = load(&cpu->call_area->rflags);
	regs->rax = load(&cpu->call_area->number);
}

static void restore_answered(const struct kvm_cpu *cpu)
{
	restore_posted(cpu);
	cpu->run->s.regs.regs.rax = load(&cpu->call_area->result);
}

static bool within(uint64_t offset, const char *from, const char *to)
{
	return offset >= offset_of(from) && offset < offset_of(to);
}

enum kvm_call_progress kvm_call_progress(struct kvm_cpu *cpu)
{
	struct kvm_regs *regs = &cpu->run->s.regs.regs;
	const uint64_t offset = regs->rip - cpu->call_entry;
	uint32_t state;

	if (!cpu->calls || offset >= PAGE_SIZE)
		return KVM_CALL_NONE;
	/* Not posted yet, or everything put back for the exit: the registers are the program's. */
	if (within(offset, kvm_call_stub, kvm_call_stub_posted) ||
	    within(offset, kvm_call_stub_exit, kvm_call_stub_answered)) {
		return kvm_call_exits(cpu) ? KVM_CALL_ANSWERED : KVM_CALL_MADE;
	}
	state = take_state(cpu);
	if (within(offset, kvm_call_stub_stack, kvm_call_stub_done))
		regs->rsp = load(&cpu->call_area->stack);
	if (state == CALL_ANSWERED || within(offset, kvm_call_stub_answered, kvm_call_stub_end)) {
		restore_answered(cpu);
		return KVM_CALL_ANSWERED;
	}
	restore_posted(cpu);
	return KVM_CALL_MADE;
}

bool kvm_call_exits(struct kvm_cpu *cpu)
{
	if (!cpu->calls || take_state(cpu) != CALL_ANSWERED)
		return false;
	restore_answered(cpu);
	return true;
}
