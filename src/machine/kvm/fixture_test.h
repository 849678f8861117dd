/* SPDX-License-Identifier: MIT */
/*
 * What the kvm machine's tests stand on: an instance, one mm, a CPU of the main thread on it, and a
 * page of code and one of stack. Guest code is written in assembly between two labels and copied.
 */
#ifndef QUIRE_MACHINE_KVM_FIXTURE_TEST_H
#define QUIRE_MACHINE_KVM_FIXTURE_TEST_H

#include "base/alloc.h"
#include "core/instance/instance.h"
#include "core/vma/mm.h"
#include "machine/kvm/kvm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FD_BASE 700

struct fixture {
	uint64_t allocations;
	struct quire_machine *machine;
	struct quire *quire;
	quire_mm *mm;
	struct kvm_cpu *cpu;
	struct kvm_cpu_exit exit;
	uint64_t code;  /* a page that the program may execute */
	uint64_t stack; /* its end */
};

/* Guest code NAME, to be given as CODE(NAME). */
#define GUEST_CODE(name, text) \
	__asm__(".pushsection .rodata\n" \
		".globl guest_" #name "_start, guest_" #name "_end\n" \
		"guest_" #name "_start:\n" text "\nguest_" #name "_end:\n" \
		".popsection\n"); \
	extern const uint8_t guest_##name##_start[], guest_##name##_end[]
#define CODE(name) guest_##name##_start, (uint64_t)(guest_##name##_end - guest_##name##_start)

/* Where the host has no KVM the test is skipped. */
static inline void require_kvm(void)
{
	if (access("/dev/kvm", R_OK | W_OK))
		skip();
}

static inline uint64_t fixture_mmap(struct fixture *f, uint64_t pages, int prot)
{
	uint64_t address = quire_mmap(f->mm, 0, pages * PAGE_SIZE, prot,
				      QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);

	assert_true(address != QUIRE_MAP_FAILED);
	return address;
}

static inline void fixture_create(struct fixture *f, uint64_t memory)
{
	struct quire_params params = {.size = sizeof(params), .memory = memory};
	char why[256] = "";

	require_kvm();
	*f = (struct fixture){.allocations = quire_alloc_live()};
	if (kvm_machine_create(FD_BASE, &f->machine, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(quire_create(f->machine, &params, &f->quire), 0);
	assert_int_equal(quire_mm_create(f->quire, "main", NULL, &f->mm), 0);
	assert_int_equal(kvm_cpu_create(f->machine, &f->cpu), 0);
	kvm_cpu_switch(f->cpu, f->mm);
	f->code = fixture_mmap(f, 4, QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC);
	f->stack = fixture_mmap(f, 4, QUIRE_PROT_READ | QUIRE_PROT_WRITE) + 4 * PAGE_SIZE;
}

static inline void fixture_check(struct fixture *f)
{
	char message[256];

	if (quire_check(f->quire, message, sizeof(message)))
		fail_msg("%s", message);
}

static inline void fixture_destroy(struct fixture *f)
{
	kvm_cpu_switch(f->cpu, NULL);
	kvm_cpu_destroy(f->cpu);
	fixture_check(f);
	quire_mm_exit(f->mm);
	fixture_check(f);
	assert_int_equal(quire_destroy(f->quire), 0);
	kvm_machine_destroy(f->machine);
	assert_int_equal(quire_alloc_live(), f->allocations);
}

/* The code is to be run next, from its start, by `cpu`, with a stack. */
static inline void load_code(struct fixture *f, struct kvm_cpu *cpu, const uint8_t *code,
			     uint64_t bytes)
{
	struct kvm_regs *regs = kvm_cpu_regs(cpu);

	assert_int_equal(quire_write_memory(f->mm, f->code, code, bytes), bytes);
	regs->rip = f->code;
	regs->rsp = f->stack;
}

/* Runs until something that is not a page fault which Quire can serve. */
static inline void run_serving_faults(struct fixture *f, struct kvm_cpu *cpu,
				      struct kvm_cpu_exit *exit)
{
	enum quire_signal signal;

	do
		kvm_cpu_run(cpu, exit);
	while (exit->reason == KVM_CPU_FAULT &&
	       !quire_handle_fault(f->mm, exit->address, exit->access, &signal));
	if (exit->reason == KVM_CPU_BROKEN) {
		char text[128];

		kvm_describe_broken(exit, text, sizeof(text));
		fail_msg("%s, rip %#llx", text, (unsigned long long)kvm_cpu_regs(cpu)->rip);
	}
}

static inline void run_code(struct fixture *f, const uint8_t *code, uint64_t bytes)
{
	load_code(f, f->cpu, code, bytes);
	run_serving_faults(f, f->cpu, &f->exit);
}

#endif
