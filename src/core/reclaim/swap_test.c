/* SPDX-License-Identifier: MIT */
/*
 * Swap areas: the slot map against a model, clusters, several areas, discarding, readahead, and I/O
 * that ends late.
 */
#include "base/fail.h"
#include "base/prng.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/scan.h"
#include "core/reclaim/swap_area.h"
#include "core/reclaim/vmscan.h"

#include <quire/inject_store.h>
#include <quire/memory_store.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)4 << 20)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

struct fixture {
	struct test_instance test;
	struct quire *quire;
};

static void begin(struct fixture *f)
{
	test_instance_create(&f->test, (struct quire_params){.memory = MEMORY});
	f->quire = f->test.quire;
}

static void end(struct fixture *f, quire_mm *mm)
{
	quire_mm_exit(mm);
	test_instance_destroy(&f->test);
}

static struct quire_store *memory_store(uint64_t pages)
{
	struct quire_store *store;

	assert_int_equal(quire_memory_store_create(pages << PAGE_SHIFT, &store), 0);
	return store;
}

static void areas_are_checked_when_added(void **state)
{
	struct quire_store *store;
	struct fixture f;

	(void)state;
	begin(&f);
	store = memory_store(10);
	assert_int_equal(swap_area_add(f.quire, store, 0), -EINVAL);
	assert_int_equal(swap_area_add(f.quire, store, 11), -EINVAL);
	assert_int_equal(swap_total(f.quire), 0);
	assert_int_equal(swap_area_add(f.quire, store, 10), 0);
	for (int i = 1; i < MAX_SWAP_AREAS; i++)
		assert_int_equal(swap_area_add(f.quire, memory_store(1), 1), 0);
	store = memory_store(1);
	assert_int_equal(swap_area_add(f.quire, store, 1), -ENOSPC);
	store->ops->close(store);
	assert_int_equal(swap_total(f.quire), 10 + MAX_SWAP_AREAS - 1);
	assert_int_equal(swap_free_slots(f.quire), swap_total(f.quire));
	test_instance_destroy(&f.test);
}

/* A slot as if its page had just left the cache: `uses` entries hold it. */
static swp_entry_t alloc_slot(struct fixture *f, uint32_t uses)
{
	swp_entry_t entry;

	assert_true(swap_slot_alloc(f->quire, f->quire->root_memcg, &entry));
	for (uint32_t i = 0; i < uses; i++)
		swap_duplicate(f->quire, entry);
	swap_slot_uncache(swap_entry_area(f->quire, entry), swp_slot(entry));
	return entry;
}

static void one_thread_fills_clusters_in_order(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	test_instance_add_swap(&f.test, 3 * SWAP_CLUSTER + 5);
	test_instance_add_swap(&f.test, 10);
	for (uint64_t i = 0; i < 3 * SWAP_CLUSTER + 5; i++)
		assert_int_equal(alloc_slot(&f, 1).value, swp_entry(0, i).value);
	/* The first area is full: the second one is next. */
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(alloc_slot(&f, 1).value, swp_entry(1, i).value);
	assert_int_equal(swap_free_slots(f.quire), 0);
	assert_false(swap_slot_alloc(f.quire, f.quire->root_memcg, &(swp_entry_t){0}));
	assert_int_equal(atomic_load(&f.quire->root_memcg->swap_usage), 3 * SWAP_CLUSTER + 15);

	/* Room in a used cluster is taken when no wholly free one is left; a free one is preferred.
	 */
	swap_free(f.quire, swp_entry(0, 70));
	for (uint64_t i = 2 * SWAP_CLUSTER; i < 3 * SWAP_CLUSTER; i++)
		swap_free(f.quire, swp_entry(0, i));
	assert_int_equal(alloc_slot(&f, 1).value, swp_entry(0, 2 * SWAP_CLUSTER).value);
	for (uint64_t i = 1; i < SWAP_CLUSTER; i++)
		alloc_slot(&f, 1);
	assert_int_equal(alloc_slot(&f, 1).value, swp_entry(0, 70).value);
	for (uint64_t i = 0; i < 3 * SWAP_CLUSTER + 5; i++)
		swap_free(f.quire, swp_entry(0, i));
	for (uint64_t i = 0; i < 10; i++)
		swap_free(f.quire, swp_entry(1, i));
	assert_int_equal(atomic_load(&f.quire->root_memcg->swap_usage), 0);
	test_instance_destroy(&f.test);
}

