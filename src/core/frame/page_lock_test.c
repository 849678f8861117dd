/* SPDX-License-Identifier: MIT */
/*
 * Tests of the page lock and of waiting for writeback.
 */
#include "core/frame/page.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS 5000

static struct page page;
static uint64_t guarded; /* by the lock of `page` alone */

static void trylock_takes_a_free_lock_only(void **state)
{
	(void)state;
	assert_true(trylock_page(&page));
	assert_true(page_locked(&page));
	assert_false(trylock_page(&page));
	unlock_page(&page);
	assert_false(page_locked(&page));
	lock_rank_assert_none();
}

static void several_pages_may_be_locked(void **state)
{
	struct page other = {0};

	(void)state;
	lock_page(&page);
	lock_page(&other);
	unlock_page(&page);
	unlock_page(&other);
	lock_rank_assert_none();
}

static void *count_under_lock(void *argument)
{
	(void)argument;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		lock_page(&page);
		/* Other bits of the word change meanwhile. */
		page_set(&page, PG_referenced);
		guarded++;
		page_clear(&page, PG_referenced);
		unlock_page(&page);
	}
	return NULL;
}

static void lock_excludes(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	guarded = 0;
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_under_lock, NULL), 0);
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(guarded, (uint64_t)THREADS * ROUNDS);
	assert_int_equal(atomic_load(&page.flags), 0);
}

/* Completes what the main thread started: makes the page valid and unlocks it. */
static void *complete_read(void *argument)
{
	(void)argument;
	guarded = 7;
	page_set(&page, PG_uptodate);
	unlock_page_disowned(&page);
	return NULL;
}

static void lock_passes_to_another_thread(void **state)
{
	pthread_t thread;

	(void)state;
	guarded = 0;
	lock_page(&page);
	disown_page_lock(&page);
	lock_rank_assert_none();
	assert_int_equal(pthread_create(&thread, NULL, complete_read, NULL), 0);
	lock_page(&page);
	assert_true(page_test(&page, PG_uptodate));
	assert_int_equal(guarded, 7);
	unlock_page(&page);
	pthread_join(thread, NULL);
	page_clear(&page, PG_uptodate);
}

static void *end_writeback(void *argument)
{
	(void)argument;
	guarded = 1;
	end_page_writeback_flag(&page);
	return NULL;
}

static void *wait_for_writeback(void *argument)
{
	wait_on_page_writeback(&page);
	*(uint64_t *)argument = guarded;
	return NULL;
}

static void all_wait_for_writeback(void **state)
{
	pthread_t waiters[THREADS], writer;
	uint64_t seen[THREADS] = {0};

	(void)state;
	for (uint32_t round = 0; round < 50; round++) {
		guarded = 0;
		page_set(&page, PG_writeback);
		for (uint32_t i = 0; i < THREADS; i++)
			assert_int_equal(
				pthread_create(&waiters[i], NULL, wait_for_writeback, &seen[i]), 0);
		assert_int_equal(pthread_create(&writer, NULL, end_writeback, NULL), 0);
		pthread_join(writer, NULL);
		for (uint32_t i = 0; i < THREADS; i++) {
			pthread_join(waiters[i], NULL);
			assert_int_equal(seen[i], 1);
			seen[i] = 0;
		}
		assert_int_equal(atomic_load(&page.flags), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trylock_takes_a_free_lock_only),
		cmocka_unit_test(several_pages_may_be_locked),
		cmocka_unit_test(lock_excludes),
		cmocka_unit_test(lock_passes_to_another_thread),
		cmocka_unit_test(all_wait_for_writeback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
