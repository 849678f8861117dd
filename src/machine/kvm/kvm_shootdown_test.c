/* SPDX-License-Identifier: MIT */
/*
 * Tests of shootdown: programs on CPUs of other threads access memory without a pause while the
 * main thread takes it away, evicts it, and uses page tables again for other places. No program
 * ever sees a frame that is not its own any more.
 */
#include "machine/kvm/fixture_test.h"

#include "base/prng.h"
#include "core/pgtable/mmu_gather.h"

#include <quire/memory_store.h>

#include <pthread.h>

#define THREADS 2
#define RAW_BASE ((uint64_t)0x1000000000)
#define RAW_PAGES 4
#define WORDS (PAGE_SIZE / 8)
/* Calls of each program while the main thread disturbs it. */
#define CALLS 200
/* Disturbances at most: when they never pause, the programs may not get on. */
#define ROUNDS 5000
#define LOOKS 16
/* What a frame holds while nobody may use it; no program stores it. */
#define POISON 0xbad0bad0bad0bad0

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

struct runner {
	struct fixture *f;
	uint64_t base;
	uint64_t pages;
	uint64_t number;
	_Atomic bool *stop;
	_Atomic uint64_t errors;
	_Atomic uint64_t done; /* system calls of the program */
};

struct runners {
	struct runner runner[THREADS];
	pthread_t thread[THREADS];
	_Atomic bool stop;
};

static void start(struct runners *runners, struct fixture *f, void *(*body)(void *), uint64_t base,
		  uint64_t pages)
{
	*runners = (struct runners){0};
	for (uint32_t i = 0; i < THREADS; i++) {
		runners->runner[i] = (struct runner){
			.f = f,
			.base = base,
			.pages = pages,
			.number = i + 1,
			.stop = &runners->stop,
		};
		assert_int_equal(
			pthread_create(&runners->thread[i], NULL, body, &runners->runner[i]), 0);
	}
	/* All are at work before anything is taken from them. */
	for (uint32_t i = 0; i < THREADS; i++)
		while (!atomic_load(&runners->runner[i].done))
			sched_yield();
}

/* Whether each program has called `calls` times. */
static bool have_done(struct runners *runners, uint64_t calls)
{
	for (uint32_t i = 0; i < THREADS; i++)
		if (atomic_load(&runners->runner[i].done) < calls && !runners->runner[i].errors)
			return false;
	return true;
}

static void stop(struct runners *runners)
{
	atomic_store(&runners->stop, true);
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(runners->thread[i], NULL);
		assert_int_equal(runners->runner[i].errors, 0);
		assert_true(runners->runner[i].done > 0);
	}
}

/* A fault that Quire cannot serve: one that the test provokes, or an error. */
static void skip_access(struct runner *runner, struct kvm_cpu *cpu, enum quire_signal signal)
{
	if (signal == QUIRE_SEGV_MAPERR || signal == QUIRE_SEGV_ACCERR)
		kvm_cpu_regs(cpu)->rip =
			runner->f->code + (uint64_t)(guest_hammer_next - guest_hammer_start);
	else
		runner->errors++;
}

static void *hammer(void *argument)
{
	struct runner *runner = argument;
	struct fixture *f = runner->f;
	struct kvm_cpu_exit exit;
	enum quire_signal signal;
	struct kvm_regs *regs;
	struct kvm_cpu *cpu;

	if (kvm_cpu_create(f->machine, &cpu)) {
		runner->errors++;
		return NULL;
	}
	kvm_cpu_switch(cpu, f->mm);
	regs = kvm_cpu_regs(cpu);
	regs->rip = f->code;
	regs->rdi = runner->base;
	regs->rsi = runner->pages * PAGE_SIZE - 8;
	regs->rbx = runner->number * 0x9e3779b97f4a7c15;
	while (!runner->errors && (!runner->done || !atomic_load(runner->stop))) {
		kvm_cpu_run(cpu, &exit);
		if (exit.reason == KVM_CPU_SYSCALL)
			runner->done++;
		else if (exit.reason != KVM_CPU_FAULT)
			runner->errors++;
		/* The raw pages are in no VMA; they come back by themselves. */
		else if (runner->base != RAW_BASE || exit.address - RAW_BASE > regs->rsi)
			if (quire_handle_fault(f->mm, exit.address, exit.access, &signal))
				skip_access(runner, cpu, signal);
	}
	kvm_cpu_switch(cpu, NULL);
	kvm_cpu_destroy(cpu);
	return NULL;
}

