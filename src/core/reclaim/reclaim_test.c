/* SPDX-License-Identifier: MIT */
/*
 * Reclaim as a whole: memory several times the budget keeps its contents, whatever kind it is and
 * whichever policy chooses; what goes first, and that a run can be repeated.
 */
#include "core/reclaim/reclaim_fixture_test.h"

static const char *const policies[] = {"two-list", "sieve"};

static void anonymous_memory_keeps_its_contents(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		begin(&f, policies[i], BUDGET_PAGES, 2 * SET_PAGES);
		exercise(&f, map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL));
		assert_true(stat_read(&f.test.quire->events, EVENT_SWAP_OUT) >= SET_PAGES);
		assert_true(stat_read(&f.test.quire->events, EVENT_SWAP_IN) >= SET_PAGES);
		quire_mm_exit(f.mm);
		assert_int_equal(swap_free_slots(f.test.quire), 2 * SET_PAGES);
		assert_int_equal(quire_mm_create(f.test.quire, "main", f.group, &f.mm), 0);
		end(&f);
	}
}

static void shared_memory_keeps_its_contents(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		begin(&f, policies[i], BUDGET_PAGES, 2 * SET_PAGES);
		exercise(&f, map(f.mm, SET_PAGES, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL));
		assert_true(stat_read(&f.test.quire->events, EVENT_SWAP_OUT) >= SET_PAGES);
		end(&f);
	}
}

static void shared_file_keeps_its_contents_without_swap(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		quire_file *file;
		uint64_t base;
		uint8_t byte;

		begin(&f, policies[i], BUDGET_PAGES, 0);
		file = open_file(&f, SET_PAGES);
		base = map(f.mm, SET_PAGES, QUIRE_MAP_SHARED, file);
		exercise(&f, base);
		assert_int_equal(quire_fsync(file), 0);
		for (uint64_t page = 0; page < SET_PAGES; page++) {
			assert_int_equal(quire_pread(file, f.group, &byte, 1, place(0, page)), 1);
			assert_int_equal(byte, byte_of(page, 2));
		}
		quire_close(file);
		end(&f);
	}
}

static void private_file_keeps_both_copies(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		quire_file *file;
		uint64_t base;
		uint8_t byte;

		begin(&f, policies[i], BUDGET_PAGES, 2 * SET_PAGES);
		file = open_file(&f, SET_PAGES);
		base = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE, file);
		exercise(&f, base);
		for (uint64_t page = 0; page < SET_PAGES; page++) {
			assert_int_equal(quire_pread(file, f.group, &byte, 1, place(0, page)), 1);
			assert_int_equal(byte, 0);
		}
		expect_all(f.mm, base, SET_PAGES, 2);
		quire_close(file);
		end(&f);
	}
}

/* No budget at all: the frames of the instance are what is short. */
static void the_instance_itself_is_a_budget(void **state)
{
	const uint64_t pages = 2 * (MEMORY >> PAGE_SHIFT);
	struct fixture f;
	uint64_t base;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		begin(&f, policies[i], 0, 2 * pages);
		base = map(f.mm, pages, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
		store_all(f.mm, base, pages, 1);
		test_instance_check(&f.test);
		expect_all(f.mm, base, pages, 1);
		end(&f);
	}
}

/* Parent and child share what neither wrote since, in memory and in swap. */
static void forked_memory_stays_apart(void **state)
{
	struct fixture f;
	quire_mm *child;
	uint64_t base;

	(void)state;
	begin(&f, NULL, BUDGET_PAGES, 4 * SET_PAGES);
	base = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, base, SET_PAGES, 1);
	assert_int_equal(quire_fork(f.mm, "child", &child), 0);
	test_instance_check(&f.test);
	store_all(child, base, SET_PAGES / 2, 2);
	test_instance_check(&f.test);
	expect_all(f.mm, base, SET_PAGES, 1);
	expect_all(child, base, SET_PAGES / 2, 2);
	for (uint64_t i = SET_PAGES / 2; i < SET_PAGES; i++)
		assert_int_equal(test_load(child, place(base, i), NULL), byte_of(i, 1));
	test_instance_check(&f.test);
	quire_mm_exit(f.mm);
	f.mm = child;
	test_instance_check(&f.test);
	expect_all(child, base, SET_PAGES / 2, 2);
	store_all(child, base, SET_PAGES, 3);
	expect_all(child, base, SET_PAGES, 3);
	end(&f);
}

