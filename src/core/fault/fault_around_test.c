/* SPDX-License-Identifier: MIT */
/*
 * Tests of what a fault fills beside its own page: windows of fresh anonymous memory, swapped
 * neighbours; and of the pages of zeros that this leaves to reclaim.
 */
#include "core/fault/fault_fixture_test.h"

#include "base/prng.h"
#include "core/frame/taken_test.h"

#define WINDOW_MAX 512
#define FILLED (PTE_WRITE | PTE_DIRTY | PTE_ACCESSED)

static int around_setup(void **state)
{
	static struct fixture f;

	fault_setup_params(&f, (struct quire_params){
				       .memory = (uint64_t)16 << 20,
				       .anon_fault_around = PAGES(WINDOW_MAX),
				       .no_zero_page = true,
				       .premark_accessed = true,
			       });
	*state = &f;
	return 0;
}

static void test_window_is_filled(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 64);
	assert_int_equal(store(f, 21, 9), 0);
	assert_int_equal(mapped_pages(f->mm, 0, 64), 16);
	assert_int_equal(mapped_pages(f->mm, 16, 16), 16);
	for (uint64_t i = 16; i < 32; i++) {
		assert_int_equal(pte_at(f->mm, i) & FILLED, FILLED);
		assert_int_equal(page_of(f->mm, i)->index, AT(i) >> PAGE_SHIFT);
		assert_int_equal(page_count(page_of(f->mm, i)), 1);
		assert_true(page_test(page_of(f->mm, i), PG_anon_exclusive));
	}
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 16);
	assert_int_equal(memcg_usage(f->mm->memcg), 16);
	assert_int_equal(event(f, EVENT_FAULT), 1);
	assert_int_equal(event(f, EVENT_FAULT_AROUND), 15);
	test_instance_check(&f->instance);
	assert_int_equal(load(f, 21), 9);
	assert_all(f, 16, 5, 0);
	assert_all(f, 22, 10, 0);
	assert_int_equal(event(f, EVENT_FAULT), 1);
}

/* Neighbouring entries get neighbouring frames. */
static void test_frames_come_in_order(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 16);
	assert_int_equal(store(f, 0, 1), 0);
	for (uint64_t i = 1; i < 16; i++)
		assert_ptr_equal(page_of(f->mm, i), page_of(f->mm, 0) + i);
}

static void test_windows_grow_with_use(void **state)
{
	static const uint64_t up[] = {0, 16, 32, 64, 128, 256, 512, 1024};
	static const uint64_t down[] = {511, 495, 479, 447, 383, 255};
	struct fixture *f = *state;

	map_anon(f, 0, 1536);
	for (uint64_t i = 0, faults = 0; i < 1536; i++) {
		assert_int_equal(store(f, i, 1), 0);
		if (faults < ARRAY_SIZE(up) && up[faults] == i)
			faults++;
		assert_int_equal(event(f, EVENT_FAULT), faults);
	}
	assert_ok(quire_munmap(f->mm, AT(0), PAGES(1536)));

	map_anon(f, 0, 512);
	for (uint64_t i = 512, faults = 0; i--;) {
		assert_int_equal(store(f, i, 1), 0);
		if (faults < ARRAY_SIZE(down) && down[faults] == i)
			faults++;
		assert_int_equal(event(f, EVENT_FAULT), ARRAY_SIZE(up) + faults);
	}
}

/* What lies apart stays small: no window is larger than what is in use beside it. */
static void test_sparse_use_stays_sparse(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2048);
	for (uint64_t i = 0; i < 16; i++)
		assert_int_equal(store(f, 128 * i + 5, 1), 0);
	assert_int_equal(event(f, EVENT_FAULT), 16);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 16 * 16);
}

static void test_stays_within_the_vma(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 3, 5);
	assert_int_equal(store(f, 7, 1), 0);
	assert_int_equal(mapped_pages(f->mm, 0, 16), 5);
	assert_all(f, 2, 1, MAPERR);
	assert_all(f, 8, 1, MAPERR);
}