static void fill_words(uint64_t *words, uint64_t value)
{
	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = value;
}

/* Takes a page away and looks whether its frame stays as it is. */
static void check_unmapped(struct fixture *f, uint64_t address, pte_t *pte, uint64_t *words)
{
	pteval_t entry = pte_exchange(pte, 0);

	flush_tlb_page(f->mm, address, pte_pfn(entry));
	fill_words(words, POISON);
	for (uint32_t look = 0; look < LOOKS; look++) {
		for (uint32_t i = 0; i < WORDS; i++)
			assert_int_equal(((volatile uint64_t *)words)[i], POISON);
	}
	fill_words(words, 0);
	set_pte(pte, entry & ~(PTE_ACCESSED | PTE_DIRTY));
}

/* Forbids writing and looks whether the contents stand still; the dirty bit must stay clear. */
static void check_protected(struct fixture *f, uint64_t address, pte_t *pte, uint64_t *words)
{
	uint64_t before[WORDS];
	pteval_t entry = pte_modify_bits(pte, PTE_WRITE | PTE_DIRTY, 0);

	flush_tlb_page(f->mm, address, pte_pfn(entry));
	memcpy(before, words, sizeof(before));
	for (uint32_t look = 0; look < LOOKS; look++) {
		assert_memory_equal(before, words, sizeof(before));
	}
	assert_false(pte_load(pte) & PTE_DIRTY);
	pte_modify_bits(pte, 0, PTE_WRITE);
}

static void frames_are_quiet_after_revocation(void **state)
{
	struct page *pages[RAW_PAGES];
	struct runners runners;
	struct fixture f;
	struct prng prng;

	(void)state;
	require_kvm();
	fixture_create(&f, 4 << 20);
	load_code(&f, f.cpu, CODE(hammer));
	for (uint64_t i = 0; i < RAW_PAGES; i++) {
		pages[i] = alloc_page(f.quire, GFP_ZERO);
		set_pte(pte_alloc(f.mm, RAW_BASE + i * PAGE_SIZE),
			pfn_pte(page_to_pfn(&f.quire->zone, pages[i]),
				PTE_PRESENT | PTE_USER | PTE_WRITE | PTE_NX));
	}
	start(&runners, &f, hammer, RAW_BASE, RAW_PAGES);
	prng_seed(&prng, 9);
	for (uint32_t round = 0; round < ROUNDS && !have_done(&runners, CALLS); round++) {
		uint64_t i = prng_below(&prng, RAW_PAGES);
		uint64_t address = RAW_BASE + i * PAGE_SIZE;
		uint64_t *words = page_address(&f.quire->zone, pages[i]);

		if (prng_below(&prng, 2))
			check_unmapped(&f, address, pte_find(f.mm, address), words);
		else
			check_protected(&f, address, pte_find(f.mm, address), words);
	}
	stop(&runners);
	for (uint64_t i = 0; i < RAW_PAGES; i++) {
		pte_exchange(pte_find(f.mm, RAW_BASE + i * PAGE_SIZE), 0);
		flush_tlb_page(f.mm, RAW_BASE + i * PAGE_SIZE,
			       page_to_pfn(&f.quire->zone, pages[i]));
		put_page(f.quire, pages[i]);
	}
	fixture_destroy(&f);
}

static void map_again(struct fixture *f, uint64_t address, uint64_t bytes)
{
	assert_true(quire_mmap(f->mm, address, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			       QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED |
				       QUIRE_MAP_NORESERVE,
			       NULL, 0) == address);
}

