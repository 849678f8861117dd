/* SPDX-License-Identifier: MIT */
/*
 * Tests of sections: memory comes online when it is needed, before anything is reclaimed, and a
 * section that cannot be had is done without.
 */
#include "core/frame/frame.h"

#include "base/fail.h"
#include "core/frame/taken_test.h"
#include "core/instance/test_instance.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)
#define SECTION (2 * MIB)
#define SECTION_PAGES (SECTION >> PAGE_SHIFT)
#define SECTIONS 4
/* The last section is a small one. */
#define MEMORY (SECTIONS * SECTION + 5 * PAGE_SIZE)
#define PAGES (MEMORY >> PAGE_SHIFT)

static struct quire_params params(void)
{
	return (struct quire_params){.memory = MEMORY, .section = SECTION};
}

static void give_all_back(struct test_instance *test, struct taken *taken)
{
	give_back(test->quire, taken);
	assert_int_equal(zone_nr_free(&test->quire->zone), test->frames_free);
}

static uint64_t online(const struct test_instance *test)
{
	return test->machine.online;
}

/* Frames that the test took belong to nobody that the whole instance could name. */
static void check_zone(struct test_instance *test)
{
	struct check_report report = {0};

	zone_validate(&test->quire->zone, &report);
	assert_string_equal(report.first, "");
}

static void comes_online_as_needed(void **state)
{
	struct taken taken = {.count = 0};
	struct test_instance test;

	(void)state;
	test_instance_create(&test, params());
	assert_int_equal(online(&test), SECTION);
	/* All but the zero page is free, online or not. */
	assert_int_equal(test.frames_free, PAGES - 1);
	assert_false(zone_below(&test.quire->zone, WMARK_HIGH));
	while (taken.count < SECTION_PAGES - 1) {
		assert_true(take(test.quire, &taken, GFP_NOWAIT));
		assert_int_equal(online(&test), SECTION);
		assert_int_equal(zone_nr_free(&test.quire->zone), PAGES - 1 - taken.count);
	}
	assert_true(take(test.quire, &taken, GFP_NOWAIT));
	assert_int_equal(online(&test), 2 * SECTION);
	check_zone(&test);
	while (take(test.quire, &taken, GFP_NOWAIT | GFP_RESERVE))
		;
	assert_int_equal(online(&test), MEMORY);
	assert_int_equal(taken.count, PAGES - 1);
	assert_int_equal(stat_read(&test.quire->events, EVENT_RECLAIM_DIRECT), 0);
	check_zone(&test);
	give_all_back(&test, &taken);
	test_instance_destroy(&test);
}

static void watermarks_count_all_memory(void **state)
{
	struct taken taken = {.count = 0};
	struct test_instance test;

	(void)state;
	test_instance_create(&test, params());
	while (take(test.quire, &taken, GFP_NOWAIT))
		;
	assert_int_equal(taken.count, PAGES - 1 - test.quire->zone.watermark[WMARK_MIN]);
	give_all_back(&test, &taken);
	test_instance_destroy(&test);
}

static void large_folio_brings_a_section(void **state)
{
	struct test_instance test;
	struct page *first, *second;

	(void)state;
	test_instance_create(&test, params());
	/* The zero page lies in the only block of this order that is online. */
	first = alloc_folio(test.quire, MAX_ORDER, GFP_NOWAIT);
	assert_non_null(first);
	assert_int_equal(online(&test), 2 * SECTION);
	second = alloc_folio(test.quire, MAX_ORDER, GFP_NOWAIT);
	assert_non_null(second);
	assert_int_equal(online(&test), 3 * SECTION);
	put_page(test.quire, first);
	put_page(test.quire, second);
	test_instance_destroy(&test);
}

/* Memory beyond is no longer counted on, and tried again when there is nothing else left. */
static void section_may_fail(void **state)
{
	struct taken taken = {.count = 0};
	struct test_instance test;

	(void)state;
	test_instance_create(&test, params());
	quire_fail_arm(FAIL_MACHINE, 1, true);
	while (take(test.quire, &taken, GFP_NOWAIT | GFP_RESERVE))
		;
	assert_true(quire_fail_disarm());
	assert_int_equal(taken.count, SECTION_PAGES - 1);
	assert_int_equal(zone_nr_free(&test.quire->zone), 0);
	assert_true(zone_below(&test.quire->zone, WMARK_MIN));
	check_zone(&test);
	assert_false(take(test.quire, &taken, GFP_NOWAIT | GFP_RESERVE));
	assert_int_equal(online(&test), SECTION);
	assert_true(take(test.quire, &taken, GFP_RECLAIM));
	assert_int_equal(online(&test), 2 * SECTION);
	give_all_back(&test, &taken);
	test_instance_destroy(&test);
}

static void creation_may_fail(void **state)
{
	struct test_instance test;

	(void)state;
	quire_fail_arm(FAIL_MACHINE, 1, false);
	assert_int_equal(test_instance_try_create(&test, params()), -ENOMEM);
	assert_true(quire_fail_disarm());
	test_instance_create(&test, params());
	test_instance_destroy(&test);
}

static void odd_sections_are_refused(void **state)
{
	struct test_instance test;

	(void)state;
	assert_int_equal(test_instance_try_create(
				 &test, (struct quire_params){.section = SECTION + PAGE_SIZE}),
			 -EINVAL);
}

struct taker {
	struct test_instance *test;
	struct taken taken;
	pthread_t thread;
};

static void *take_everything(void *argument)
{
	struct taker *taker = argument;

	while (take(taker->test->quire, &taker->taken, GFP_NOWAIT))
		;
	return NULL;
}

/* Threads that meet at the end of a section get all of it, and the next one once. */
static void threads_grow_together(void **state)
{
	static struct taker takers[3];
	struct test_instance test;
	uint64_t count = 0;

	(void)state;
	test_instance_create(&test, params());
	for (uint32_t i = 0; i < ARRAY_SIZE(takers); i++) {
		takers[i] = (struct taker){.test = &test};
		assert_int_equal(
			pthread_create(&takers[i].thread, NULL, take_everything, &takers[i]), 0);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(takers); i++)
		assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
	assert_int_equal(online(&test), MEMORY);
	check_zone(&test);
	for (uint32_t i = 0; i < ARRAY_SIZE(takers); i++)
		count += takers[i].taken.count;
	assert_true(count >= PAGES - 1 - test.quire->zone.watermark[WMARK_MIN]);
	for (uint32_t i = 0; i < ARRAY_SIZE(takers); i++)
		while (takers[i].taken.count)
			put_page(test.quire, takers[i].taken.pages[--takers[i].taken.count]);
	test_instance_destroy(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_online_as_needed),
		cmocka_unit_test(watermarks_count_all_memory),
		cmocka_unit_test(large_folio_brings_a_section),
		cmocka_unit_test(section_may_fail),
		cmocka_unit_test(creation_may_fail),
		cmocka_unit_test(odd_sections_are_refused),
		cmocka_unit_test(threads_grow_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