/* What an entry holds already stays. */
static void test_only_empty_entries_are_filled(void **state)
{
	struct fixture *f = *state;
	struct page *page;

	map_anon(f, 0, 16);
	assert_ok(quire_madvise(f->mm, AT(3), PAGES(1), QUIRE_MADV_GUARD_INSTALL));
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(16), QUIRE_MADV_RANDOM));
	assert_int_equal(store(f, 5, 55), 0);
	assert_int_equal(store(f, 6, 66), 0);
	assert_ok(quire_madvise(f->mm, AT(5), PAGES(1), QUIRE_MADV_PAGEOUT));
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 1);
	page = page_of(f->mm, 6);
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(16), QUIRE_MADV_NORMAL));
	assert_int_equal(store(f, 0, 1), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 14);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 1);
	assert_ptr_equal(page_of(f->mm, 6), page);
	assert_int_equal(load(f, 3), MAPERR);
	assert_int_equal(load(f, 5), 55);
	assert_int_equal(load(f, 6), 66);
}

static void test_single_pages(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 16);
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(16), QUIRE_MADV_RANDOM));
	assert_int_equal(store(f, 5, 1), 0);
	assert_int_equal(mapped_pages(f->mm, 0, 16), 1);
	map_anon(f, 16, 16);
	assert_ok(quire_madvise(f->mm, AT(16), PAGES(16), QUIRE_MADV_SEQUENTIAL));
	assert_int_equal(store(f, 20, 1), 0);
	assert_int_equal(mapped_pages(f->mm, 16, 16), 1);
	map_anon(f, 32, 16);
	assert_ok(quire_mlock2(f->mm, AT(32), PAGES(16), QUIRE_MLOCK_ONFAULT));
	assert_int_equal(store(f, 40, 1), 0);
	assert_int_equal(mapped_pages(f->mm, 32, 16), 1);
	map_anon(f, 48, 16);
	make_read_only(f, 48, 16);
	assert_int_equal(load(f, 50), 0);
	assert_int_equal(mapped_pages(f->mm, 48, 16), 1);
	assert_false(pte_at(f->mm, 50) & PTE_WRITE);
	/* The page of its own that the read got needs no copy when it may be written. */
	assert_ok(quire_mprotect(f->mm, AT(48), PAGES(16), RW));
	assert_int_equal(store(f, 50, 3), 0);
	assert_int_equal(event(f, EVENT_COW_COPY), 0);
	assert_int_equal(event(f, EVENT_ZERO_PAGE), 0);
}

static void test_reads_fill_too(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 16);
	assert_int_equal(load(f, 4), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 16);
	assert_int_equal(pte_at(f->mm, 4) & FILLED, FILLED);
	assert_int_equal(pte_at(f->mm, 5) & FILLED, FILLED);
	assert_int_equal(event(f, EVENT_ZERO_PAGE), 0);
}

/* Without no_zero_page, reads map the zero page, and a window leaves it alone. */
static void test_zero_pages_stay(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	(void)state;
	fault_setup_params(f, (struct quire_params){.anon_fault_around = PAGES(16)});
	map_anon(f, 0, 16);
	assert_int_equal(load(f, 4), 0);
	assert_int_equal(mapped_pages(f->mm, 0, 16), 1);
	assert_int_equal(store(f, 0, 1), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 15);
	assert_true(pte_at(f->mm, 4) & PTE_SPECIAL);
	assert_int_equal(teardown((void **)&f), 0);
}

/* Near the end of a budget only what is needed is taken, and nothing is reclaimed for the rest. */
static void test_budget_is_not_filled_ahead(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 64);
	assert_ok(quire_group_set_budget(quire_mm_group(f->mm), PAGES(32)));
	assert_int_equal(store(f, 0, 1), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 16);
	/* Of 32, the last two stay free: 14 more, from the fault on. */
	assert_int_equal(store(f, 17, 1), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 30);
	assert_int_equal(mapped_pages(f->mm, 17, 14), 14);
	assert_int_equal(store(f, 40, 1), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 31);
	assert_int_equal(event(f, EVENT_SCANNED), 0);
	test_instance_check(&f->instance);
}