#define MODEL_SLOTS 150

static void slots_agree_with_a_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		uint32_t uses[MODEL_SLOTS] = {0};
		uint64_t used = 0;
		struct fixture f;
		struct prng prng;

		begin(&f);
		prng_seed(&prng, seed);
		test_instance_add_swap(&f.test, MODEL_SLOTS);
		for (uint32_t step = 0; step < 3000; step++) {
			uint64_t slot = prng_below(&prng, MODEL_SLOTS);
			swp_entry_t entry = swp_entry(0, slot);

			if (prng_below(&prng, 3) == 0 && used < MODEL_SLOTS) {
				uint32_t count = 1 + (uint32_t)prng_below(&prng, 4);

				slot = swp_slot(alloc_slot(&f, count));
				assert_int_equal(uses[slot], 0);
				uses[slot] = count;
				used++;
			} else if (uses[slot] && prng_below(&prng, 4) == 0) {
				swap_duplicate(f.quire, entry);
				uses[slot]++;
			} else if (uses[slot]) {
				swap_free(f.quire, entry);
				used -= !--uses[slot];
			}
			if (step % 100 == 0)
				swap_discard_clusters(f.quire);
			assert_int_equal(swap_count(f.quire, swp_entry(0, slot)), uses[slot]);
			assert_int_equal(swap_free_slots(f.quire), MODEL_SLOTS - used);
		}
		for (uint64_t slot = 0; slot < MODEL_SLOTS; slot++)
			while (uses[slot]--)
				swap_free(f.quire, swp_entry(0, slot));
		test_instance_destroy(&f.test);
	}
}

/* Counts are wide: a page shared by many processes needs one slot. */
static void a_slot_counts_many_uses(void **state)
{
	struct fixture f;
	swp_entry_t entry;

	(void)state;
	begin(&f);
	test_instance_add_swap(&f.test, 4);
	entry = alloc_slot(&f, 100000);
	assert_int_equal(swap_count(f.quire, entry), 100000);
	assert_int_equal(swap_free_slots(f.quire), 3);
	for (int i = 0; i < 100000; i++)
		swap_free(f.quire, entry);
	assert_int_equal(swap_free_slots(f.quire), 4);
	test_instance_destroy(&f.test);
}

static uint64_t map(quire_mm *mm, uint64_t pages)
{
	uint64_t address = quire_mmap(mm, 0, pages << PAGE_SHIFT, RW, ANON, NULL, 0);

	assert_true(address != QUIRE_MAP_FAILED);
	return address;
}

/* Never 0: pages of zeros need no swap. */
static uint8_t byte_of(uint64_t page)
{
	return (uint8_t)(page % 255 + 1);
}

static void store_pages(quire_mm *mm, uint64_t base, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		test_store(mm, base + (i << PAGE_SHIFT), byte_of(i), NULL);
}

/* From page `first` of the mapping on. */
static void expect_pages(quire_mm *mm, uint64_t base, uint64_t first, uint64_t pages)
{
	for (uint64_t i = first; i < pages; i++)
		assert_int_equal(test_load(mm, base + (i << PAGE_SHIFT), NULL), byte_of(i));
}

static void pageout(quire_mm *mm, uint64_t base, uint64_t pages)
{
	assert_int_equal(quire_madvise(mm, base, pages << PAGE_SHIFT, QUIRE_MADV_PAGEOUT), 0);
}

