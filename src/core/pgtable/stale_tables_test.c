/* SPDX-License-Identifier: MIT */
/*
 * Tests of stale page tables: with a machine that has to be told to forget tables, no frame that
 * was one is used for anything before it was told; and of the half of a top-level table that is the
 * machine's.
 */
#include "core/pgtable/stale_tables.h"

#include "core/frame/taken_test.h"
#include "core/instance/test_instance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)4 << 20)
#define BOUND 16 /* of this much memory */
#define STEP PMD_SIZE
#define BASE ((uint64_t)1 << 40)

static struct {
	struct quire *quire;
	uint64_t calls;
	bool known[MEMORY >> PAGE_SHIFT]; /* frames that the machine still knows as tables */
} forgetful;

/* Until now, all that were tables must still be. */
static void forget_tables(struct quire_machine *machine)
{
	struct zone *zone = &forgetful.quire->zone;

	(void)machine;
	for (pfn_t pfn = 0; pfn < zone->nr_frames; pfn++) {
		const struct page *page = pfn_to_page(zone, pfn);

		if (forgetful.known[pfn])
			assert_true(page_test(page, PG_table) && page_count(page) == 1);
	}
	memset(forgetful.known, 0, sizeof(forgetful.known));
	forgetful.calls++;
}

static void create(struct test_instance *test, struct mm_struct **mm)
{
	test_instance_create(test, (struct quire_params){.memory = MEMORY});
	memset(&forgetful, 0, sizeof(forgetful));
	forgetful.quire = test->quire;
	test->machine.ops.forget_tables = forget_tables;
	assert_int_equal(quire_mm_create(test->quire, "main", NULL, mm), 0);
}

static void destroy(struct test_instance *test)
{
	const uint64_t stale = test->quire->stale_tables.count;
	const uint64_t calls = forgetful.calls;

	assert_int_equal(zone_nr_free(&test->quire->zone) + stale, test->frames_free);
	test_instance_destroy(test);
	assert_int_equal(forgetful.calls, calls + (stale > 0));
}

static uint64_t stale(const struct test_instance *test)
{
	return test->quire->stale_tables.count;
}

/* Tables of the mm are what the machine may know. */
static void learn(struct mm_struct *mm)
{
	struct zone *zone = &mm->quire->zone;

	for (pfn_t pfn = 0; pfn < zone->nr_frames; pfn++)
		forgetful.known[pfn] |= page_test(pfn_to_page(zone, pfn), PG_table);
}

static void map_page(struct mm_struct *mm, uint64_t address)
{
	assert_int_equal(quire_mmap(mm, address, PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL,
				    0),
			 address);
	test_store(mm, address, 1, NULL);
	learn(mm);
}

static void unmap_page(struct mm_struct *mm, uint64_t address)
{
	assert_int_equal(quire_munmap(mm, address, PAGE_SIZE), 0);
}

/* Stale tables are what a page leaves. */
static void create_with_stale(struct test_instance *test, struct mm_struct **mm)
{
	create(test, mm);
	map_page(*mm, BASE);
	unmap_page(*mm, BASE);
}

static void waits_until_there_are_many(void **state)
{
	struct test_instance test;
	struct mm_struct *mm;
	struct quire_stat stat = {.size = sizeof(stat)};

	(void)state;
	create(&test, &mm);
	map_page(mm, BASE);
	/* Each time the last table goes, and those above it stay with the neighbour's. */
	for (uint64_t i = 1; i < BOUND; i++) {
		map_page(mm, BASE + STEP);
		unmap_page(mm, BASE + STEP);
		assert_int_equal(stale(&test), i);
		assert_int_equal(forgetful.calls, 0);
		assert_int_equal(quire_get_stat(test.quire, &stat), 0);
		assert_int_equal(stat.page_tables, 4 + i);
		test_instance_check(&test);
	}
	map_page(mm, BASE + STEP);
	unmap_page(mm, BASE + STEP);
	assert_int_equal(forgetful.calls, 1);
	assert_int_equal(stale(&test), 0);
	quire_mm_exit(mm);
	/* The four of the first page, top to bottom. */
	assert_int_equal(stale(&test), 4);
	destroy(&test);
}