static void test_low_memory_is_not_filled_ahead(void **state)
{
	struct fixture *f = *state;
	const uint64_t high = f->quire->zone.watermark[WMARK_HIGH];
	struct taken taken = {.count = 0};
	uint64_t left;

	map_anon(f, 0, 64);
	assert_int_equal(store(f, 40, 1), 0);
	zone_drain_caches(&f->quire->zone);
	while (zone_nr_free(&f->quire->zone) > high + 4)
		assert_true(take(f->quire, &taken, GFP_NOWAIT));
	zone_drain_caches(&f->quire->zone);
	assert_int_equal(store(f, 3, 1), 0);
	assert_int_equal(mapped_pages(f->mm, 0, 16), 4);
	assert_int_equal(mapped_pages(f->mm, 3, 4), 4);
	left = zone_nr_free(&f->quire->zone);
	assert_int_equal(left, high);
	assert_int_equal(store(f, 20, 1), 0);
	assert_int_equal(mapped_pages(f->mm, 16, 16), 1);
	give_back(f->quire, &taken);
}

/* Where memory is used in order, what is free is taken to the end, and still nothing is reclaimed.
 */
static void test_dense_use_fills_to_the_end(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 256);
	assert_ok(quire_group_set_budget(quire_mm_group(f->mm), PAGES(32 + 8)));
	for (uint64_t i = 0; i < 32; i++)
		assert_int_equal(store(f, i, 1), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 32);
	assert_int_equal(store(f, 32, 1), 0);
	assert_int_equal(mapped_pages(f->mm, 32, 32), 8);
	assert_int_equal(event(f, EVENT_SCANNED), 0);
	test_instance_check(&f->instance);
}

static void test_dense_use_takes_all_frames(void **state)
{
	struct fixture *f = *state;
	const uint64_t min = f->quire->zone.watermark[WMARK_MIN];
	struct taken taken = {.count = 0};

	map_anon(f, 0, 256);
	for (uint64_t i = 0; i < 32; i++)
		assert_int_equal(store(f, i, 1), 0);
	zone_drain_caches(&f->quire->zone);
	while (zone_nr_free(&f->quire->zone) > min + 5)
		assert_true(take(f->quire, &taken, GFP_NOWAIT));
	zone_drain_caches(&f->quire->zone);
	assert_int_equal(store(f, 32, 1), 0);
	assert_int_equal(mapped_pages(f->mm, 32, 32), 5);
	assert_int_equal(event(f, EVENT_SCANNED), 0);
	give_back(f->quire, &taken);
}

/* Whatever cannot be had, the fault itself is served. */
static void test_failures_leave_a_single_page(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 16);
	assert_int_equal(store(f, 0, 1), 0);
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(16), QUIRE_MADV_DONTNEED));
	quire_fail_arm(FAIL_FRAME, 1, false);
	assert_int_equal(store(f, 0, 1), 0);
	assert_true(quire_fail_disarm());
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 1);
}

/* Random stores against a copy of what they should have left. */
static void test_random_use(void **state)
{
	struct fixture *f = *state;
	static uint8_t model[1024];
	struct prng prng;

	prng_seed(&prng, 7);
	memset(model, 0, sizeof(model));
	map_anon(f, 0, ARRAY_SIZE(model));
	for (uint32_t step = 0; step < 20000; step++) {
		const uint64_t page = prng_below(&prng, ARRAY_SIZE(model));
		const uint64_t pages = 1 + prng_below(&prng, 64);

		switch (prng_below(&prng, 64)) {
		case 0:
			for (uint64_t i = page; i < page + pages && i < ARRAY_SIZE(model); i++)
				model[i] = 0;
			assert_ok(quire_madvise(f->mm, AT(page),
						PAGES(min_u64(pages, ARRAY_SIZE(model) - page)),
						QUIRE_MADV_DONTNEED));
			break;
		case 1:
			quire_reclaim(f->quire, NULL, pages);
			break;
		default:
			model[page] = (uint8_t)prng_next(&prng);
			assert_int_equal(store(f, page, model[page]), 0);
		}
		assert_int_equal(load(f, page), model[page]);
	}
	for (uint64_t i = 0; i < ARRAY_SIZE(model); i++)
		assert_int_equal(load(f, i), model[i]);
	test_instance_check(&f->instance);
}

