/* SPDX-License-Identifier: MIT */
/*
 * Tests of shootdown: programs on CPUs of other threads access memory without a pause while the
 * main thread takes it away, evicts it, and uses page tables again for other places. No program
 * ever sees a frame that is not its own any more.
 */
#include "machine/kvm/fixture_test.h"
#include "machine/shootdown_test.h"

#define THREADS 2
/* Calls of each program while the main thread disturbs it. */
#define CALLS 200
/* Disturbances at most: when they never pause, the programs may not get on. */
#define ROUNDS 5000

/*
 * Loads and stores words of [rdi, rdi + rsi], rsi being a mask, by random numbers from rbx. A word
 * holds 0 or the complement of its address; else the program stops at UD2. Each 4096th time it
 * calls. An access that cannot be served is to be left out by going on at "next".
 */
GUEST_CODE(hammer, "1: mov $4096, %ebp\n"
		   "2: mov %rbx, %rcx\n"
		   "shl $13, %rcx\n"
		   "xor %rcx, %rbx\n"
		   "mov %rbx, %rcx\n"
		   "shr $7, %rcx\n"
		   "xor %rcx, %rbx\n"
		   "mov %rbx, %rcx\n"
		   "shl $17, %rcx\n"
		   "xor %rcx, %rbx\n"
		   "mov %rbx, %rdx\n"
		   "shr $20, %rdx\n"
		   "and %rsi, %rdx\n"
		   "add %rdi, %rdx\n"
		   "bt $60, %rbx\n"
		   "jc 3f\n"
		   "mov (%rdx), %rax\n"
		   "test %rax, %rax\n"
		   "jz 4f\n"
		   "not %rax\n"
		   "cmp %rax, %rdx\n"
		   "je 4f\n"
		   "ud2\n"
		   "3: mov %rdx, %rax\n"
		   "not %rax\n"
		   "mov %rax, (%rdx)\n"
		   ".globl guest_hammer_next\n"
		   "guest_hammer_next:\n"
		   "4: dec %ebp\n"
		   "jnz 2b\n"
		   "syscall\n"
		   "jmp 1b\n");
extern const uint8_t guest_hammer_next[];

/*
 * Runs the program from `start` until it has made its system calls, or with 0 until it is stopped.
 * In the latter case it is the hammer, which meets faults that Quire cannot serve, as the test
 * provokes them.
 */
static void run_program(struct runner *runner, const struct kvm_regs *start, uint64_t calls)
{
	struct fixture *f = runner->f;
	struct kvm_cpu_exit exit;
	enum quire_signal signal;
	struct kvm_regs *regs;
	struct kvm_cpu *cpu;

	if (kvm_cpu_create(f->machine, &cpu)) {
		runner->errors++;
		return;
	}
	kvm_cpu_switch(cpu, f->mm);
	regs = kvm_cpu_regs(cpu);
	regs->rip = f->code;
	regs->rdi = start->rdi;
	regs->rsi = start->rsi;
	regs->rbx = start->rbx;
	regs->r8 = start->r8;
	while (!runner->errors && (calls ? runner->done < calls : !atomic_load(runner->stop))) {
		kvm_cpu_run(cpu, &exit);
		if (exit.reason == KVM_CPU_SYSCALL)
			runner->done++;
		else if (exit.reason != KVM_CPU_FAULT)
			runner->errors++;
		/* The raw pages are in no VMA; they come back by themselves. */
		else if (exit.address - RAW_BASE < RAW_PAGES * PAGE_SIZE ||
			 !quire_handle_fault(f->mm, exit.address, exit.access, &signal))
			continue;
		else if (!calls && (signal == QUIRE_SEGV_MAPERR || signal == QUIRE_SEGV_ACCERR))
			regs->rip = f->code + (uint64_t)(guest_hammer_next - guest_hammer_start);
		else
			runner->errors++;
	}
	kvm_cpu_switch(cpu, NULL);
	kvm_cpu_destroy(cpu);
}

static void *hammer(void *argument)
{
	struct runner *runner = argument;

	run_program(runner,
		    &(struct kvm_regs){
			    .rdi = runner->base,
			    .rsi = runner->pages * PAGE_SIZE - 8,
			    .rbx = runner->number * 0x9e3779b97f4a7c15,
		    },
		    0);
	return NULL;
}

