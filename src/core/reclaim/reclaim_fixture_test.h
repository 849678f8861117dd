/* SPDX-License-Identifier: MIT */
/*
 * For the tests of reclaim as a whole: an mm in a group with a budget, and memory several times
 * that budget whose contents are known.
 */
#ifndef QUIRE_CORE_RECLAIM_RECLAIM_FIXTURE_TEST_H
#define QUIRE_CORE_RECLAIM_RECLAIM_FIXTURE_TEST_H

#include "core/fault/fault.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/vmscan.h"

#include <quire/memory_store.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)2 << 20)
#define BUDGET_PAGES 64
#define SET_PAGES (4 * BUDGET_PAGES)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)

struct fixture {
	struct test_instance test;
	quire_group *group;
	quire_mm *mm;
};

static inline void begin(struct fixture *f, const char *policy, uint64_t budget, uint64_t swap)
{
	test_instance_create(&f->test, (struct quire_params){.memory = MEMORY, .policy = policy});
	if (swap)
		test_instance_add_swap(&f->test, swap);
	assert_int_equal(
		quire_group_create(f->test.quire, NULL, "budget", budget << PAGE_SHIFT, &f->group),
		0);
	assert_int_equal(quire_mm_create(f->test.quire, "main", f->group, &f->mm), 0);
}

static inline void end(struct fixture *f)
{
	quire_mm_exit(f->mm);
	quire_group_put(f->group);
	test_instance_destroy(&f->test);
}

static inline uint64_t map(quire_mm *mm, uint64_t pages, int flags, quire_file *file)
{
	uint64_t address = quire_mmap(mm, 0, pages << PAGE_SHIFT, RW, flags, file, 0);

	assert_true(address != QUIRE_MAP_FAILED);
	return address;
}

/* Never 0: pages of zeros need no swap. */
static inline uint8_t byte_of(uint64_t page, uint8_t round)
{
	return (uint8_t)((page * 31 + 7 * round) % 255 + 1);
}

/* One byte at a place of its own in each page. */
static inline uint64_t place(uint64_t base, uint64_t page)
{
	return base + (page << PAGE_SHIFT) + page * 13 % PAGE_SIZE;
}

static inline void store_all(quire_mm *mm, uint64_t base, uint64_t pages, uint8_t round)
{
	for (uint64_t i = 0; i < pages; i++)
		test_store(mm, place(base, i), byte_of(i, round), NULL);
}

static inline void expect_all(quire_mm *mm, uint64_t base, uint64_t pages, uint8_t round)
{
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(test_load(mm, place(base, i), NULL), byte_of(i, round));
}

/* Budget and invariants hold at every step; contents come back three times over. */
static inline void exercise(struct fixture *f, uint64_t base)
{
	for (uint8_t round = 0; round < 3; round++) {
		store_all(f->mm, base, SET_PAGES, round);
		assert_true(memcg_usage(f->group) <= BUDGET_PAGES);
		test_instance_check(&f->test);
		expect_all(f->mm, base, SET_PAGES, round);
		assert_true(memcg_usage(f->group) <= BUDGET_PAGES);
		test_instance_check(&f->test);
	}
	assert_true(atomic_load(&f->group->peak) <= BUDGET_PAGES);
	assert_int_equal(stat_read(&f->test.quire->events, EVENT_OOM), 0);
}

static inline quire_file *open_file(struct fixture *f, uint64_t pages)
{
	struct quire_store *store;
	quire_file *file;

	assert_int_equal(quire_memory_store_create(pages << PAGE_SHIFT, &store), 0);
	assert_int_equal(
		quire_open(f->test.quire, "file", 1, 1, store, QUIRE_O_READ | QUIRE_O_WRITE, &file),
		0);
	return file;
}

#endif