/* With swappiness 0 no anonymous page goes while there are file pages; without them it must. */
static void swappiness_zero_spares_anonymous_pages(void **state)
{
	struct fixture f = {0};
	quire_file *file;
	uint64_t anon, mapped;

	(void)state;
	test_instance_create(&f.test,
			     (struct quire_params){.memory = MEMORY, .swappiness = UINT32_MAX});
	test_instance_add_swap(&f.test, SET_PAGES);
	assert_int_equal(quire_group_create(f.test.quire, NULL, "budget",
					    BUDGET_PAGES << PAGE_SHIFT, &f.group),
			 0);
	assert_int_equal(quire_mm_create(f.test.quire, "main", f.group, &f.mm), 0);
	file = open_file(&f, SET_PAGES);
	anon = map(f.mm, BUDGET_PAGES / 2, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, anon, BUDGET_PAGES / 2, 1);
	mapped = map(f.mm, SET_PAGES, QUIRE_MAP_SHARED, file);
	store_all(f.mm, mapped, SET_PAGES, 2);
	expect_all(f.mm, mapped, SET_PAGES, 2);
	assert_int_equal(stat_read(&f.test.quire->events, EVENT_SWAP_OUT), 0);
	anon = map(f.mm, SET_PAGES / 2, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, anon, SET_PAGES / 2, 3);
	assert_true(stat_read(&f.test.quire->events, EVENT_SWAP_OUT) > 0);
	expect_all(f.mm, anon, SET_PAGES / 2, 3);
	quire_close(file);
	end(&f);
}

/* MADV_FREE: what was not written again is dropped without swap; what was, stays. */
static void freed_pages_go_without_swap(void **state)
{
	struct fixture f;
	uint64_t base, more;
	uint64_t dropped = 0;

	(void)state;
	begin(&f, NULL, BUDGET_PAGES, 0);
	base = map(f.mm, BUDGET_PAGES / 2, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, base, BUDGET_PAGES / 2, 1);
	assert_int_equal(quire_madvise(f.mm, base, BUDGET_PAGES / 2 << PAGE_SHIFT, QUIRE_MADV_FREE),
			 0);
	test_store(f.mm, place(base, 3), 77, NULL);
	more = map(f.mm, BUDGET_PAGES - 2, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, more, BUDGET_PAGES - 2, 2);
	test_instance_check(&f.test);
	for (uint64_t i = 0; i < BUDGET_PAGES / 2; i++) {
		uint8_t byte = test_load(f.mm, place(base, i), NULL);

		if (i == 3)
			assert_int_equal(byte, 77);
		else
			assert_true(!byte || byte == byte_of(i, 1));
		dropped += !byte;
	}
	assert_true(dropped >= BUDGET_PAGES / 2 - 3);
	expect_all(f.mm, more, BUDGET_PAGES - 2, 2);
	end(&f);
}

static void pageout_evicts_and_keeps(void **state)
{
	struct fixture f;
	uint64_t base;
	unsigned char resident[BUDGET_PAGES];

	(void)state;
	begin(&f, NULL, 2 * BUDGET_PAGES, 2 * SET_PAGES);
	base = map(f.mm, BUDGET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, base, BUDGET_PAGES, 1);
	assert_int_equal(quire_madvise(f.mm, base, BUDGET_PAGES << PAGE_SHIFT, QUIRE_MADV_PAGEOUT),
			 0);
	assert_int_equal(quire_mincore(f.mm, base, BUDGET_PAGES << PAGE_SHIFT, resident), 0);
	for (uint64_t i = 0; i < BUDGET_PAGES; i++)
		assert_int_equal(resident[i] & 1, 0);
	test_instance_check(&f.test);
	expect_all(f.mm, base, BUDGET_PAGES, 1);
	end(&f);
}

/* The same run twice gives the same events, to the last one. */
static void reclaim_is_repeatable(void **state)
{
	uint64_t counts[2][QUIRE_EVENTS];

	(void)state;
	for (int run = 0; run < 2; run++) {
		struct fixture f;
		uint64_t anon, shared;

		begin(&f, policies[1], BUDGET_PAGES, 4 * SET_PAGES);
		anon = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
		shared = map(f.mm, SET_PAGES, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL);
		for (uint64_t i = 0; i < 8 * SET_PAGES; i++) {
			uint64_t page = i * i % SET_PAGES;

			test_store(f.mm, place(i % 3 ? anon : shared, page), 1, NULL);
		}
		for (int event = 0; event < QUIRE_EVENTS; event++)
			counts[run][event] = stat_read(&f.test.quire->events, (uint32_t)event);
		end(&f);
	}
	assert_memory_equal(counts[0], counts[1], sizeof(counts[0]));
	assert_true(counts[0][EVENT_SWAP_OUT] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anonymous_memory_keeps_its_contents),
		cmocka_unit_test(shared_memory_keeps_its_contents),
		cmocka_unit_test(shared_file_keeps_its_contents_without_swap),
		cmocka_unit_test(private_file_keeps_both_copies),
		cmocka_unit_test(the_instance_itself_is_a_budget),
		cmocka_unit_test(forked_memory_stays_apart),
		cmocka_unit_test(swappiness_zero_spares_anonymous_pages),
		cmocka_unit_test(freed_pages_go_without_swap),
		cmocka_unit_test(pageout_evicts_and_keeps),
		cmocka_unit_test(reclaim_is_repeatable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
