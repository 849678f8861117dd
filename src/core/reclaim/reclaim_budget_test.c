/* SPDX-License-Identifier: MIT */
/*
 * Tests of budgets: of groups, of groups within groups, and of mappings; what cannot be evicted
 * stays, and background reclaim leaves room.
 */
#include "core/reclaim/reclaim_fixture_test.h"

static void a_lower_budget_is_reached_at_once(void **state)
{
	struct fixture f;
	uint64_t base;

	(void)state;
	begin(&f, NULL, 2 * SET_PAGES, 2 * SET_PAGES);
	base = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, base, SET_PAGES, 1);
	assert_true(memcg_usage(f.group) >= SET_PAGES);
	assert_int_equal(quire_group_set_budget(f.group, 10 << PAGE_SHIFT), 0);
	assert_true(memcg_usage(f.group) <= 10);
	expect_all(f.mm, base, SET_PAGES, 1);
	assert_true(memcg_usage(f.group) <= 10);
	end(&f);
}

/* Locked pages stay under pressure, and a budget below them cannot be reached. */
static void locked_memory_stays(void **state)
{
	const uint64_t locked_pages = BUDGET_PAGES / 2;
	unsigned char resident[BUDGET_PAGES / 2];
	struct fixture f;
	uint64_t locked, base;

	(void)state;
	begin(&f, NULL, BUDGET_PAGES, 2 * SET_PAGES);
	locked = map(f.mm, locked_pages, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, locked, locked_pages, 5);
	assert_int_equal(quire_mlock(f.mm, locked, locked_pages << PAGE_SHIFT), 0);
	base = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	exercise(&f, base);
	assert_int_equal(quire_mincore(f.mm, locked, locked_pages << PAGE_SHIFT, resident), 0);
	for (uint64_t i = 0; i < locked_pages; i++)
		assert_int_equal(resident[i] & 1, 1);
	expect_all(f.mm, locked, locked_pages, 5);

	assert_int_equal(quire_group_set_budget(f.group, 4 << PAGE_SHIFT), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(memcg_usage(f.group), locked_pages);
	assert_int_equal(quire_munlock(f.mm, locked, locked_pages << PAGE_SHIFT), 0);
	assert_int_equal(quire_group_set_budget(f.group, 4 << PAGE_SHIFT), 0);
	expect_all(f.mm, locked, locked_pages, 5);
	end(&f);
}

/* The budget of the parent holds for both children, and each evicts on its own behalf below it. */
static void budgets_are_hierarchical(void **state)
{
	struct fixture f;
	quire_group *first, *second;
	quire_mm *mms[2];
	uint64_t bases[2];

	(void)state;
	begin(&f, NULL, BUDGET_PAGES, 4 * SET_PAGES);
	assert_int_equal(quire_group_create(f.test.quire, f.group, "first", 0, &first), 0);
	assert_int_equal(
		quire_group_create(f.test.quire, f.group, "second", 16 << PAGE_SHIFT, &second), 0);
	assert_int_equal(quire_mm_create(f.test.quire, "a", first, &mms[0]), 0);
	assert_int_equal(quire_mm_create(f.test.quire, "b", second, &mms[1]), 0);
	for (int i = 0; i < 2; i++) {
		bases[i] = map(mms[i], SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
		store_all(mms[i], bases[i], SET_PAGES, (uint8_t)i);
	}
	for (uint64_t page = 0; page < SET_PAGES; page++) {
		for (int i = 0; i < 2; i++)
			assert_int_equal(test_load(mms[i], place(bases[i], page), NULL),
					 byte_of(page, (uint8_t)i));
		assert_true(memcg_usage(f.group) <= BUDGET_PAGES);
		assert_true(memcg_usage(second) <= 16);
	}
	test_instance_check(&f.test);
	assert_true(atomic_load(&f.group->peak) <= BUDGET_PAGES);
	assert_true(atomic_load(&second->peak) <= 16);
	for (int i = 0; i < 2; i++)
		quire_mm_exit(mms[i]);
	quire_group_put(first);
	quire_group_put(second);
	end(&f);
}

static void a_mapping_has_a_budget_of_its_own(void **state)
{
	struct fixture f;
	uint64_t small, base;
	unsigned char resident[SET_PAGES];
	uint64_t count = 0;

	(void)state;
	begin(&f, NULL, SET_PAGES, 4 * SET_PAGES);
	small = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	base = map(f.mm, BUDGET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, base, BUDGET_PAGES, 3);
	assert_int_equal(
		quire_set_mapping_budget(f.mm, small, SET_PAGES << PAGE_SHIFT, 8 << PAGE_SHIFT), 0);
	store_all(f.mm, small, SET_PAGES, 1);
	expect_all(f.mm, small, SET_PAGES, 1);
	assert_int_equal(quire_mincore(f.mm, small, SET_PAGES << PAGE_SHIFT, resident), 0);
	for (uint64_t i = 0; i < SET_PAGES; i++)
		count += resident[i] & 1;
	assert_true(count >= 1 && count <= 8);
	/* The other mapping was left alone. */
	assert_int_equal(quire_mincore(f.mm, base, BUDGET_PAGES << PAGE_SHIFT, resident), 0);
	for (uint64_t i = 0; i < BUDGET_PAGES; i++)
		assert_int_equal(resident[i] & 1, 1);
	test_instance_check(&f.test);
	end(&f);
}

/* Background reclaim leaves room below the budget before an access has to make it. */
static void balancing_makes_room(void **state)
{
	struct fixture f;
	uint64_t base;

	(void)state;
	begin(&f, NULL, BUDGET_PAGES, 2 * SET_PAGES);
	base = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, base, BUDGET_PAGES, 1);
	assert_true(quire_balance(f.test.quire) >= BUDGET_PAGES / 16);
	assert_true(memcg_usage(f.group) <= BUDGET_PAGES - BUDGET_PAGES / 16);
	assert_int_equal(stat_read(&f.test.quire->events, EVENT_RECLAIM_DIRECT), 0);
	assert_true(stat_read(&f.test.quire->events, EVENT_RECLAIM_BACKGROUND) >= 1);
	test_instance_check(&f.test);
	expect_all(f.mm, base, BUDGET_PAGES, 1);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lower_budget_is_reached_at_once),
		cmocka_unit_test(locked_memory_stays),
		cmocka_unit_test(budgets_are_hierarchical),
		cmocka_unit_test(a_mapping_has_a_budget_of_its_own),
		cmocka_unit_test(balancing_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