static void frames_are_quiet_after_revocation(void **state)
{
	struct runners runners = {.count = THREADS, .rounds = ROUNDS, .enough = CALLS};
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	load_code(&f, f.cpu, CODE(hammer));
	revoke_under(&runners, &f, f.mm, hammer);
	fixture_destroy(&f);
}

static void mappings_change_under_accesses(void **state)
{
	struct runners runners = {.count = THREADS, .rounds = ROUNDS, .enough = CALLS};
	struct fixture f;

	(void)state;
	fixture_create(&f, 4 << 20);
	load_code(&f, f.cpu, CODE(hammer));
	change_mappings_under(&runners, &f, f.mm, hammer);
	fixture_destroy(&f);
}

/*
 * Goes over [rdi, rsi) word by word: each holds its address times rbx (0 at first), and then its
 * address times rbx + 1.
 */
GUEST_CODE(sweep, "1: mov %rdi, %rdx\n"
		  "2: mov %rdx, %rax\n"
		  "imul %rbx, %rax\n"
		  "cmp %rax, (%rdx)\n"
		  "je 3f\n"
		  "ud2\n"
		  "3: add %rdx, %rax\n"
		  "mov %rax, (%rdx)\n"
		  "add %r8, %rdx\n"
		  "cmp %rsi, %rdx\n"
		  "jb 2b\n"
		  "inc %rbx\n"
		  "syscall\n"
		  "jmp 1b\n");

static void *sweep(void *argument)
{
	struct runner *runner = argument;

	run_program(runner,
		    &(struct kvm_regs){
			    .rdi = runner->base + 8 * (runner->number - 1),
			    .rsi = runner->base + runner->pages * PAGE_SIZE,
			    .r8 = 8 * 31,
		    },
		    6);
	return NULL;
}

static void eviction_loses_nothing(void **state)
{
	struct runners runners = {.count = THREADS};
	struct fixture f;

	(void)state;
	fixture_create(&f, 1 << 20);
	load_code(&f, f.cpu, CODE(sweep));
	evict_under(&runners, &f, f.mm, sweep);
	fixture_destroy(&f);
}

/*
 * Mappings far apart come and go, so that the frames of tables of all levels become tables of other
 * places and data. The program finds its memory empty each time and then as it left it.
 */
static void tables_are_used_again(void **state)
{
	struct kvm_cpu_exit exit;
	struct kvm_regs *regs;
	struct fixture f;
	struct prng prng;

	(void)state;
	fixture_create(&f, 2 << 20);
	load_code(&f, f.cpu, CODE(sweep));
	regs = kvm_cpu_regs(f.cpu);
	prng_seed(&prng, 11);
	for (uint32_t round = 0; round < 1000; round++) {
		const uint64_t base = (1 + prng_below(&prng, 4)) << PGD_SHIFT |
				      prng_below(&prng, 4) << PUD_SHIFT |
				      prng_below(&prng, 4) << PMD_SHIFT;
		const uint64_t bytes = (1 + prng_below(&prng, 3)) * PMD_SIZE;

		map_again(f.mm, base, bytes);
		regs->rip = f.code;
		regs->rdi = base;
		regs->rsi = base + bytes;
		regs->r8 = 16 * PAGE_SIZE * (1 + prng_below(&prng, 8));
		regs->rbx = 0;
		for (uint32_t pass = 0; pass < 2; pass++) {
			run_serving_faults(&f, f.cpu, &exit);
			assert_int_equal(exit.reason, KVM_CPU_SYSCALL);
		}
		if (prng_below(&prng, 4))
			assert_int_equal(quire_munmap(f.mm, base, bytes), 0);
		else
			assert_int_equal(
				quire_munmap(f.mm, PAGE_SIZE << 10, ((uint64_t)6 << PGD_SHIFT)), 0);
	}
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_quiet_after_revocation),
		cmocka_unit_test(mappings_change_under_accesses),
		cmocka_unit_test(eviction_loses_nothing),
		cmocka_unit_test(tables_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
