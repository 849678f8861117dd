/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the memory calls stand on: an instance with swap and one mm, and short forms of
 * what they do all the time. Addresses are given in pages from BASE, where nothing is mapped at
 * first.
 */
#ifndef QUIRE_CORE_CALL_FIXTURE_TEST_H
#define QUIRE_CORE_CALL_FIXTURE_TEST_H

#include "base/alloc.h"
#include "base/fail.h"
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/file/filemap.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/vmscan.h"
#include "core/vma/vma.h"

#include <quire/memory_store.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define BASE ((uint64_t)0x200000000)
#define AT(page) (BASE + ((uint64_t)(page) << PAGE_SHIFT))
#define PAGES(n) ((uint64_t)(n) << PAGE_SHIFT)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define SWAP_PAGES 4096
/* What test_load() gives besides a byte. */
#define MAPERR 0x1000
#define ACCERR 0x2000
#define SIGBUS 0x4000

#define assert_error(call, number) \
	do { \
		errno = 0; \
		assert_int_equal((int64_t)(call), -1); \
		assert_int_equal(errno, number); \
	} while (0)
#define assert_ok(call) assert_int_equal((call), 0)

struct fixture {
	struct test_instance instance;
	struct quire *quire;
	quire_mm *mm;
	quire_file *file;
};

static inline void fixture_create(struct fixture *f, struct quire_params params)
{
	memset(f, 0, sizeof(*f));
	test_instance_create(&f->instance, params);
	test_instance_add_swap(&f->instance, SWAP_PAGES);
	f->quire = f->instance.quire;
	assert_ok(quire_mm_create(f->quire, "main", NULL, &f->mm));
}

static inline int setup(void **state)
{
	static struct fixture f;

	fixture_create(&f, (struct quire_params){.memory = (uint64_t)8 << 20});
	*state = &f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	test_instance_check(&f->instance);
	if (f->mm)
		quire_mm_exit(f->mm);
	if (f->file)
		quire_close(f->file);
	test_instance_destroy(&f->instance);
	return 0;
}

/* Maps `pages` at AT(page): private anonymous memory, or f->file from `pgoff` on. */
static inline void map_at(struct fixture *f, uint64_t page, uint64_t pages, int flags)
{
	assert_int_equal(
		quire_mmap(f->mm, AT(page), PAGES(pages), RW, flags | QUIRE_MAP_FIXED, NULL, 0),
		AT(page));
}

static inline void map_anon(struct fixture *f, uint64_t page, uint64_t pages)
{
	map_at(f, page, pages, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS);
}

static inline void map_file(struct fixture *f, uint64_t page, uint64_t pages, int flags,
			    uint64_t pgoff)
{
	assert_int_equal(quire_mmap(f->mm, AT(page), PAGES(pages), RW, flags | QUIRE_MAP_FIXED,
				    f->file, (int64_t)PAGES(pgoff)),
			 AT(page));
}

/* f->file: a regular file of `pages` pages, page i full of the byte first + i. */
static inline void make_file(struct fixture *f, uint64_t pages, uint8_t first)
{
	struct quire_store *store;
	char page[PAGE_SIZE];

	assert_ok(quire_memory_store_create(0, &store));
	assert_ok(
		quire_open(f->quire, "file", 1, 1, store, QUIRE_O_READ | QUIRE_O_WRITE, &f->file));
	for (uint64_t i = 0; i < pages; i++) {
		memset(page, (int)(first + i), sizeof(page));
		assert_int_equal(quire_pwrite(f->file, NULL, page, sizeof(page), PAGES(i)),
				 PAGE_SIZE);
	}
}

static inline void make_memfd(struct fixture *f, uint64_t pages)
{
	assert_ok(quire_memfd_create(f->quire, "object", 0, &f->file));
	assert_ok(quire_ftruncate(f->file, PAGES(pages)));
}

static inline int fault_code(uint32_t error)
{
	if (error & VM_FAULT_MAPERR)
		return MAPERR;
	return error & VM_FAULT_ACCERR ? ACCERR : SIGBUS;
}

/* The byte at the start of a page, or what signal its reader gets. */
static inline int load_in(quire_mm *mm, uint64_t page)
{
	uint32_t error = 0;
	uint8_t byte = test_load(mm, AT(page), &error);

	assert_false(error & VM_FAULT_OOM);
	return error ? fault_code(error) : byte;
}

static inline int store_in(quire_mm *mm, uint64_t page, uint8_t byte)
{
	uint32_t error = 0;

	test_store(mm, AT(page), byte, &error);
	assert_false(error & VM_FAULT_OOM);
	return error ? fault_code(error) : 0;
}

static inline int load(struct fixture *f, uint64_t page)
{
	return load_in(f->mm, page);
}

static inline int store(struct fixture *f, uint64_t page, uint8_t byte)
{
	return store_in(f->mm, page, byte);
}

/* `n` as long as that is a byte, and never 0 beyond: pages of zeros need no swap. */
static inline uint8_t page_byte(uint64_t n)
{
	return (uint8_t)(n ? (n - 1) % 255 + 1 : 0);
}

/* Page `page` + i gets the byte `first` + i. */
static inline void store_pages(struct fixture *f, uint64_t page, uint64_t pages, uint8_t first)
{
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(store(f, page + i, page_byte(first + i)), 0);
}

static inline void assert_pages(struct fixture *f, uint64_t page, uint64_t pages, uint8_t first)
{
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(load(f, page + i), page_byte(first + i));
}

static inline void assert_all(struct fixture *f, uint64_t page, uint64_t pages, int what)
{
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(load(f, page + i), what);
}

static inline int advise(struct fixture *f, uint64_t page, uint64_t pages, int advice)
{
	return quire_madvise(f->mm, AT(page), PAGES(pages), advice);
}

static inline uint64_t rss(quire_mm *mm, enum mm_rss item)
{
	return stat_read(&mm->rss, item);
}

/* Evicts until nothing more goes. */
static inline void evict_all(struct fixture *f)
{
	while (quire_reclaim(f->quire, NULL, 64))
		;
}

static inline uint64_t frames_free(struct fixture *f)
{
	lru_add_drain_all(f->quire);
	return zone_nr_free(&f->quire->zone);
}

static inline pteval_t pte_at(quire_mm *mm, uint64_t page)
{
	pte_t *pte = pte_find(mm, AT(page));

	return pte ? pte_load(pte) : 0;
}

#endif
