/* SPDX-License-Identifier: MIT */
/*
 * Tests of reclaim that cannot go on: errors of the swap store lose nothing, and when all is full
 * the failure is clean.
 */
#include "core/reclaim/reclaim_fixture_test.h"

#include <quire/inject_store.h>

struct verdict {
	uint32_t count;
	char mm[32];
	char group[32];
	uint64_t limit;
};

static void note_verdict(void *context, const char *mm, uint64_t resident, const char *group,
			 uint64_t limit)
{
	struct verdict *verdict = context;

	assert_true(resident > 0);
	verdict->count++;
	strncpy(verdict->mm, mm, sizeof(verdict->mm) - 1);
	strncpy(verdict->group, group, sizeof(verdict->group) - 1);
	verdict->limit = limit;
}

/* Budget and swap are full: the access fails, the verdict names the mm, everybody else goes on. */
static void full_swap_ends_in_a_verdict(void **state)
{
	struct verdict verdict = {0};
	struct fixture f = {0};
	quire_mm *other;
	uint64_t base, small, stored = 0;
	uint32_t error = 0;

	(void)state;
	test_instance_create(&f.test, (struct quire_params){.memory = MEMORY,
							    .events = {.context = &verdict,
								       .oom = note_verdict}});
	test_instance_add_swap(&f.test, BUDGET_PAGES);
	assert_int_equal(quire_group_create(f.test.quire, NULL, "budget",
					    BUDGET_PAGES << PAGE_SHIFT, &f.group),
			 0);
	assert_int_equal(quire_mm_create(f.test.quire, "hungry", f.group, &f.mm), 0);
	assert_int_equal(quire_mm_create(f.test.quire, "modest", f.group, &other), 0);
	small = map(other, 2, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(other, small, 2, 9);
	base = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	while (stored < SET_PAGES && !error) {
		test_store(f.mm, place(base, stored), byte_of(stored, 1), &error);
		stored += !error;
	}
	assert_int_equal(error, VM_FAULT_OOM);
	/* Everything that budget and swap could hold was used before. */
	assert_int_equal(stored, 2 * BUDGET_PAGES - 2);
	assert_int_equal(verdict.count, 1);
	assert_string_equal(verdict.mm, "hungry");
	assert_string_equal(verdict.group, "budget");
	assert_int_equal(verdict.limit, BUDGET_PAGES);
	assert_true(atomic_load(&f.mm->oom_killed));
	assert_false(atomic_load(&other->oom_killed));
	test_instance_check(&f.test);

	quire_mm_exit(f.mm);
	expect_all(other, small, 2, 9);
	f.mm = other;
	base = map(f.mm, BUDGET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	store_all(f.mm, base, BUDGET_PAGES, 4);
	expect_all(f.mm, base, BUDGET_PAGES, 4);
	end(&f);
}

static struct quire_store *begin_with_injection(struct fixture *f)
{
	struct quire_store *memory, *store;

	begin(f, NULL, BUDGET_PAGES, 0);
	assert_int_equal(quire_memory_store_create(2 * SET_PAGES << PAGE_SHIFT, &memory), 0);
	assert_int_equal(quire_inject_store_create(memory, &store), 0);
	assert_int_equal(quire_swapon(f->test.quire, store, 2 * SET_PAGES << PAGE_SHIFT), 0);
	return store;
}

/* Each write fails once in turn, at submission or at completion: others are evicted instead. */
static void failed_swap_writes_lose_nothing(void **state)
{
	(void)state;
	for (uint64_t nth = 1; nth <= 40; nth += 3) {
		const struct quire_inject_rule rule = {
			.nth = nth, .error = nth % 2 ? -EIO : -ENOSPC, .at_submit = nth % 4 < 2};
		struct fixture f;
		struct quire_store *store = begin_with_injection(&f);
		uint64_t base;

		quire_inject_set(store, QUIRE_INJECT_WRITE, &rule);
		base = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
		exercise(&f, base);
		assert_true(stat_read(&f.test.quire->events, EVENT_WRITE_ERROR) >= 1);
		end(&f);
	}
}

/* All writes fail: the budget is a wall, but what is behind it stays. */
static void a_dead_swap_store_loses_nothing(void **state)
{
	const struct quire_inject_rule dead = {.nth = 1, .from_then_on = true, .error = -EIO};
	struct fixture f;
	struct quire_store *store = begin_with_injection(&f);
	uint64_t stored = 0, base;
	uint32_t error = 0;

	(void)state;
	quire_inject_set(store, QUIRE_INJECT_WRITE, &dead);
	base = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	while (stored < SET_PAGES && !error) {
		test_store(f.mm, place(base, stored), byte_of(stored, 1), &error);
		stored += !error;
	}
	assert_int_equal(error, VM_FAULT_OOM);
	assert_int_equal(stored, BUDGET_PAGES);
	test_instance_check(&f.test);
	expect_all(f.mm, base, stored, 1);

	quire_inject_set(store, QUIRE_INJECT_WRITE, NULL);
	store_all(f.mm, base, SET_PAGES, 2);
	expect_all(f.mm, base, SET_PAGES, 2);
	end(&f);
}

/* A read that fails is a SIGBUS for this access only: the entry stays, and the next try finds the
 * data. */
static void failed_swap_reads_can_be_repeated(void **state)
{
	struct fixture f;
	struct quire_store *store = begin_with_injection(&f);
	uint64_t base = map(f.mm, SET_PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	uint32_t failed = 0;

	(void)state;
	store_all(f.mm, base, SET_PAGES, 1);
	for (uint64_t i = 0; i < SET_PAGES; i++) {
		const struct quire_inject_rule rule = {.nth = 1, .error = -EIO, .at_submit = i % 2};
		uint32_t error = 0;

		quire_inject_set(store, QUIRE_INJECT_READ, &rule);
		if (!test_load(f.mm, place(base, i), &error)) {
			assert_int_equal(error, VM_FAULT_SIGBUS);
			failed++;
			if (failed % 32 == 0)
				test_instance_check(&f.test);
		}
		quire_inject_set(store, QUIRE_INJECT_READ, NULL);
		assert_int_equal(test_load(f.mm, place(base, i), NULL), byte_of(i, 1));
	}
	assert_true(failed >= SET_PAGES - BUDGET_PAGES);
	expect_all(f.mm, base, SET_PAGES, 1);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_swap_ends_in_a_verdict),
		cmocka_unit_test(failed_swap_writes_lose_nothing),
		cmocka_unit_test(a_dead_swap_store_loses_nothing),
		cmocka_unit_test(failed_swap_reads_can_be_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