static void test_unused_pages_need_no_swap(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 16);
	assert_int_equal(store(f, 3, 33), 0);
	evict_all(f);
	assert_int_equal(event(f, EVENT_ZERO_DROPPED), 15);
	assert_int_equal(event(f, EVENT_SWAP_OUT), 1);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 0);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 1);
	assert_int_equal(mapped_pages(f->mm, 0, 16), 0);
	test_instance_check(&f->instance);
	assert_all(f, 0, 3, 0);
	assert_int_equal(load(f, 3), 33);
	assert_all(f, 4, 12, 0);
}

static void test_shared_zeros_are_dropped(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 1);
	assert_int_equal(store(f, 0, 0), 0);
	assert_ok(quire_fork(f->mm, "child", &child));
	assert_ptr_equal(page_of(child, 0), page_of(f->mm, 0));
	evict_all(f);
	assert_int_equal(event(f, EVENT_ZERO_DROPPED), 1);
	assert_int_equal(event(f, EVENT_SWAP_OUT), 0);
	assert_int_equal(pte_at(f->mm, 0), 0);
	assert_int_equal(pte_at(child, 0), 0);
	assert_int_equal(store_in(child, 0, 4), 0);
	assert_int_equal(load(f, 0), 0);
	assert_int_equal(load_in(child, 0), 4);
	quire_mm_exit(child);
}

/* An empty entry of a file mapping would mean the file's contents. */
static void test_zeros_over_a_file_are_kept(void **state)
{
	struct fixture *f = *state;
	uint8_t zeros[PAGE_SIZE] = {0};

	make_stored_file(f, 1, 7);
	map_file(f, 0, 1, PRIVATE, 0);
	assert_int_equal(quire_write_memory(f->mm, AT(0), zeros, sizeof(zeros)), sizeof(zeros));
	evict_all(f);
	assert_int_equal(event(f, EVENT_ZERO_DROPPED), 0);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 1);
	assert_int_equal(load(f, 0), 0);
}

static void test_locked_and_pinned_zeros_stay(void **state)
{
	struct fixture *f = *state;
	struct page *pinned;

	map_anon(f, 0, 1);
	map_anon(f, 100, 1);
	assert_int_equal(store(f, 0, 0), 0);
	assert_int_equal(store(f, 100, 0), 0);
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(1)));
	assert_int_equal(pin_user_pages(f->mm, AT(100), 1, true, &pinned), 1);
	evict_all(f);
	assert_int_equal(event(f, EVENT_ZERO_DROPPED), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 2);
	unpin_user_pages(f->quire, &pinned, 1, true);
	evict_all(f);
	assert_int_equal(event(f, EVENT_ZERO_DROPPED), 1);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 1);
}

static struct {
	uint8_t *byte;
	void (*revoke)(struct quire_machine *machine, void *context,
		       const struct quire_revoke *what);
} late;

/* A CPU's last store, through the translation that is just being revoked. */
static void late_revoke(struct quire_machine *machine, void *context,
			const struct quire_revoke *what)
{
	if (late.byte)
		*late.byte = 77;
	late.revoke(machine, context, what);
}

static void test_last_store_keeps_the_page(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 1);
	assert_int_equal(store(f, 0, 0), 0);
	late.revoke = f->instance.machine.ops.revoke;
	late.byte = page_address(&f->quire->zone, page_of(f->mm, 0));
	f->instance.machine.ops.revoke = late_revoke;
	evict_all(f);
	f->instance.machine.ops.revoke = late.revoke;
	assert_int_equal(event(f, EVENT_ZERO_DROPPED), 0);
	assert_int_equal(load(f, 0), 77);
}

/* Pages 0 to 31 in swap, in order. */
static void swap_pages_out(struct fixture *f)
{
	map_anon(f, 0, 32);
	store_pages(f, 0, 32, 1);
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(32), QUIRE_MADV_PAGEOUT));
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 32);
}

/* A second fault of a neighbour grows readahead; what that brings is mapped at once. */
static void test_swapped_neighbours_are_mapped(void **state)
{
	struct fixture *f = *state;
	uint64_t faults;

	swap_pages_out(f);
	faults = event(f, EVENT_FAULT);
	assert_pages(f, 0, 32, 1);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 32);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 0);
	/* As many as there were reads, if readahead had been there each time. */
	assert_true(event(f, EVENT_FAULT) - faults <= 12);
	assert_int_equal(event(f, EVENT_SWAP_IN), 32);
	test_instance_check(&f->instance);
	/* Only read so far: the copies in swap are good. */
	evict_all(f);
	assert_int_equal(event(f, EVENT_SWAP_OUT), 32);
	assert_pages(f, 0, 32, 1);
}