static void free_clusters_are_discarded(void **state)
{
	struct quire_store *store;
	struct fixture f;
	quire_mm *mm;
	uint64_t base;

	(void)state;
	begin(&f);
	store = memory_store(4 * SWAP_CLUSTER);
	assert_int_equal(swap_area_add(f.quire, store, 4 * SWAP_CLUSTER), 0);
	assert_int_equal(quire_mm_create(f.quire, "main", NULL, &mm), 0);
	base = map(mm, 2 * SWAP_CLUSTER);
	store_pages(mm, base, 2 * SWAP_CLUSTER);
	pageout(mm, base, 2 * SWAP_CLUSTER);
	assert_int_equal(quire_memory_store_pages(store), 2 * SWAP_CLUSTER);
	assert_int_equal(quire_munmap(mm, base, SWAP_CLUSTER << PAGE_SHIFT), 0);
	assert_int_equal(swap_free_slots(f.quire), 3 * SWAP_CLUSTER);
	quire_balance(f.quire);
	assert_int_equal(quire_memory_store_pages(store), SWAP_CLUSTER);
	assert_int_equal(swap_free_slots(f.quire), 3 * SWAP_CLUSTER);
	base += SWAP_CLUSTER << PAGE_SHIFT;
	for (uint64_t i = 0; i < SWAP_CLUSTER; i++)
		assert_int_equal(test_load(mm, base + (i << PAGE_SHIFT), NULL),
				 SWAP_CLUSTER + i + 1);
	end(&f, mm);
}

/* Pages that lie together come back with fewer requests than pages. */
static void neighbours_are_read_ahead(void **state)
{
	const uint64_t pages = 4 * SWAP_CLUSTER;
	struct quire_store *store;
	struct fixture f;
	quire_mm *mm;
	uint64_t base, sequential, scattered;

	(void)state;
	begin(&f);
	assert_int_equal(quire_inject_store_create(memory_store(pages), &store), 0);
	assert_int_equal(swap_area_add(f.quire, store, pages), 0);
	assert_int_equal(quire_mm_create(f.quire, "main", NULL, &mm), 0);
	base = map(mm, pages);
	store_pages(mm, base, pages);
	pageout(mm, base, pages);
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(test_load(mm, base + (i << PAGE_SHIFT), NULL), byte_of(i));
	sequential = quire_inject_calls(store, QUIRE_INJECT_READ);
	assert_true(sequential <= pages / 4);

	pageout(mm, base, pages);
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t page = i * 37 % pages;

		assert_int_equal(test_load(mm, base + (page << PAGE_SHIFT), NULL), byte_of(page));
	}
	scattered = quire_inject_calls(store, QUIRE_INJECT_READ) - sequential;
	assert_true(scattered > sequential && scattered <= pages);
	assert_int_equal(stat_read(&f.quire->events, EVENT_SWAP_IN), 2 * pages);
	/* Unchanged pages were evicted again without a write. */
	assert_int_equal(stat_read(&f.quire->events, EVENT_SWAP_OUT), pages);
	end(&f, mm);
}

static struct quire_store *begin_delayed(struct fixture *f, uint64_t pages, quire_mm **mm)
{
	struct quire_store *store;

	begin(f);
	assert_int_equal(quire_inject_store_create(memory_store(pages), &store), 0);
	assert_int_equal(swap_area_add(f->quire, store, pages), 0);
	assert_int_equal(quire_mm_create(f->quire, "main", NULL, mm), 0);
	return store;
}

static void delay(struct quire_store *store, enum quire_inject_kind kind, int error)
{
	const struct quire_inject_rule rule = {
		.nth = 1, .from_then_on = true, .delay = 1, .error = error};

	quire_inject_set(store, kind, &rule);
}

static uint64_t pages_in_memory(quire_mm *mm)
{
	return stat_read(&mm->rss, MM_ANONPAGES);
}

