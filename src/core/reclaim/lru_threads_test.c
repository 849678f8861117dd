/* SPDX-License-Identifier: MIT */
/*
 * Pages that several threads lock into memory, unlock, isolate and rescue from the unevictable list
 * at once: each is on exactly one list whenever nobody moves it.
 */
#include "core/frame/frame.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/lruvec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <pthread.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)1 << 20)
#define PAGES 3
#define ROUNDS 60000

struct shared {
	struct test_instance test;
	struct page *pages[PAGES];
};

static void *lock_and_unlock(void *argument)
{
	struct shared *shared = argument;
	struct quire *quire = shared->test.quire;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct page *page = shared->pages[round % PAGES];

		mlock_page(quire, page);
		munlock_page(quire, page);
	}
	return NULL;
}

static void *isolate_and_rescue(void *argument)
{
	struct shared *shared = argument;
	struct lruvec *lruvec = &shared->test.quire->root_memcg->lruvec;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct page *page = shared->pages[round % PAGES];

		if (isolate_page(page))
			putback_page(page);
		lru_rescue_unevictable(lruvec);
	}
	return NULL;
}

static void pages_are_on_one_list(const char *policy)
{
	static void *(*const roles[])(void *) = {lock_and_unlock, lock_and_unlock,
						 isolate_and_rescue, isolate_and_rescue};
	pthread_t threads[ARRAY_SIZE(roles)];
	struct shared shared;
	struct quire *quire;

	test_instance_create(&shared.test,
			     (struct quire_params){.memory = MEMORY, .policy = policy});
	quire = shared.test.quire;
	for (uint32_t i = 0; i < PAGES; i++) {
		shared.pages[i] = alloc_page(quire, GFP_NOWAIT);
		assert_non_null(shared.pages[i]);
		page_set(shared.pages[i], PG_swapbacked);
		assert_int_equal(memcg_charge(quire, NULL, shared.pages[i], GFP_NOWAIT), 0);
		lru_add_page(quire, shared.pages[i]);
	}
	lru_add_drain_all(quire);
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, roles[i], &shared), 0);
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	/* Nobody locks any of them any more. */
	assert_true(list_empty(&quire->root_memcg->lruvec.unevictable));
	for (uint32_t i = 0; i < PAGES; i++) {
		assert_true(page_test(shared.pages[i], PG_lru));
		assert_false(page_test(shared.pages[i], PG_mlocked));
		put_page(quire, shared.pages[i]);
	}
	test_instance_destroy(&shared.test);
}

static void locking_with_two_lists(void **state)
{
	(void)state;
	pages_are_on_one_list("two-list");
}

static void locking_with_sieve(void **state)
{
	(void)state;
	pages_are_on_one_list("sieve");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locking_with_two_lists),
		cmocka_unit_test(locking_with_sieve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
