/* SPDX-License-Identifier: MIT */
/*
 * Tests of shootdown: CPUs of other threads access memory without a pause while the main thread
 * takes it away. Once a revocation has returned, no CPU may touch the frame.
 */
#include "machine/soft/soft.h"

#include "base/prng.h"
#include "core/pgtable/mmu_gather.h"
#include "machine/soft/fixture_test.h"

#include <quire/memory_store.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 3
#define RAW_BASE ((uint64_t)0x1000000000)
#define RAW_PAGES 4
#define WORDS (PAGE_SIZE / 8)
#define EVICTED_ACCESSES 4000
/* What a frame holds while nobody may use it; no CPU stores it. */
#define POISON 0xbad0bad0bad0bad0

struct runner {
	struct fixture *f;
	uint64_t base;
	uint64_t pages;
	uint64_t number;
	_Atomic bool *stop;
	uint64_t errors;
	uint64_t done; /* accesses that succeeded */
	uint64_t added;
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

/* Loads and stores words anywhere in the range; never sees poison. */
static void *hammer_raw(void *argument)
{
	struct runner *runner = argument;
	struct soft_outcome outcome;
	struct soft_cpu *cpu;
	struct prng prng;

	if (soft_cpu_create(runner->f->machine, &cpu)) {
		runner->errors++;
		return NULL;
	}
	soft_cpu_switch(cpu, runner->f->mm);
	prng_seed(&prng, runner->number);
	/* At least one access, or a busy machine might never give us a turn. */
	while (!runner->done || !atomic_load_explicit(runner->stop, memory_order_relaxed)) {
		uint64_t word = prng_below(&prng, runner->pages * WORDS);
		uint64_t address = runner->base + word * 8;
		uint64_t value = 0;

		if (prng_below(&prng, 2)) {
			if (soft_load_u64(cpu, address, &value, &outcome))
				continue;
			runner->errors += value == POISON;
		} else if (soft_store_u64(cpu, address, runner->number << 32 | word, &outcome)) {
			continue;
		}
		runner->done++;
	}
	soft_cpu_destroy(cpu);
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
	for (uint32_t look = 0; look < 4; look++) {
		for (uint32_t i = 0; i < WORDS; i++)
			assert_int_equal(((volatile uint64_t *)words)[i], POISON);
		quire_relax(look);
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
	for (uint32_t look = 0; look < 4; look++) {
		assert_memory_equal(before, words, sizeof(before));
		quire_relax(look);
	}
	assert_false(pte_load(pte) & PTE_DIRTY);
	pte_modify_bits(pte, 0, PTE_WRITE);
}

static void frames_are_quiet_after_revocation(bool fenced, uint32_t rounds)
{
	struct soft_params params = {.fenced = fenced};
	struct page *pages[RAW_PAGES];
	struct runners runners;
	struct fixture f;
	struct prng prng;

	fixture_create(&f, &params, 4 << 20);
	for (uint64_t i = 0; i < RAW_PAGES; i++) {
		pages[i] = alloc_page(f.quire, GFP_ZERO);
		set_pte(pte_alloc(f.mm, RAW_BASE + i * PAGE_SIZE),
			pfn_pte(page_to_pfn(&f.quire->zone, pages[i]),
				PTE_PRESENT | PTE_USER | PTE_WRITE | PTE_NX));
	}
	start(&runners, &f, hammer_raw, RAW_BASE, RAW_PAGES);
	prng_seed(&prng, 9);
	for (uint32_t round = 0; round < rounds; round++) {
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

static void quiet_with_membarrier(void **state)
{
	(void)state;
	frames_are_quiet_after_revocation(false, 2000);
}

static void quiet_with_fences(void **state)
{
	(void)state;
	frames_are_quiet_after_revocation(true, 2000);
}

/* Each word of the range may only hold 0 or what belongs there. */
static void *hammer_mapped(void *argument)
{
	struct runner *runner = argument;
	struct soft_outcome outcome;
	struct soft_cpu *cpu;
	struct prng prng;

	if (soft_cpu_create(runner->f->machine, &cpu)) {
		runner->errors++;
		return NULL;
	}
	soft_cpu_switch(cpu, runner->f->mm);
	prng_seed(&prng, runner->number);
	while (!runner->done || !atomic_load_explicit(runner->stop, memory_order_relaxed)) {
		uint64_t address = runner->base + prng_below(&prng, runner->pages * WORDS) * 8;
		uint64_t value = 0;
		int error = prng_below(&prng, 2) ? soft_load_u64(cpu, address, &value, &outcome)
						 : soft_store_u64(cpu, address, ~address, &outcome);

		if (error) {
			runner->errors +=
				error != -EFAULT || (outcome.signal != QUIRE_SEGV_MAPERR &&
						     outcome.signal != QUIRE_SEGV_ACCERR);
			continue;
		}
		runner->errors += value && value != ~address;
		runner->done++;
	}
	soft_cpu_destroy(cpu);
	return NULL;
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
	fixture_create(&f, NULL, 4 << 20);
	base = fixture_mmap(&f, PAGES);
	start(&runners, &f, hammer_mapped, base, PAGES);
	prng_seed(&prng, 10);
	for (uint32_t round = 0; round < 1500; round++) {
		uint64_t first = prng_below(&prng, PAGES);
		uint64_t bytes = (1 + prng_below(&prng, PAGES - first)) * PAGE_SIZE;
		uint64_t address = base + first * PAGE_SIZE;
		quire_mm *child;

		switch (prng_below(&prng, 6)) {
		case 0:
			assert_int_equal(quire_munmap(f.mm, address, bytes), 0);
			break;
		case 1:
			assert_int_equal(quire_madvise(f.mm, base, PAGE_SIZE, QUIRE_MADV_DONTNEED),
					 0);
			assert_int_equal(quire_mprotect(f.mm, base, PAGE_SIZE, QUIRE_PROT_READ), 0);
			break;
		case 2:
			assert_int_equal(quire_fork(f.mm, "child", &child), 0);
			quire_mm_exit(child);
			break;
		default:
			break;
		}
		assert_true(quire_mmap(f.mm, address, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				       QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				       NULL, 0) == address);
		assert_true(quire_mmap(f.mm, base, PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				       QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				       NULL, 0) == base);
	}
	stop(&runners);
	fixture_destroy(&f);
}

/* Adds to one shared counter, and counts what it added. */
static void *add_shared(void *argument)
{
	struct runner *runner = argument;
	struct soft_outcome outcome;
	struct soft_cpu *cpu;

	if (soft_cpu_create(runner->f->machine, &cpu)) {
		runner->errors++;
		return NULL;
	}
	soft_cpu_switch(cpu, runner->f->mm);
	while (!runner->done || !atomic_load_explicit(runner->stop, memory_order_relaxed)) {
		uint64_t value = runner->number;

		if (soft_fetch_add(cpu, runner->base, 8, &value, &outcome))
			continue;
		runner->added += runner->number;
		runner->done++;
	}
	soft_cpu_destroy(cpu);
	return NULL;
}

static void atomics_lose_nothing(void **state)
{
	struct runners runners;
	struct fixture f;
	uint64_t base, value, expected = 0;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	base = fixture_mmap(&f, 1);
	start(&runners, &f, add_shared, base, 1);
	for (uint32_t round = 0; round < 500; round++) {
		quire_mm *child;

		/* The child makes each later addition a copy on write. */
		assert_int_equal(quire_fork(f.mm, "child", &child), 0);
		assert_int_equal(quire_mprotect(f.mm, base, PAGE_SIZE, QUIRE_PROT_READ), 0);
		assert_int_equal(
			quire_mprotect(f.mm, base, PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE),
			0);
		quire_mm_exit(child);
	}
	stop(&runners);
	for (uint32_t i = 0; i < THREADS; i++)
		expected += runners.runner[i].added;
	assert_int_equal(soft_load_u64(f.cpu, base, &value, &f.outcome), 0);
	assert_int_equal(value, expected);
	fixture_destroy(&f);
}

/* Words of which each thread owns every THREADS-th, with what the owner last stored there. */
static void *keep_own_words(void *argument)
{
	struct runner *runner = argument;
	uint64_t words = runner->pages * WORDS;
	uint64_t *shadow = calloc(words, sizeof(*shadow));
	struct soft_outcome outcome;
	struct soft_cpu *cpu;
	struct prng prng;

	if (!shadow || soft_cpu_create(runner->f->machine, &cpu)) {
		runner->errors++;
		free(shadow);
		return NULL;
	}
	soft_cpu_switch(cpu, runner->f->mm);
	prng_seed(&prng, runner->number);
	while (!runner->errors && runner->done < EVICTED_ACCESSES) {
		uint64_t word = prng_below(&prng, words / THREADS) * THREADS + runner->number - 1;
		uint64_t address = runner->base + word * 8;
		uint64_t value = 0;

		if (prng_below(&prng, 2)) {
			shadow[word] = value = prng_next(&prng);
			runner->errors += soft_store_u64(cpu, address, value, &outcome) != 0;
		} else {
			runner->errors += soft_load_u64(cpu, address, &value, &outcome) != 0;
			runner->errors += value != shadow[word];
		}
		runner->done++;
	}
	soft_cpu_destroy(cpu);
	free(shadow);
	return NULL;
}

/* More pages than frames: what one CPU stores, another one's fault sends to swap. */
static void eviction_loses_nothing(void **state)
{
	enum {
		PAGES = 400
	};
	struct quire_store *store;
	struct quire_stat stat = {.size = sizeof(stat)};
	struct runners runners;
	struct fixture f;

	(void)state;
	fixture_create(&f, NULL, 1 << 20);
	assert_int_equal(quire_memory_store_create(4 << 20, &store), 0);
	assert_int_equal(quire_swapon(f.quire, store, 4 << 20), 0);
	start(&runners, &f, keep_own_words, fixture_mmap(&f, PAGES), PAGES);
	stop(&runners);
	assert_int_equal(quire_get_stat(f.quire, &stat), 0);
	assert_true(stat.swap_out > 0 && stat.swap_in > 0);
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quiet_with_membarrier),
		cmocka_unit_test(quiet_with_fences),
		cmocka_unit_test(mappings_change_under_accesses),
		cmocka_unit_test(atomics_lose_nothing),
		cmocka_unit_test(eviction_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
