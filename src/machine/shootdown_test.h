/* SPDX-License-Identifier: MIT */
/*
 * What the tests of shootdown share, whatever the machine: threads that access memory without a
 * pause on CPUs of their own, and the main thread that takes it away from them. Once a revocation
 * has returned, no CPU may touch the frame.
 */
#ifndef QUIRE_MACHINE_SHOOTDOWN_TEST_H
#define QUIRE_MACHINE_SHOOTDOWN_TEST_H

#include "base/prng.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/vma/mm.h"

#include <quire/memory_store.h>

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define RUNNERS_MAX 3
#define RAW_BASE ((uint64_t)0x1000000000)
#define RAW_PAGES 4
#define WORDS (PAGE_SIZE / 8)
#define LOOKS 16
/* What a frame holds while nobody may use it; no CPU stores it. */
#define POISON 0xbad0bad0bad0bad0

struct fixture; /* the machine's own */

struct runner {
	struct fixture *f;
	uint64_t base;
	uint64_t pages;
	uint64_t number;
	_Atomic bool *stop;
	_Atomic uint64_t errors;
	_Atomic uint64_t done; /* steps that succeeded: as large as the machine's test likes */
};

struct runners {
	struct runner runner[RUNNERS_MAX];
	pthread_t thread[RUNNERS_MAX];
	uint32_t count;  /* of threads */
	uint32_t rounds; /* in which something is taken from them */
	uint64_t enough; /* steps of each that end the rounds early; 0: none do */
	_Atomic bool stop;
};