static void mappings_change_under_accesses(void **state)
{
	enum {
		PAGES = 8
	};
	struct runners runners;
	struct fixture f;
	struct prng prng;
	uint64_t base;

	(void)state;
	require_kvm();
	fixture_create(&f, 4 << 20);
	load_code(&f, f.cpu, CODE(hammer));
	base = fixture_mmap(&f, PAGES, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
	start(&runners, &f, hammer, base, PAGES);
	prng_seed(&prng, 10);
	for (uint32_t round = 0; round < ROUNDS && !have_done(&runners, CALLS); round++) {
		uint64_t first = prng_below(&prng, PAGES);
		uint64_t bytes = (1 + prng_below(&prng, PAGES - first)) * PAGE_SIZE;
		uint64_t address = base + first * PAGE_SIZE;
		quire_mm *child;

		switch (prng_below(&prng, 6)) {
		case 0:
			assert_int_equal(quire_munmap(f.mm, address, bytes), 0);
			break;
		case 1:
			assert_int_equal(quire_madvise(f.mm, address, bytes, QUIRE_MADV_DONTNEED),
					 0);
			break;
		case 2:
			assert_int_equal(quire_mprotect(f.mm, address, bytes, QUIRE_PROT_READ), 0);
			break;
		case 3:
			assert_int_equal(quire_fork(f.mm, "child", &child), 0);
			quire_mm_exit(child);
			break;
		default:
			quire_reclaim(f.quire, NULL, 4);
		}
		map_again(&f, address, bytes);
	}
	stop(&runners);
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
	struct fixture *f = runner->f;
	struct kvm_cpu_exit exit;
	enum quire_signal signal;
	struct kvm_regs *regs;
	struct kvm_cpu *cpu;

	if (kvm_cpu_create(f->machine, &cpu)) {
		runner->errors++;
		return NULL;
	}
	kvm_cpu_switch(cpu, f->mm);
	regs = kvm_cpu_regs(cpu);
	regs->rip = f->code;
	regs->rdi = runner->base + 8 * (runner->number - 1);
	regs->rsi = runner->base + runner->pages * PAGE_SIZE;
	regs->r8 = 8 * 31;
	while (!runner->errors && runner->done < 6) {
		kvm_cpu_run(cpu, &exit);
		if (exit.reason == KVM_CPU_SYSCALL)
			runner->done++;
		else if (exit.reason != KVM_CPU_FAULT ||
			 quire_handle_fault(f->mm, exit.address, exit.access, &signal))
			runner->errors++;
	}
	kvm_cpu_switch(cpu, NULL);
	kvm_cpu_destroy(cpu);
	return NULL;
}

/* More pages than frames: what one CPU stores, another one's fault sends to swap. */
static void eviction_loses_nothing(void **state)
{
	enum {
		PAGES = 400
	};
	struct quire_stat stat = {.size = sizeof(stat)};
	struct quire_store *store;
	struct runners runners;
	struct fixture f;

	(void)state;
	require_kvm();
	fixture_create(&f, 1 << 20);
	assert_int_equal(quire_memory_store_create(4 << 20, &store), 0);
	assert_int_equal(quire_swapon(f.quire, store, 4 << 20), 0);
	load_code(&f, f.cpu, CODE(sweep));
	start(&runners, &f, sweep, fixture_mmap(&f, PAGES, QUIRE_PROT_READ | QUIRE_PROT_WRITE),
	      PAGES);
	stop(&runners);
	assert_int_equal(quire_get_stat(f.quire, &stat), 0);
	assert_true(stat.swap_out > PAGES && stat.swap_in > PAGES);
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
	require_kvm();
	fixture_create(&f, 2 << 20);
	load_code(&f, f.cpu, CODE(sweep));
	regs = kvm_cpu_regs(f.cpu);
	prng_seed(&prng, 11);
	for (uint32_t round = 0; round < 1000; round++) {
		const uint64_t base = (1 + prng_below(&prng, 4)) << PGD_SHIFT |
				      prng_below(&prng, 4) << PUD_SHIFT |
				      prng_below(&prng, 4) << PMD_SHIFT;
		const uint64_t bytes = (1 + prng_below(&prng, 3)) * PMD_SIZE;

		map_again(&f, base, bytes);
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