/* What is evicted together lies together, and takes a request for many pages. */
static void neighbours_are_written_together(void **state)
{
	const uint64_t pages = 4 * SWAP_CLUSTER;
	struct fixture f;
	quire_mm *mm;
	struct quire_store *store = begin_delayed(&f, 2 * pages, &mm);
	uint64_t base = map(mm, pages);
	uint64_t reclaimed;

	(void)state;
	store_pages(mm, base, pages);
	pageout(mm, base, pages);
	assert_int_equal(stat_read(&f.quire->events, EVENT_SWAP_OUT), pages);
	assert_int_equal(quire_inject_calls(store, QUIRE_INJECT_WRITE), 4);
	assert_int_equal(swap_cached_pages(f.quire), 0);

	/* A scan's batch is smaller, and it meets pages in use between. */
	store_pages(mm, base, pages);
	reclaimed = quire_reclaim(f.quire, NULL, pages);
	assert_true(reclaimed >= pages / 4);
	assert_int_equal(stat_read(&f.quire->events, EVENT_SWAP_OUT), pages + reclaimed);
	assert_true(quire_inject_calls(store, QUIRE_INJECT_WRITE) <= 4 + reclaimed / 8);
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(test_load(mm, base + (i << PAGE_SHIFT), NULL), byte_of(i));
	end(&f, mm);
}

/* One bad slot fails the request that it is in; then each page goes alone, and only that one stays.
 */
static void a_failed_request_is_tried_again_page_by_page(void **state)
{
	const struct quire_inject_rule first = {.nth = 1, .error = -EIO};
	const uint64_t pages = 16;
	struct fixture f;
	quire_mm *mm;
	struct quire_store *store = begin_delayed(&f, 64, &mm);
	uint64_t base = map(mm, pages);

	(void)state;
	store_pages(mm, base, pages);
	quire_inject_set(store, QUIRE_INJECT_WRITE, &first);
	pageout(mm, base, pages);
	assert_int_equal(quire_inject_calls(store, QUIRE_INJECT_WRITE), 1);
	assert_int_equal(stat_read(&f.quire->events, EVENT_WRITE_ERROR), pages);
	assert_int_equal(stat_read(&f.quire->events, EVENT_SWAP_OUT), 0);
	assert_int_equal(swap_cached_pages(f.quire), pages);
	test_instance_check(&f.test);

	quire_inject_set(store, QUIRE_INJECT_WRITE, &first);
	assert_int_equal(quire_reclaim(f.quire, NULL, pages - 1), pages - 1);
	assert_true(stat_read(&f.quire->events, EVENT_WRITE_ERROR) == pages + 1);
	assert_true(quire_inject_calls(store, QUIRE_INJECT_WRITE) >= 1 + pages);
	test_instance_check(&f.test);
	expect_pages(mm, base, 0, pages);
	end(&f, mm);
}

/* Without memory for a request nothing is written, and nothing lost. */
static void pages_stay_without_memory_for_a_request(void **state)
{
	struct fixture f;
	quire_mm *mm;
	struct quire_store *store = begin_delayed(&f, 64, &mm);
	uint64_t base = map(mm, 8);

	(void)state;
	store_pages(mm, base, 8);
	delay(store, QUIRE_INJECT_WRITE, -EIO);
	pageout(mm, base, 8);
	assert_int_equal(quire_inject_step(store), 0);
	quire_inject_set(store, QUIRE_INJECT_WRITE, NULL);
	assert_int_equal(swap_cached_pages(f.quire), 8);
	/* All have their slots: what remains to be allocated is the requests. */
	quire_fail_arm(FAIL_ALLOC, 1, true);
	assert_int_equal(quire_reclaim(f.quire, NULL, 8), 0);
	assert_true(quire_fail_disarm());
	assert_int_equal(swap_cached_pages(f.quire), 8);
	test_instance_check(&f.test);
	assert_int_equal(quire_reclaim(f.quire, NULL, 8), 8);
	expect_pages(mm, base, 0, 8);
	end(&f, mm);
}

