/* SPDX-License-Identifier: MIT */
/*
 * CPUs: made, kept for the next one who wants one (KVM cannot destroy a CPU before its VM), and
 * their registers between two runs.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/fail.h"
#include "core/vma/mm.h"
#include "machine/kvm/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CR0_LONG_MODE 0x80050033ull /* PG AM WP NE ET MP PE */
#define EFER_LONG_MODE 0xd01ull     /* NXE LMA LME SCE */

#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_SYSCALL_MASK 0xc0000084
/* SYSCALL loads the kernel's code segment; SYSRET is not used. */
#define STAR_SELECTORS (0x23ull << 48 | (uint64_t)SELECTOR_KERNEL_CODE << 32)
/* Trap, interrupt, direction, privilege level, nested task, alignment check: cleared. */
#define SYSCALL_MASK 0x47700ull

#define RFLAGS_AT_START 0x202ull

#define SEGMENT_CODE 11 /* execute, read, accessed */
#define SEGMENT_DATA 3  /* read, write, accessed */
#define SEGMENT_BUSY_TASK 11

static struct kvm_segment user_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.dpl = 3,
		.s = 1,
		.g = 1,
		.l = type == SEGMENT_CODE,
		.db = type != SEGMENT_CODE,
	};
}

void kvm_cpu_enter_user_mode(struct kvm_cpu *cpu)
{
	struct kvm_sregs *sregs = &cpu->run->s.regs.sregs;

	sregs->cs = user_segment(SELECTOR_USER_CODE, SEGMENT_CODE);
	sregs->ss = user_segment(SELECTOR_USER_DATA, SEGMENT_DATA);
	cpu->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
}

/* Registers as for a new program; what is not named (APIC base) stays. */
static void reset_registers(struct kvm_cpu *cpu)
{
	const struct kvm_segment null = {.unusable = 1};
	struct kvm_sregs *sregs = &cpu->run->s.regs.sregs;

	cpu->run->s.regs.regs = (struct kvm_regs){.rflags = RFLAGS_AT_START};
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ldt = null;
	sregs->tr = (struct kvm_segment){
		.base = kvm_kernel_task_address(cpu),
		.limit = KERNEL_TASK_BYTES - 1,
		.selector = SELECTOR_TASK,
		.type = SEGMENT_BUSY_TASK,
		.present = 1,
	};
	sregs->gdt.base = kvm_kernel_cpu_address(cpu);
	sregs->gdt.limit = KERNEL_GDT_BYTES - 1;
	sregs->idt.base = KVM_KERNEL_BASE + KERNEL_PAGE_IDT * PAGE_SIZE;
	sregs->idt.limit = STUB_VECTORS * 16 - 1;
	sregs->cr0 = CR0_LONG_MODE;
	sregs->cr2 = 0;
	sregs->cr3 = 0;
	sregs->cr4 = cpu->machine->cr4;
	sregs->cr8 = 0;
	sregs->efer = EFER_LONG_MODE;
	kvm_cpu_enter_user_mode(cpu);
	cpu->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	__atomic_store_n(&cpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
}

int kvm_cpu_set_syscall_entry(struct kvm_cpu *cpu, uint64_t address)
{
	struct {
		/* struct kvm_msrs with room for its entries. */
		uint32_t nmsrs, pad;
		struct kvm_msr_entry entries[4];
	} msrs = {
		.nmsrs = 4,
		.entries = {{.index = MSR_STAR, .data = STAR_SELECTORS},
			    {.index = MSR_LSTAR, .data = address},
			    {.index = MSR_CSTAR, .data = STUB_SYSCALL},
			    {.index = MSR_SYSCALL_MASK, .data = SYSCALL_MASK}},
	};
	int set = ioctl(cpu->fd, KVM_SET_MSRS, &msrs);

	if (set < 0)
		return -errno;
	return set == (int)msrs.nmsrs ? 0 : -EIO;
}

/* Whether the guest reads the host's time stamp counter. */
static bool follow_host_tsc(struct kvm_cpu *cpu)
{
	const uint64_t offset = 0;
	const struct kvm_device_attr attribute = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	return !ioctl(cpu->fd, KVM_SET_DEVICE_ATTR, &attribute);
}

/* What stays as it is for all owners of the CPU. */
static int set_up(struct kvm_cpu *cpu)
{
	const struct kvm_machine *kvm = cpu->machine;
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.value = kvm->xfeatures}}};
	int error;

	if (ioctl(cpu->fd, KVM_SET_CPUID2, kvm->cpuid) ||
	    ioctl(cpu->fd, KVM_GET_SREGS, &cpu->run->s.regs.sregs))
		return -errno;
	reset_registers(cpu);
	if (ioctl(cpu->fd, KVM_SET_SREGS, &cpu->run->s.regs.sregs) ||
	    ioctl(cpu->fd, KVM_SET_XCRS, &xcrs))
		return -errno;
	error = kvm_cpu_set_syscall_entry(cpu, STUB_SYSCALL);
	if (error)
		return error;
	if (!follow_host_tsc(cpu))
		atomic_store_explicit(&cpu->machine->tsc_differs, true, memory_order_relaxed);
	kvm_cpu_reset_fpu(cpu);
	cpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return 0;
}

