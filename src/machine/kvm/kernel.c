/* SPDX-License-Identifier: MIT */
/*
 * The kernel pages: what a CPU needs to leave ring 3, and nothing more. All of it is for the
 * supervisor, so that the program can neither read nor jump into it.
 */
#include "machine/kvm/internal.h"

#include "core/pgtable/pgtable.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Layout of a CPU's page; the stack begins at its end and grows down. */
#define CPU_GDT 0
#define CPU_TASK 128

#define OPCODE_OUT_IMM8 0xe6
#define OPCODE_HLT 0xf4

#define VECTOR_BREAKPOINT 3
#define VECTOR_OVERFLOW 4

/* Descriptors of 64-bit segments without limits, as Linux has them. There are none of 32 bits. */
#define GDT_KERNEL_CODE 0x00af9b000000ffffull
#define GDT_KERNEL_DATA 0x00cf93000000ffffull
#define GDT_USER_DATA 0x00cff3000000ffffull
#define GDT_USER_CODE 0x00affb000000ffffull
#define GDT_BUSY_TASK 0x8bull
#define GATE_INTERRUPT 0x8eull
#define GATE_USER 0x60ull /* privilege level 3 */

static void fill_stub(uint8_t *stub)
{
	/* Nobody comes back behind an OUT; if so, the CPU stops. */
	memset(stub, OPCODE_HLT, PAGE_SIZE);
	for (uint32_t i = 0; i <= STUB_VECTORS; i++) {
		stub[i * STUB_STRIDE] = OPCODE_OUT_IMM8;
		stub[i * STUB_STRIDE + 1] = (uint8_t)(i < STUB_VECTORS ? i : STUB_SYSCALL_PORT);
	}
}

/* INT3 and INTO are for everybody; INT with another number is a general protection fault. */
static void fill_idt(uint64_t *idt)
{
	for (uint64_t vector = 0; vector < STUB_VECTORS; vector++) {
		uint64_t entry = STUB_ADDRESS + vector * STUB_STRIDE;
		uint64_t type = GATE_INTERRUPT;

		if (vector == VECTOR_BREAKPOINT || vector == VECTOR_OVERFLOW)
			type |= GATE_USER;
		idt[2 * vector] = (entry & 0xffff) | (uint64_t)SELECTOR_KERNEL_CODE << 16 |
				  type << 40 | (entry >> 16 & 0xffff) << 48;
		idt[2 * vector + 1] = entry >> 32;
	}
}

static uint64_t table_gpa(const struct kvm_machine *kvm, uint32_t table)
{
	return kvm->kernel_gpa + (KERNEL_PAGE_TABLES + table) * PAGE_SIZE;
}

/* Tables in order: the one below the top, the one below that, and those of the last level. */
static void fill_tables(struct kvm_machine *kvm)
{
	uint64_t *tables = (uint64_t *)(kvm->kernel + KERNEL_PAGE_TABLES * PAGE_SIZE);
	uint64_t *last = tables + 2 * PTRS_PER_TABLE;
	const uint64_t bits = PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;

	tables[0] = table_gpa(kvm, 1) | bits;
	for (uint32_t i = 2; i < KERNEL_TABLES; i++)
		tables[PTRS_PER_TABLE + i - 2] = table_gpa(kvm, i) | bits;
	for (uint32_t page = 0; page < KERNEL_PAGE_TABLES; page++)
		last[page] = (kvm->kernel_gpa + page * PAGE_SIZE) | bits | PTE_DIRTY |
			     (page == KERNEL_PAGE_STUB ? 0 : PTE_NX);
	last[KERNEL_PAGE_STUB] &= ~(uint64_t)PTE_WRITE;
}

int kvm_kernel_create(struct kvm_machine *kvm)
{
	void *memory = mmap(NULL, KERNEL_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	kvm->kernel = memory;
	fill_idt((uint64_t *)(kvm->kernel + KERNEL_PAGE_IDT * PAGE_SIZE));
	fill_stub((uint8_t *)kvm->kernel + KERNEL_PAGE_STUB * PAGE_SIZE);
	fill_tables(kvm);
	return kvm_set_slot(kvm, KVM_SLOT_KERNEL, kvm->kernel_gpa, kvm->kernel,
			    KERNEL_PAGES * PAGE_SIZE);
}

void kvm_kernel_destroy(struct kvm_machine *kvm)
{
	if (kvm->kernel)
		munmap(kvm->kernel, KERNEL_PAGES * PAGE_SIZE);
}

uint64_t kvm_kernel_entry(const struct kvm_machine *kvm)
{
	return table_gpa(kvm, 0) | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
}

uint64_t kvm_kernel_cpu_address(const struct kvm_cpu *cpu)
{
	return KVM_KERNEL_BASE + (KERNEL_PAGE_CPU + cpu->index) * PAGE_SIZE + CPU_GDT;
}

uint64_t kvm_kernel_task_address(const struct kvm_cpu *cpu)
{
	return kvm_kernel_cpu_address(cpu) + CPU_TASK;
}

void kvm_kernel_init_cpu(struct kvm_cpu *cpu)
{
	const uint64_t stack = kvm_kernel_cpu_address(cpu) + PAGE_SIZE;
	const uint64_t task = kvm_kernel_task_address(cpu);
	const uint16_t no_io_bitmap = KERNEL_TASK_BYTES;
	uint64_t *gdt;

	cpu->page = cpu->machine->kernel + (KERNEL_PAGE_CPU + cpu->index) * PAGE_SIZE;
	gdt = (uint64_t *)(cpu->page + CPU_GDT);
	gdt[SELECTOR_KERNEL_CODE >> 3] = GDT_KERNEL_CODE;
	gdt[(SELECTOR_KERNEL_CODE >> 3) + 1] = GDT_KERNEL_DATA;
	gdt[SELECTOR_USER_DATA >> 3] = GDT_USER_DATA;
	gdt[SELECTOR_USER_CODE >> 3] = GDT_USER_CODE;
	gdt[SELECTOR_TASK >> 3] = (KERNEL_TASK_BYTES - 1) | (task & 0xffffff) << 16 |
				  GDT_BUSY_TASK << 40 | (task >> 24 & 0xff) << 56;
	gdt[(SELECTOR_TASK >> 3) + 1] = task >> 32;
	memcpy(cpu->page + CPU_TASK + 4, &stack, sizeof(stack));
	memcpy(cpu->page + CPU_TASK + 102, &no_io_bitmap, sizeof(no_io_bitmap));
}