/* While their writes are under way pages are unmapped, yet at hand; after the end they are free. */
static void pages_under_writeback_can_be_used(void **state)
{
	struct fixture f;
	quire_mm *mm;
	struct quire_store *store = begin_delayed(&f, 64, &mm);
	uint64_t base = map(mm, 8);

	(void)state;
	store_pages(mm, base, 8);
	delay(store, QUIRE_INJECT_WRITE, 0);
	pageout(mm, base, 8);
	assert_int_equal(pages_in_memory(mm), 0);
	assert_int_equal(swap_cached_pages(f.quire), 8);
	/* Read while the contents are on their way out. */
	assert_int_equal(test_load(mm, base, NULL), 1);
	assert_int_equal(test_load(mm, base + PAGE_SIZE, NULL), 2);
	assert_int_equal(stat_read(&f.quire->events, EVENT_SWAP_IN), 0);
	assert_int_equal(quire_inject_step(store), 0);
	test_store(mm, base + PAGE_SIZE, 99, NULL);
	quire_inject_set(store, QUIRE_INJECT_WRITE, NULL);
	assert_int_equal(stat_read(&f.quire->events, EVENT_SWAP_OUT), 8);
	assert_int_equal(quire_reclaim(f.quire, NULL, 6), 6);
	pageout(mm, base, 8);
	assert_int_equal(pages_in_memory(mm), 0);
	assert_int_equal(test_load(mm, base, NULL), 1);
	assert_int_equal(test_load(mm, base + PAGE_SIZE, NULL), 99);
	expect_pages(mm, base, 2, 8);
	test_instance_check(&f.test);
	end(&f, mm);
}

/* Advice starts the reads, few of them, and waits for none. */
static void willneed_starts_few_reads(void **state)
{
	static const int kinds[] = {QUIRE_MAP_PRIVATE, QUIRE_MAP_SHARED};

	(void)state;
	for (uint32_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		const uint64_t pages = 2 * SWAP_CLUSTER;
		struct fixture f;
		quire_mm *mm;
		struct quire_store *store = begin_delayed(&f, 4 * SWAP_CLUSTER, &mm);
		uint64_t base = quire_mmap(mm, 0, pages << PAGE_SHIFT, RW,
					   kinds[kind] | QUIRE_MAP_ANONYMOUS, NULL, 0);
		unsigned char vector[2 * SWAP_CLUSTER];

		store_pages(mm, base, pages);
		pageout(mm, base, pages);
		delay(store, QUIRE_INJECT_READ, 0);
		assert_int_equal(quire_madvise(mm, base, pages << PAGE_SHIFT, QUIRE_MADV_WILLNEED),
				 0);
		assert_int_equal(quire_inject_calls(store, QUIRE_INJECT_READ), 2);
		assert_int_equal(swap_cached_pages(f.quire), pages);
		assert_int_equal(quire_mincore(mm, base, pages << PAGE_SHIFT, vector), 0);
		for (uint64_t i = 0; i < pages; i++)
			assert_int_equal(vector[i], 0);
		assert_int_equal(quire_inject_step(store), 0);
		assert_int_equal(quire_mincore(mm, base, pages << PAGE_SHIFT, vector), 0);
		for (uint64_t i = 0; i < pages; i++)
			assert_int_equal(vector[i], 1);
		expect_pages(mm, base, 0, pages);
		assert_int_equal(quire_inject_calls(store, QUIRE_INJECT_READ), 2);
		end(&f, mm);
	}
}

/* The mm is gone before its writes end: the slots wait for them, and are free then. */
static void an_exit_does_not_free_slots_under_writeback(void **state)
{
	for (int error = 0; error >= -EIO; error -= EIO) {
		struct fixture f;
		quire_mm *mm;
		struct quire_store *store = begin_delayed(&f, 64, &mm);
		uint64_t base = map(mm, 8);

		(void)state;
		store_pages(mm, base, 8);
		delay(store, QUIRE_INJECT_WRITE, error);
		pageout(mm, base, 8);
		quire_mm_exit(mm);
		assert_int_equal(swap_free_slots(f.quire), 64 - 8);
		assert_int_equal(quire_inject_step(store), 0);
		assert_int_equal(swap_free_slots(f.quire), 64);
		lru_add_drain_all(f.quire);
		assert_int_equal(zone_nr_free(&f.quire->zone), f.test.frames_free);
		test_instance_destroy(&f.test);
	}
}