/* A CPU that KVM does not know yet, with the next number. */
static struct kvm_cpu *alloc_cpu(struct kvm_machine *kvm)
{
	struct kvm_cpu *cpu = quire_zalloc(sizeof(*cpu));

	if (!cpu)
		return NULL;
	cpu->xsave = quire_zalloc_aligned(64, kvm->kvm_xsave_bytes);
	if (!cpu->xsave) {
		quire_free(cpu);
		return NULL;
	}
	cpu->machine = kvm;
	cpu->index = kvm->nr_cpus;
	cpu->fd = -1;
	list_init(&cpu->list);
	return cpu;
}

static void free_cpu(struct kvm_cpu *cpu)
{
	if (cpu->run)
		munmap(cpu->run, cpu->machine->run_bytes);
	if (cpu->fd >= 0)
		close(cpu->fd);
	quire_free(cpu->xsave);
	quire_free(cpu);
}

/* pool_lock held. A number that KVM knows is used up, also when the CPU cannot be used. */
static int create_cpu(struct kvm_machine *kvm, struct kvm_cpu **created)
{
	struct kvm_cpu *cpu;
	int error;
	void *run;

	if (kvm->nr_cpus == kvm->nr_cpus_max)
		return -EAGAIN;
	cpu = alloc_cpu(kvm);
	if (!cpu)
		return -ENOMEM;
	error = kvm_own_fd(kvm, ioctl(kvm->vm_fd, KVM_CREATE_VCPU, cpu->index));
	if (error < 0) {
		free_cpu(cpu);
		return error == -ENOMEM ? -ENOMEM : -EAGAIN;
	}
	cpu->fd = error;
	kvm->nr_cpus++;
	run = mmap(NULL, kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (run == MAP_FAILED) {
		free_cpu(cpu);
		return -ENOMEM;
	}
	cpu->run = run;
	kvm_kernel_init_cpu(cpu);
	error = set_up(cpu);
	if (error) {
		free_cpu(cpu);
		return error == -ENOMEM ? -ENOMEM : -EAGAIN;
	}
	*created = cpu;
	return 0;
}

int kvm_cpu_create(struct quire_machine *machine, struct kvm_cpu **created)
{
	struct kvm_machine *kvm = to_kvm(machine);
	struct kvm_cpu *cpu = NULL;
	int error = 0;

	if (quire_should_fail(FAIL_MACHINE))
		return -ENOMEM;
	pthread_mutex_lock(&kvm->pool_lock);
	if (!list_empty(&kvm->idle)) {
		cpu = list_first_entry(&kvm->idle, struct kvm_cpu, list);
		list_del(&cpu->list);
	} else {
		error = create_cpu(kvm, &cpu);
	}
	if (!error)
		kvm->cpus_out++;
	pthread_mutex_unlock(&kvm->pool_lock);
	if (error)
		return error;
	*created = cpu;
	return 0;
}

void kvm_cpu_destroy(struct kvm_cpu *cpu)
{
	if (!cpu)
		return;

	struct kvm_machine *kvm = cpu->machine;

	cpu->mm = NULL;
	if (!cpu->broken) {
		reset_registers(cpu);
		kvm_cpu_reset_fpu(cpu);
	}
	pthread_mutex_lock(&kvm->pool_lock);
	list_add(&cpu->list, cpu->broken ? &kvm->retired : &kvm->idle);
	kvm->cpus_out--;
	pthread_mutex_unlock(&kvm->pool_lock);
}

void kvm_cpus_destroy(struct kvm_machine *kvm)
{
	struct kvm_cpu *cpu, *next;

	QUIRE_ASSERT(1, !kvm->cpus_out);
	list_splice_tail_init(&kvm->retired, &kvm->idle);
	list_for_each_entry_safe (cpu, next, &kvm->idle, list)
		free_cpu(cpu);
}

/*
 * KVM learns of it with the next run. Until then the CPU is in no table: it runs nothing, and what
 * KVM keeps of the old top-level table goes with kvm_forget_tables().
 */
void kvm_cpu_switch(struct kvm_cpu *cpu, quire_mm *mm)
{
	/* The call page belonged to the mm. */
	kvm_calls_disable(cpu);
	cpu->mm = mm;
	if (!mm)
		return;
	cpu->run->s.regs.sregs.cr3 = mm->pgd << PAGE_SHIFT;
	cpu->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
}

struct kvm_regs *kvm_cpu_regs(struct kvm_cpu *cpu)
{
	return &cpu->run->s.regs.regs;
}

uint64_t kvm_cpu_fs_base(const struct kvm_cpu *cpu)
{
	return cpu->run->s.regs.sregs.fs.base;
}

void kvm_cpu_set_fs_base(struct kvm_cpu *cpu, uint64_t base)
{
	cpu->run->s.regs.sregs.fs.base = base;
	cpu->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
}

uint64_t kvm_cpu_gs_base(const struct kvm_cpu *cpu)
{
	return cpu->run->s.regs.sregs.gs.base;
}

void kvm_cpu_set_gs_base(struct kvm_cpu *cpu, uint64_t base)
{
	cpu->run->s.regs.sregs.gs.base = base;
	cpu->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
}
