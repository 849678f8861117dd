/* SPDX-License-Identifier: MIT */
/*
 * Reclaim as a whole: memory several times the budget keeps its contents, whatever kind it is and
 * whichever policy chooses; budgets hold; errors of the swap store lose nothing; when all is full,
 * the failure is clean.
 */
#include "core/fault/fault.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/vmscan.h"

#include <quire/inject_store.h>
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

static const char *const policies[] = {"two-list", "sieve"};

struct fixture {
	struct test_instance test;
	quire_group *group;
	quire_mm *mm;
};

static void begin(struct fixture *f, const char *policy, uint64_t budget, uint64_t swap)
{
	test_instance_create(&f->test, (struct quire_params){.memory = MEMORY, .policy = policy});
	if (swap)
		test_instance_add_swap(&f->test, swap);
	assert_int_equal(
		quire_group_create(f->test.quire, NULL, "budget", budget << PAGE_SHIFT, &f->group),
		0);
	assert_int_equal(quire_mm_create(f->test.quire, "main", f->group, &f->mm), 0);
}

static void end(struct fixture *f)
{
	quire_mm_exit(f->mm);
	quire_group_put(f->group);
	test_instance_destroy(&f->test);
}

static uint64_t map(quire_mm *mm, uint64_t pages, int flags, quire_file *file)
{
	uint64_t address = quire_mmap(mm, 0, pages << PAGE_SHIFT, RW, flags, file, 0);

	assert_true(address != QUIRE_MAP_FAILED);
	return address;
}

/* Never 0: pages of zeros need no swap. */
static uint8_t byte_of(uint64_t page, uint8_t round)
{
	return (uint8_t)((page * 31 + 7 * round) % 255 + 1);
}

/* One byte at a place of its own in each page. */
static uint64_t place(uint64_t base, uint64_t page)
{
	return base + (page << PAGE_SHIFT) + page * 13 % PAGE_SIZE;
}

static void store_all(quire_mm *mm, uint64_t base, uint64_t pages, uint8_t round)
{
	for (uint64_t i = 0; i < pages; i++)
		test_store(mm, place(base, i), byte_of(i, round), NULL);
}

static void expect_all(quire_mm *mm, uint64_t base, uint64_t pages, uint8_t round)
{
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(test_load(mm, place(base, i), NULL), byte_of(i, round));
}

/* Budget and invariants hold at every step; contents come back three times over. */
static void exercise(struct fixture *f, uint64_t base)
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

static quire_file *open_file(struct fixture *f, uint64_t pages)
{
	struct quire_store *store;
	quire_file *file;

	assert_int_equal(quire_memory_store_create(pages << PAGE_SHIFT, &store), 0);
	assert_int_equal(
		quire_open(f->test.quire, "file", 1, 1, store, QUIRE_O_READ | QUIRE_O_WRITE, &file),
		0);
	return file;
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
		cmocka_unit_test(a_lower_budget_is_reached_at_once),
		cmocka_unit_test(locked_memory_stays),
		cmocka_unit_test(full_swap_ends_in_a_verdict),
		cmocka_unit_test(failed_swap_writes_lose_nothing),
		cmocka_unit_test(a_dead_swap_store_loses_nothing),
		cmocka_unit_test(failed_swap_reads_can_be_repeated),
		cmocka_unit_test(budgets_are_hierarchical),
		cmocka_unit_test(a_mapping_has_a_budget_of_its_own),
		cmocka_unit_test(swappiness_zero_spares_anonymous_pages),
		cmocka_unit_test(freed_pages_go_without_swap),
		cmocka_unit_test(pageout_evicts_and_keeps),
		cmocka_unit_test(balancing_makes_room),
		cmocka_unit_test(reclaim_is_repeatable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