static void slot_gets_a_new_table_meanwhile(void **state)
{
	struct test_instance test;
	struct mm_struct *mm;
	pte_t *before;

	(void)state;
	create(&test, &mm);
	map_page(mm, BASE);
	before = pte_find(mm, BASE);
	unmap_page(mm, BASE);
	assert_int_equal(stale(&test), 3);
	map_page(mm, BASE);
	assert_ptr_not_equal(pte_find(mm, BASE), before);
	assert_int_equal(test_load(mm, BASE, NULL), 1);
	test_instance_check(&test);
	assert_int_equal(forget_stale_tables(test.quire), 3);
	assert_int_equal(forget_stale_tables(test.quire), 0);
	assert_int_equal(forgetful.calls, 1);
	assert_int_equal(test_load(mm, BASE, NULL), 1);
	quire_mm_exit(mm);
	destroy(&test);
}

static void forgets_before_it_reclaims(void **state)
{
	struct taken taken = {.count = 0};
	struct test_instance test;
	struct mm_struct *mm;

	(void)state;
	create_with_stale(&test, &mm);
	while (take(test.quire, &taken, GFP_NOWAIT | GFP_RESERVE))
		;
	assert_int_equal(forgetful.calls, 0);
	assert_true(take(test.quire, &taken, GFP_RECLAIM | GFP_RESERVE));
	assert_int_equal(forgetful.calls, 1);
	assert_int_equal(stat_read(&test.quire->events, EVENT_RECLAIM_DIRECT), 0);
	give_back(test.quire, &taken);
	quire_mm_exit(mm);
	destroy(&test);
}

static void background_reclaim_forgets(void **state)
{
	struct taken taken = {.count = 0};
	struct test_instance test;
	struct mm_struct *mm;

	(void)state;
	create_with_stale(&test, &mm);
	quire_balance(test.quire);
	assert_int_equal(forgetful.calls, 0);
	while (!zone_below(&test.quire->zone, WMARK_LOW))
		assert_true(take(test.quire, &taken, GFP_NOWAIT));
	quire_balance(test.quire);
	assert_int_equal(forgetful.calls, 1);
	assert_int_equal(stale(&test), 0);
	give_back(test.quire, &taken);
	quire_mm_exit(mm);
	destroy(&test);
}

/* What a machine enters into its half is left alone, at the end too. */
static void upper_half_is_the_machines(void **state)
{
	const pteval_t own = pfn_pte(MEMORY, PTE_PRESENT | PTE_WRITE);
	struct test_instance test;
	struct mm_struct *mm;
	pte_t *root;

	(void)state;
	test_instance_create(&test, (struct quire_params){.memory = MEMORY});
	assert_int_equal(quire_mm_create(test.quire, "main", NULL, &mm), 0);
	root = table_entries(test.quire->zone.base, mm->pgd);
	for (uint32_t i = PTRS_PER_PGD_USER; i < PTRS_PER_TABLE; i++) {
		assert_int_equal(pte_load(&root[i]), 0);
		set_pte(&root[i], own);
	}
	map_page(mm, BASE);
	test_instance_check(&test);
	unmap_page(mm, BASE);
	test_instance_check(&test);
	for (uint32_t i = PTRS_PER_PGD_USER; i < PTRS_PER_TABLE; i++)
		assert_int_equal(pte_load(&root[i]), own);
	quire_mm_exit(mm);
	assert_int_equal(zone_nr_free(&test.quire->zone), test.frames_free);
	test_instance_destroy(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_until_there_are_many),
		cmocka_unit_test(slot_gets_a_new_table_meanwhile),
		cmocka_unit_test(forgets_before_it_reclaims),
		cmocka_unit_test(background_reclaim_forgets),
		cmocka_unit_test(upper_half_is_the_machines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