/* Returns when all are at work. */
static inline void start(struct runners *runners, struct fixture *f, void *(*body)(void *),
			 uint64_t base, uint64_t pages)
{
	atomic_store(&runners->stop, false);
	for (uint32_t i = 0; i < runners->count; i++) {
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
	for (uint32_t i = 0; i < runners->count; i++)
		while (!runners->runner[i].done && !runners->runner[i].errors)
			sched_yield();
}

static inline bool is_enough(struct runners *runners)
{
	if (!runners->enough)
		return false;
	for (uint32_t i = 0; i < runners->count; i++)
		if (runners->runner[i].done < runners->enough && !runners->runner[i].errors)
			return false;
	return true;
}

static inline void stop(struct runners *runners)
{
	atomic_store(&runners->stop, true);
	for (uint32_t i = 0; i < runners->count; i++) {
		pthread_join(runners->thread[i], NULL);
		assert_int_equal(runners->runner[i].errors, 0);
		assert_true(runners->runner[i].done > 0);
	}
}

/* Pages at RAW_BASE that are in no VMA: nobody but the test has anything to do with them. */
static inline void map_raw(struct mm_struct *mm, struct page *pages[RAW_PAGES])
{
	for (uint64_t i = 0; i < RAW_PAGES; i++) {
		pages[i] = alloc_page(mm->quire, GFP_ZERO);
		assert_non_null(pages[i]);
		set_pte(pte_alloc(mm, RAW_BASE + i * PAGE_SIZE),
			pfn_pte(page_to_pfn(&mm->quire->zone, pages[i]),
				PTE_PRESENT | PTE_USER | PTE_WRITE | PTE_NX));
	}
}

static inline void unmap_raw(struct mm_struct *mm, struct page *pages[RAW_PAGES])
{
	for (uint64_t i = 0; i < RAW_PAGES; i++) {
		const uint64_t address = RAW_BASE + i * PAGE_SIZE;

		pte_exchange(pte_find(mm, address), 0);
		flush_tlb_page(mm, address, page_to_pfn(&mm->quire->zone, pages[i]));
		put_page(mm->quire, pages[i]);
	}
}

static inline void fill_words(uint64_t *words, uint64_t value)
{
	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = value;
}

/* Takes a page away and looks whether its frame stays as it is. */
static inline void check_unmapped(struct mm_struct *mm, uint64_t address, uint64_t *words)
{
	pte_t *pte = pte_find(mm, address);
	pteval_t entry = pte_exchange(pte, 0);

	flush_tlb_page(mm, address, pte_pfn(entry));
	fill_words(words, POISON);
	for (uint32_t look = 0; look < LOOKS; look++) {
		for (uint32_t i = 0; i < WORDS; i++)
			assert_int_equal(((volatile uint64_t *)words)[i], POISON);
		quire_relax(look);
	}
	fill_words(words, 0);
	set_pte(pte, entry & ~(PTE_ACCESSED | PTE_DIRTY));
}

/* Forbids writing and looks whether the contents stand still; the dirty bit must stay clear. */
static inline void check_protected(struct mm_struct *mm, uint64_t address, uint64_t *words)
{
	uint64_t before[WORDS];
	pte_t *pte = pte_find(mm, address);
	pteval_t entry = pte_modify_bits(pte, PTE_WRITE | PTE_DIRTY, 0);

	flush_tlb_page(mm, address, pte_pfn(entry));
	memcpy(before, words, sizeof(before));
	for (uint32_t look = 0; look < LOOKS; look++) {
		assert_memory_equal(before, words, sizeof(before));
		quire_relax(look);
	}
	assert_false(pte_load(pte) & PTE_DIRTY);
	pte_modify_bits(pte, 0, PTE_WRITE);
}

/* Revokes one of the raw pages, in part or altogether, and gives it back. */
static inline void revoke_raw(struct mm_struct *mm, struct page *pages[RAW_PAGES],
			      struct prng *prng)
{
	const uint64_t i = prng_below(prng, RAW_PAGES);
	uint64_t *words = page_address(&mm->quire->zone, pages[i]);

	if (prng_below(prng, 2))
		check_unmapped(mm, RAW_BASE + i * PAGE_SIZE, words);
	else
		check_protected(mm, RAW_BASE + i * PAGE_SIZE, words);
}

/* No CPU touches a frame that was taken from it. */
static inline void revoke_under(struct runners *runners, struct fixture *f, struct mm_struct *mm,
				void *(*body)(void *))
{
	struct page *pages[RAW_PAGES];
	struct prng prng;

	map_raw(mm, pages);
	start(runners, f, body, RAW_BASE, RAW_PAGES);
	prng_seed(&prng, 9);
	for (uint32_t round = 0; round < runners->rounds && !is_enough(runners); round++)
		revoke_raw(mm, pages, &prng);
	stop(runners);
	unmap_raw(mm, pages);
}

static inline uint64_t map_memory(struct mm_struct *mm, uint64_t pages)
{
	uint64_t address = quire_mmap(mm, 0, pages * PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				      QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);

	assert_true(address != QUIRE_MAP_FAILED);
	return address;
}

static inline void map_again(struct mm_struct *mm, uint64_t address, uint64_t bytes)
{
	assert_true(quire_mmap(mm, address, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			       QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED |
				       QUIRE_MAP_NORESERVE,
			       NULL, 0) == address);
}

/* Does something to a part of the mapping, and then maps this part anew. */
static inline void change_mapping(struct mm_struct *mm, uint64_t base, uint64_t pages,
				  struct prng *prng)
{
	const uint64_t first = prng_below(prng, pages);
	const uint64_t bytes = (1 + prng_below(prng, pages - first)) * PAGE_SIZE;
	const uint64_t address = base + first * PAGE_SIZE;
	quire_mm *child;

	switch (prng_below(prng, 7)) {
	case 0:
		assert_int_equal(quire_munmap(mm, address, bytes), 0);
		break;
	case 1:
		assert_int_equal(quire_madvise(mm, address, bytes, QUIRE_MADV_DONTNEED), 0);
		break;
	case 2:
		assert_int_equal(quire_mprotect(mm, address, bytes, QUIRE_PROT_READ), 0);
		break;
	case 3:
		assert_int_equal(quire_fork(mm, "child", &child), 0);
		quire_mm_exit(child);
		break;
	case 4:
		break;
	default:
		quire_reclaim(mm->quire, NULL, 4);
	}
	map_again(mm, address, bytes);
}

/* `body` finds each word as it was stored, or 0. */
static inline void change_mappings_under(struct runners *runners, struct fixture *f,
					 struct mm_struct *mm, void *(*body)(void *))
{
	enum {
		PAGES = 8
	};
	const uint64_t base = map_memory(mm, PAGES);
	struct prng prng;

	start(runners, f, body, base, PAGES);
	prng_seed(&prng, 10);
	for (uint32_t round = 0; round < runners->rounds && !is_enough(runners); round++)
		change_mapping(mm, base, PAGES, &prng);
	stop(runners);
}

/*
 * More pages than frames: what one CPU stores, another one's fault sends to swap. `body` ends by
 * itself, when it has found everything as it left it.
 */
static inline void evict_under(struct runners *runners, struct fixture *f, struct mm_struct *mm,
			       void *(*body)(void *))
{
	enum {
		PAGES = 400
	};
	struct quire_stat stat = {.size = sizeof(stat)};
	struct quire_store *store;

	assert_int_equal(quire_memory_store_create(4 << 20, &store), 0);
	assert_int_equal(quire_swapon(mm->quire, store, 4 << 20), 0);
	start(runners, f, body, map_memory(mm, PAGES), PAGES);
	stop(runners);
	assert_int_equal(quire_get_stat(mm->quire, &stat), 0);
	assert_true(stat.swap_out > PAGES && stat.swap_in > PAGES);
}

#endif
