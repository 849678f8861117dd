/* SPDX-License-Identifier: MIT */
/*
 * Tests of allocation with policy: direct reclaim, its end when there is nothing to reclaim, and
 * the call for background reclaim.
 */
#include "core/frame/frame.h"

#include "base/fail.h"
#include "core/frame/taken_test.h"
#include "core/instance/test_instance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)1 << 20)
#define FRAMES (MEMORY >> PAGE_SHIFT)

static void count_call(void *context)
{
	++*(uint64_t *)context;
}

static void take_all(struct test_instance *test, struct taken *taken, uint32_t gfp)
{
	while (take(test->quire, taken, gfp))
		;
}

static void low_memory_calls_for_reclaim(void **state)
{
	struct taken taken = {.count = 0};
	struct test_instance test;
	uint64_t calls = 0, before;

	(void)state;
	test_instance_create(&test, (struct quire_params){
					    .memory = MEMORY,
					    .events = {.context = &calls, .pressure = count_call},
				    });
	while (!zone_below(&test.quire->zone, WMARK_LOW)) {
		assert_int_equal(calls, 0);
		assert_true(take(test.quire, &taken, GFP_NOWAIT));
	}
	assert_int_equal(calls, 1);
	/* A failed allocation tells it too. */
	take_all(&test, &taken, GFP_NOWAIT);
	before = calls;
	assert_null(alloc_page(test.quire, GFP_NOWAIT));
	assert_int_equal(calls, before + 1);
	give_back(test.quire, &taken);
	assert_int_equal(zone_nr_free(&test.quire->zone), test.frames_free);
	test_instance_destroy(&test);
}

static void gives_up_without_anything_to_reclaim(void **state)
{
	struct taken taken = {.count = 0};
	struct test_instance test;

	(void)state;
	test_instance_create(&test, (struct quire_params){.memory = MEMORY});
	take_all(&test, &taken, GFP_RECLAIM);
	assert_int_equal(taken.count, test.frames_free - test.quire->zone.watermark[WMARK_MIN]);
	assert_null(alloc_page(test.quire, GFP_RECLAIM | GFP_QUIET_RETRY));
	assert_null(alloc_folio(test.quire, MAX_ORDER, GFP_RECLAIM | GFP_RESERVE));
	give_back(test.quire, &taken);
	test_instance_destroy(&test);
}

static void reclaims_for_an_allocation(void **state)
{
	enum {
		TOUCHED = 150
	};
	struct taken taken = {.count = 0};
	struct test_instance test;
	quire_mm *mm;
	uint64_t address;
	uint32_t error = 0;

	(void)state;
	test_instance_create(&test, (struct quire_params){.memory = MEMORY});
	test_instance_add_swap(&test, 4 * FRAMES);
	assert_int_equal(quire_mm_create(test.quire, "main", NULL, &mm), 0);
	address = quire_mmap(mm, 0, TOUCHED * PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			     QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);
	assert_true(address != QUIRE_MAP_FAILED);
	for (uint32_t i = 0; i < TOUCHED; i++) {
		test_store(mm, address + i * PAGE_SIZE, (uint8_t)i, &error);
		assert_int_equal(error, 0);
	}

	take_all(&test, &taken, GFP_NOWAIT);
	for (uint32_t i = 0; i < TOUCHED / 2; i++)
		assert_true(take(test.quire, &taken, GFP_RECLAIM | GFP_ZERO));
	assert_true(stat_read(&test.quire->events, EVENT_SWAP_OUT) >= TOUCHED / 2);
	give_back(test.quire, &taken);
	for (uint32_t i = 0; i < TOUCHED; i++) {
		assert_int_equal(test_load(mm, address + i * PAGE_SIZE, &error), (uint8_t)i);
		assert_int_equal(error, 0);
	}
	quire_mm_exit(mm);
	test_instance_destroy(&test);
}

static void reclaim_does_not_hide_an_injected_failure(void **state)
{
	struct test_instance test;

	(void)state;
	test_instance_create(&test, (struct quire_params){.memory = MEMORY});
	quire_fail_arm(FAIL_FRAME, 1, false);
	assert_null(alloc_page(test.quire, GFP_RECLAIM));
	assert_true(quire_fail_disarm());
	test_instance_destroy(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(low_memory_calls_for_reclaim),
		cmocka_unit_test(gives_up_without_anything_to_reclaim),
		cmocka_unit_test(reclaims_for_an_allocation),
		cmocka_unit_test(reclaim_does_not_hide_an_injected_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
