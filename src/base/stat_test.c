/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/stat.h: sums over threads, more threads than slots, running out of memory. Also of
 * thread slots.
 */
#include "base/stat.h"

#include "base/alloc.h"
#include "base/fail.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
	ITEM_FIRST,
	ITEM_MIDDLE,
	ITEM_LAST = 16,
	ITEMS
};

#define ADDITIONS 500

static void test_items_are_independent(void **state)
{
	(void)state;
	uint64_t before = quire_alloc_live();
	struct stat_counters counters;

	assert_int_equal(stat_init(&counters, ITEMS), 0);
	for (uint32_t item = 0; item < ITEMS; item++)
		stat_add(&counters, item, item * 10);
	stat_inc(&counters, ITEM_LAST);
	for (uint32_t item = 0; item < ITEMS; item++)
		assert_int_equal(stat_read(&counters, item), item * 10 + (item == ITEM_LAST));
	stat_reset(&counters);
	for (uint32_t item = 0; item < ITEMS; item++)
		assert_int_equal(stat_read(&counters, item), 0);
	stat_destroy(&counters);
	stat_destroy(&counters);
	assert_int_equal(quire_alloc_live(), before);
}

static void *add_many(void *counters)
{
	for (int i = 0; i < ADDITIONS; i++) {
		stat_add(counters, ITEM_FIRST, 3);
		stat_add(counters, ITEM_LAST, (uint64_t)-1);
	}
	return NULL;
}

static void test_more_threads_than_slots(void **state)
{
	(void)state;
	struct stat_counters counters;
	pthread_t threads[QUIRE_THREAD_SLOTS + 4];

	assert_int_equal(stat_init(&counters, ITEMS), 0);
	stat_add(&counters, ITEM_LAST, ADDITIONS * ARRAY_SIZE(threads));
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &counters), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stat_read(&counters, ITEM_FIRST), 3 * ADDITIONS * ARRAY_SIZE(threads));
	assert_int_equal(stat_read(&counters, ITEM_MIDDLE), 0);
	assert_int_equal(stat_read(&counters, ITEM_LAST), 0);
	stat_destroy(&counters);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	struct stat_counters counters;

	quire_fail_arm(FAIL_ALLOC, 1, false);
	assert_int_equal(stat_init(&counters, ITEMS), -ENOMEM);
	assert_true(quire_fail_disarm());
	stat_destroy(&counters);
}

static void *note_slot(void *slot)
{
	*(uint32_t *)slot = quire_thread_slot();
	/* The second call must not hand out another one. */
	return *(uint32_t *)slot == quire_thread_slot() ? NULL : slot;
}

static void test_slots_in_turn(void **state)
{
	(void)state;
	uint32_t slots[2 * QUIRE_THREAD_SLOTS];
	uint32_t users[QUIRE_THREAD_SLOTS] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		pthread_t thread;
		void *changed;

		assert_int_equal(pthread_create(&thread, NULL, note_slot, &slots[i]), 0);
		pthread_join(thread, &changed);
		assert_null(changed);
		assert_true(slots[i] < QUIRE_THREAD_SLOTS);
		users[slots[i]]++;
	}
	for (size_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		assert_int_equal(users[slot], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items_are_independent),
		cmocka_unit_test(test_more_threads_than_slots),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_slots_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