/* A write that fails late: the page is dirty again, stays, and goes with the next try. */
static void a_late_write_error_keeps_the_page(void **state)
{
	struct fixture f;
	quire_mm *mm;
	struct quire_store *store = begin_delayed(&f, 64, &mm);
	uint64_t base = map(mm, 4);

	(void)state;
	store_pages(mm, base, 4);
	delay(store, QUIRE_INJECT_WRITE, -EIO);
	pageout(mm, base, 4);
	assert_int_equal(quire_inject_step(store), 0);
	quire_inject_set(store, QUIRE_INJECT_WRITE, NULL);
	assert_int_equal(stat_read(&f.quire->events, EVENT_WRITE_ERROR), 4);
	assert_int_equal(swap_cached_pages(f.quire), 4);
	test_instance_check(&f.test);
	/* One is in use again, the others go. */
	assert_int_equal(test_load(mm, base, NULL), 1);
	assert_int_equal(quire_reclaim(f.quire, NULL, 3), 3);
	assert_int_equal(stat_read(&f.quire->events, EVENT_SWAP_OUT), 3);
	expect_pages(mm, base, 0, 4);
	end(&f, mm);
}

static void swap_is_freed_by_writing_to_the_page(void **state)
{
	struct fixture f;
	quire_mm *mm;
	uint64_t base;

	(void)state;
	begin(&f);
	test_instance_add_swap(&f.test, 64);
	assert_int_equal(quire_mm_create(f.quire, "main", NULL, &mm), 0);
	base = map(mm, 4);
	store_pages(mm, base, 4);
	pageout(mm, base, 4);
	assert_int_equal(swap_free_slots(f.quire), 60);
	/* A copy that is still good is worth its slot ... */
	assert_int_equal(test_load(mm, base, NULL), 1);
	assert_int_equal(swap_free_slots(f.quire), 60);
	/* ... and a stale one is not. */
	test_store(mm, base + 3 * PAGE_SIZE, 9, NULL);
	assert_int_equal(swap_free_slots(f.quire), 61);
	test_instance_check(&f.test);
	assert_int_equal(quire_munmap(mm, base, 4 * PAGE_SIZE), 0);
	assert_int_equal(swap_free_slots(f.quire), 64);
	end(&f, mm);
}

static void validation_finds_a_use_too_many(void **state)
{
	struct check_report report = {0};
	struct fixture f;
	swp_entry_t entry;

	(void)state;
	begin(&f);
	test_instance_add_swap(&f.test, 64);
	entry = alloc_slot(&f, 1);
	swap_validate(f.quire, &report);
	assert_int_equal(report.violations, 1);
	swap_free(f.quire, entry);
	report = (struct check_report){0};
	swap_validate(f.quire, &report);
	assert_int_equal(report.violations, 0);
	test_instance_destroy(&f.test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(areas_are_checked_when_added),
		cmocka_unit_test(one_thread_fills_clusters_in_order),
		cmocka_unit_test(slots_agree_with_a_model),
		cmocka_unit_test(a_slot_counts_many_uses),
		cmocka_unit_test(free_clusters_are_discarded),
		cmocka_unit_test(neighbours_are_read_ahead),
		cmocka_unit_test(neighbours_are_written_together),
		cmocka_unit_test(a_failed_request_is_tried_again_page_by_page),
		cmocka_unit_test(pages_stay_without_memory_for_a_request),
		cmocka_unit_test(pages_under_writeback_can_be_used),
		cmocka_unit_test(willneed_starts_few_reads),
		cmocka_unit_test(an_exit_does_not_free_slots_under_writeback),
		cmocka_unit_test(a_late_write_error_keeps_the_page),
		cmocka_unit_test(swap_is_freed_by_writing_to_the_page),
		cmocka_unit_test(validation_finds_a_use_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