/* Nobody but a write makes them dirty, and that needs no fault of its own. */
static void test_swapped_neighbours_are_mapped_for_writing(void **state)
{
	struct fixture *f = *state;
	uint64_t mapped = 0;

	swap_pages_out(f);
	for (uint64_t i = 0; i < 32; i++)
		assert_int_equal(store(f, i, page_byte(100 + i)), 0);
	assert_pages(f, 0, 32, 100);
	for (uint64_t i = 0; i < 32; i++)
		mapped += (pte_at(f->mm, i) & FILLED) == FILLED;
	assert_int_equal(mapped, 32);
	assert_int_equal(event(f, EVENT_COW_REUSE), 0);
	evict_all(f);
	assert_int_equal(event(f, EVENT_SWAP_OUT), 64);
	assert_pages(f, 0, 32, 100);
}

/* A fork's swapped pages are shared: each side maps them for reading alone. */
static void test_shared_swapped_neighbours(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	swap_pages_out(f);
	assert_ok(quire_fork(f->mm, "child", &child));
	for (uint64_t i = 0; i < 32; i++)
		assert_int_equal(store_in(child, i, 200), 0);
	assert_pages(f, 0, 32, 1);
	for (uint64_t i = 0; i < 32; i++)
		assert_int_equal(load_in(child, i), 200);
	test_instance_check(&f->instance);
	quire_mm_exit(child);
	assert_pages(f, 0, 32, 1);
}

static void test_file_entries_are_marked(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 16, 1);
	map_file(f, 0, 16, SHARED, 0);
	for (uint64_t i = 0; i < 16; i++)
		assert_int_equal(load(f, i), i + 1);
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(16), QUIRE_MADV_DONTNEED));
	assert_int_equal(load(f, 4), 5);
	assert_true(mapped_pages(f->mm, 0, 16) > 8);
	for (uint64_t i = 0; i < 16; i++)
		if (pte_present(pte_at(f->mm, i)))
			assert_int_equal(pte_at(f->mm, i) & FILLED, PTE_ACCESSED);
}

static void test_parameters_are_checked(void **state)
{
	static const uint32_t bad[] = {4095, 4096 * 3, 4 << 20};
	struct test_instance test;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(test_instance_try_create(
					 &test, (struct quire_params){.anon_fault_around = bad[i]}),
				 -EINVAL);
}

#define AROUND_TEST(test) cmocka_unit_test_setup_teardown(test, around_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AROUND_TEST(test_window_is_filled),
		AROUND_TEST(test_frames_come_in_order),
		AROUND_TEST(test_windows_grow_with_use),
		AROUND_TEST(test_sparse_use_stays_sparse),
		AROUND_TEST(test_stays_within_the_vma),
		AROUND_TEST(test_only_empty_entries_are_filled),
		AROUND_TEST(test_single_pages),
		AROUND_TEST(test_reads_fill_too),
		cmocka_unit_test(test_zero_pages_stay),
		AROUND_TEST(test_budget_is_not_filled_ahead),
		AROUND_TEST(test_low_memory_is_not_filled_ahead),
		AROUND_TEST(test_dense_use_fills_to_the_end),
		AROUND_TEST(test_dense_use_takes_all_frames),
		AROUND_TEST(test_failures_leave_a_single_page),
		AROUND_TEST(test_random_use),
		AROUND_TEST(test_unused_pages_need_no_swap),
		AROUND_TEST(test_shared_zeros_are_dropped),
		AROUND_TEST(test_zeros_over_a_file_are_kept),
		AROUND_TEST(test_locked_and_pinned_zeros_stay),
		AROUND_TEST(test_last_store_keeps_the_page),
		AROUND_TEST(test_swapped_neighbours_are_mapped),
		AROUND_TEST(test_swapped_neighbours_are_mapped_for_writing),
		AROUND_TEST(test_shared_swapped_neighbours),
		AROUND_TEST(test_file_entries_are_marked),
		cmocka_unit_test(test_parameters_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
