/* SPDX-License-Identifier: MIT */
/*
 * Tests of madvise: arguments and holes, what each advice does to each kind of mapping, and what it
 * refuses.
 */
#include "core/call/fixture_test.h"

static void map_shared(struct fixture *f, uint64_t page, uint64_t pages)
{
	map_at(f, page, pages, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
}

static void test_arguments(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	assert_ok(quire_madvise(f->mm, AT(7), 0, QUIRE_MADV_DONTNEED));
	assert_error(quire_madvise(f->mm, AT(0) + 1, 0, QUIRE_MADV_DONTNEED), EINVAL);
	assert_error(quire_madvise(f->mm, AT(0), UINT64_MAX, QUIRE_MADV_DONTNEED), EINVAL);
	assert_error(quire_madvise(f->mm, AT(0), 1, 77), EINVAL);
	assert_error(quire_madvise(f->mm, AT(9), 0, -1), EINVAL);
	store_pages(f, 0, 2, 1);
	/* A short length is a page. */
	assert_ok(quire_madvise(f->mm, AT(0), 1, QUIRE_MADV_DONTNEED));
	assert_int_equal(load(f, 0), 0);
	assert_int_equal(load(f, 1), 2);
	assert_ok(advise(f, 0, 2, QUIRE_MADV_WILLNEED));
}

static void test_hole_is_reported_and_passed(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	map_anon(f, 4, 2);
	store_pages(f, 0, 2, 1);
	store_pages(f, 4, 2, 5);
	assert_error(advise(f, 0, 6, QUIRE_MADV_DONTNEED), ENOMEM);
	assert_all(f, 0, 2, 0);
	assert_all(f, 4, 2, 0);
	store_pages(f, 4, 2, 5);
	assert_error(advise(f, 2, 4, QUIRE_MADV_DONTNEED), ENOMEM);
	assert_all(f, 4, 2, 0);
	assert_error(advise(f, 5, 4, QUIRE_MADV_RANDOM), ENOMEM);
	assert_true(vma_lookup(f->mm, AT(5))->vm_flags & VM_RAND_READ);
	assert_error(advise(f, 10, 2, QUIRE_MADV_DONTNEED), ENOMEM);
}

static void test_patterns_split_and_merge(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 3);
	assert_ok(advise(f, 1, 1, QUIRE_MADV_SEQUENTIAL));
	assert_int_equal(f->mm->map_count, 3);
	assert_ok(advise(f, 1, 1, QUIRE_MADV_RANDOM));
	assert_int_equal(vma_lookup(f->mm, AT(1))->vm_flags & (VM_RAND_READ | VM_SEQ_READ),
			 VM_RAND_READ);
	assert_ok(advise(f, 0, 3, QUIRE_MADV_NORMAL));
	assert_int_equal(f->mm->map_count, 1);
}

static void test_dontneed(void **state)
{
	struct fixture *f = *state;

	make_file(f, 4, 40);
	map_anon(f, 0, 2);
	map_shared(f, 2, 2);
	map_file(f, 4, 2, QUIRE_MAP_PRIVATE, 0);
	map_file(f, 6, 2, QUIRE_MAP_SHARED, 2);
	store_pages(f, 0, 8, 1);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(1), QUIRE_PROT_NONE));
	assert_ok(advise(f, 0, 8, QUIRE_MADV_DONTNEED));
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(1), RW));
	assert_all(f, 0, 2, 0);
	assert_pages(f, 2, 2, 3);
	assert_pages(f, 4, 2, 40);
	assert_pages(f, 6, 2, 7);
}

static void test_dontneed_of_swapped_pages(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 8);
	store_pages(f, 0, 8, 1);
	evict_all(f);
	assert_ok(advise(f, 2, 4, QUIRE_MADV_DONTNEED));
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 4);
	assert_pages(f, 0, 2, 1);
	assert_all(f, 2, 4, 0);
	assert_pages(f, 6, 2, 7);
}

static void test_locked_memory_is_refused(void **state)
{
	struct fixture *f = *state;
	const int refused[] = {QUIRE_MADV_DONTNEED, QUIRE_MADV_FREE, QUIRE_MADV_COLD,
			       QUIRE_MADV_PAGEOUT, QUIRE_MADV_GUARD_INSTALL};

	map_anon(f, 0, 2);
	map_shared(f, 2, 2);
	store_pages(f, 0, 4, 1);
	assert_ok(advise(f, 1, 1, QUIRE_MADV_GUARD_INSTALL));
	assert_error(quire_mlock(f->mm, AT(0), PAGES(4)), ENOMEM);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_error(advise(f, 0, 1, refused[i]), EINVAL);
	assert_error(advise(f, 2, 2, QUIRE_MADV_REMOVE), EINVAL);
	assert_int_equal(load(f, 0), 1);
	assert_pages(f, 2, 2, 3);
	assert_ok(advise(f, 1, 1, QUIRE_MADV_GUARD_REMOVE));
	assert_int_equal(load(f, 1), 0);
}

static void test_free_is_for_private_anonymous_memory(void **state)
{
	struct fixture *f = *state;

	make_file(f, 2, 40);
	map_shared(f, 0, 1);
	map_file(f, 1, 1, QUIRE_MAP_PRIVATE, 0);
	assert_error(advise(f, 0, 1, QUIRE_MADV_FREE), EINVAL);
	assert_error(advise(f, 1, 1, QUIRE_MADV_FREE), EINVAL);
}

static void test_free_lets_go_what_is_not_written_again(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 20);
	store_pages(f, 0, 20, 1);
	assert_ok(advise(f, 0, 20, QUIRE_MADV_FREE));
	assert_false(pte_at(f->mm, 3) & PTE_DIRTY);
	/* Nothing is lost before memory is short. */
	assert_pages(f, 0, 20, 1);
	assert_int_equal(store(f, 5, 99), 0);
	evict_all(f);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(load(f, i), i == 5 ? 99 : 0);
	assert_true(swap_total(f->quire) - swap_free_slots(f->quire) <= 1);
}

static void test_free_drops_swapped_pages(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 10);
	store_pages(f, 0, 10, 1);
	evict_all(f);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 10);
	assert_int_equal(load(f, 0), 1);
	assert_ok(advise(f, 0, 10, QUIRE_MADV_FREE));
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 0);
	assert_all(f, 1, 9, 0);
}

static void test_free_leaves_a_forked_child_alone(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	assert_ok(quire_fork(f->mm, "child", &child));
	assert_ok(advise(f, 0, 4, QUIRE_MADV_FREE));
	assert_ok(advise(f, 0, 2, QUIRE_MADV_DONTNEED));
	evict_all(f);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(load_in(child, i), (int)i + 1);
	quire_mm_exit(child);
}

static void test_remove(void **state)
{
	struct fixture *f = *state;
	quire_file *read_only;
	struct quire_store *store_again;

	make_file(f, 4, 40);
	map_anon(f, 0, 1);
	map_file(f, 1, 2, QUIRE_MAP_PRIVATE, 0);
	map_file(f, 4, 4, QUIRE_MAP_SHARED, 0);
	map_shared(f, 10, 4);
	assert_error(advise(f, 0, 1, QUIRE_MADV_REMOVE), EINVAL);
	assert_error(advise(f, 1, 1, QUIRE_MADV_REMOVE), EACCES);
	assert_ok(advise(f, 5, 2, QUIRE_MADV_REMOVE));
	assert_int_equal(load(f, 4), 40);
	assert_all(f, 5, 2, 0);
	assert_int_equal(load(f, 7), 43);
	assert_int_equal(load(f, 2), 0);
	store_pages(f, 10, 4, 1);
	assert_ok(advise(f, 11, 2, QUIRE_MADV_REMOVE));
	assert_int_equal(load(f, 10), 1);
	assert_all(f, 11, 2, 0);
	assert_int_equal(load(f, 13), 4);

	assert_ok(quire_memory_store_create(0, &store_again));
	assert_ok(quire_open(f->quire, "file", 1, 1, store_again, QUIRE_O_READ, &read_only));
	assert_int_equal(quire_mmap(f->mm, AT(20), PAGES(1), QUIRE_PROT_READ,
				    QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, read_only, 0),
			 AT(20));
	quire_close(read_only);
	assert_error(advise(f, 20, 1, QUIRE_MADV_REMOVE), EACCES);
}

static void test_fork_advice_is_for_private_anonymous_memory(void **state)
{
	struct fixture *f = *state;
	quire_file *zero;

	make_file(f, 1, 40);
	assert_ok(quire_open_zero(f->quire, &zero));
	map_shared(f, 0, 1);
	map_file(f, 1, 1, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(quire_mmap(f->mm, AT(2), PAGES(1), RW, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED,
				    zero, 0),
			 AT(2));
	quire_close(zero);
	for (uint64_t i = 0; i < 3; i++) {
		assert_error(advise(f, i, 1, QUIRE_MADV_WIPEONFORK), EINVAL);
		assert_ok(advise(f, i, 1, QUIRE_MADV_KEEPONFORK));
		assert_ok(advise(f, i, 1, QUIRE_MADV_DONTFORK));
		assert_ok(advise(f, i, 1, QUIRE_MADV_DOFORK));
	}
}

static void test_pageout_and_cold_keep_contents(void **state)
{
	struct fixture *f = *state;

	make_file(f, 4, 40);
	map_anon(f, 0, 30);
	map_file(f, 30, 4, QUIRE_MAP_PRIVATE, 0);
	store_pages(f, 0, 30, 1);
	assert_int_equal(store(f, 31, 99), 0);
	assert_int_equal(load(f, 30), 40);
	assert_ok(advise(f, 0, 34, QUIRE_MADV_COLD));
	assert_false(pte_at(f->mm, 0) & PTE_ACCESSED);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 31);
	assert_ok(advise(f, 0, 34, QUIRE_MADV_PAGEOUT));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 0);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 31);
	assert_pages(f, 0, 30, 1);
	assert_int_equal(load(f, 30), 40);
	assert_int_equal(load(f, 31), 99);
}

static void test_pageout_passes_over_what_others_map(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	assert_ok(quire_fork(f->mm, "child", &child));
	assert_int_equal(store(f, 3, 9), 0);
	assert_ok(advise(f, 0, 4, QUIRE_MADV_PAGEOUT));
	assert_int_equal(rss(child, MM_ANONPAGES), 4);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 3);
	quire_mm_exit(child);
}

static void assert_resident(struct fixture *f, uint64_t page, uint64_t pages,
			    unsigned char resident)
{
	unsigned char vector[64];

	assert_true(pages <= sizeof(vector));
	assert_ok(quire_mincore(f->mm, AT(page), PAGES(pages), vector));
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(vector[i], resident);
}

static void test_willneed_brings_swap_back(void **state)
{
	const int kinds[] = {QUIRE_MAP_PRIVATE, QUIRE_MAP_SHARED};
	struct fixture *f = *state;

	for (uint64_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const uint64_t base = 100 * i;

		map_at(f, base, 40, kinds[i] | QUIRE_MAP_ANONYMOUS);
		store_pages(f, base, 40, 1);
		assert_ok(advise(f, base, 40, QUIRE_MADV_PAGEOUT));
		assert_resident(f, base, 40, 0);
		assert_ok(advise(f, base + 5, 30, QUIRE_MADV_WILLNEED));
		assert_resident(f, base, 5, 0);
		assert_resident(f, base + 5, 30, 1);
		assert_resident(f, base + 35, 5, 0);
		/* In the swap cache, and not mapped. */
		assert_int_equal(swap_cached_pages(f->quire), 30);
		assert_int_equal(rss(f->mm, MM_ANONPAGES) + rss(f->mm, MM_SHMEMPAGES), 0);
		assert_ok(advise(f, base + 5, 30, QUIRE_MADV_WILLNEED));
		assert_pages(f, base, 40, 1);
		assert_ok(quire_munmap(f->mm, AT(base), PAGES(40)));
	}
}

/* The advice takes what is free and pushes nothing out. */
static void test_willneed_takes_free_frames_only(void **state)
{
	struct fixture *f = *state;
	const uint64_t frames = f->quire->zone.nr_frames;
	uint64_t swapped, scanned;

	map_anon(f, 0, frames);
	map_shared(f, frames, frames);
	for (uint64_t i = 0; i < 2 * frames; i++)
		assert_int_equal(store(f, i, (uint8_t)(i % 251)), 0);
	for (uint64_t i = 0; i < 2; i++) {
		swapped = swap_free_slots(f->quire);
		scanned = stat_read(&f->quire->events, EVENT_SCANNED);
		assert_ok(advise(f, i * frames, frames, QUIRE_MADV_WILLNEED));
		assert_int_equal(swap_free_slots(f->quire), swapped);
		assert_int_equal(stat_read(&f->quire->events, EVENT_SCANNED), scanned);
	}
	for (uint64_t i = 0; i < 2 * frames; i++)
		assert_int_equal(load(f, i), i % 251);
}

static void test_populate(void **state)
{
	struct fixture *f = *state;

	make_file(f, 4, 40);
	map_anon(f, 0, 4);
	assert_ok(advise(f, 0, 4, QUIRE_MADV_POPULATE_READ));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 0);
	assert_true(pte_at(f->mm, 3) & PTE_PRESENT);
	assert_ok(advise(f, 0, 4, QUIRE_MADV_POPULATE_WRITE));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 4);

	map_file(f, 8, 6, QUIRE_MAP_SHARED, 0);
	assert_ok(quire_fsync(f->file));
	assert_ok(advise(f, 8, 4, QUIRE_MADV_POPULATE_READ));
	assert_int_equal(atomic_load(&f->quire->nr_dirty), 0);
	assert_ok(advise(f, 8, 1, QUIRE_MADV_POPULATE_WRITE));
	assert_int_equal(atomic_load(&f->quire->nr_dirty), 1);
	/* Pages beyond the end of the file. */
	assert_error(advise(f, 8, 6, QUIRE_MADV_POPULATE_READ), EFAULT);
}

static void test_populate_refusals(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	map_anon(f, 3, 2);
	assert_error(advise(f, 0, 5, QUIRE_MADV_POPULATE_WRITE), ENOMEM);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 2);
	assert_error(advise(f, 4, 3, QUIRE_MADV_POPULATE_WRITE), ENOMEM);
	assert_error(advise(f, 2, 2, QUIRE_MADV_POPULATE_READ), ENOMEM);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 3);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(1), QUIRE_PROT_READ));
	assert_error(advise(f, 0, 1, QUIRE_MADV_POPULATE_WRITE), EINVAL);
	assert_ok(advise(f, 0, 1, QUIRE_MADV_POPULATE_READ));
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(1), QUIRE_PROT_NONE));
	assert_error(advise(f, 0, 1, QUIRE_MADV_POPULATE_READ), EINVAL);
	assert_ok(advise(f, 3, 1, QUIRE_MADV_GUARD_INSTALL));
	assert_error(advise(f, 3, 2, QUIRE_MADV_POPULATE_WRITE), EFAULT);
}

static void test_guard_pages(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 10);
	store_pages(f, 0, 10, 1);
	assert_ok(advise(f, 2, 4, QUIRE_MADV_GUARD_INSTALL));
	assert_ok(advise(f, 3, 1, QUIRE_MADV_GUARD_INSTALL));
	assert_int_equal(f->mm->map_count, 1);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 6);
	assert_pages(f, 0, 2, 1);
	assert_all(f, 2, 4, MAPERR);
	assert_int_equal(store(f, 2, 1), MAPERR);
	assert_pages(f, 6, 4, 7);

	/* They survive what does not unmap. */
	assert_ok(advise(f, 0, 10, QUIRE_MADV_DONTNEED));
	assert_ok(advise(f, 0, 10, QUIRE_MADV_FREE));
	assert_ok(advise(f, 0, 10, QUIRE_MADV_COLD));
	assert_ok(advise(f, 0, 10, QUIRE_MADV_PAGEOUT));
	assert_ok(quire_mprotect(f->mm, AT(3), PAGES(2), QUIRE_PROT_READ));
	assert_ok(quire_mprotect(f->mm, AT(3), PAGES(2), RW));
	assert_all(f, 2, 4, MAPERR);
	assert_ok(advise(f, 0, 10, QUIRE_MADV_GUARD_REMOVE));
	assert_all(f, 0, 10, 0);
	assert_ok(advise(f, 9, 1, QUIRE_MADV_GUARD_INSTALL));
	assert_ok(quire_munmap(f->mm, AT(9), PAGES(1)));
	map_anon(f, 9, 1);
	assert_int_equal(load(f, 9), 0);
}

static void test_guard_pages_over_swap_and_holes(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 600);
	map_anon(f, 602, 4);
	store_pages(f, 0, 600, 1);
	assert_ok(advise(f, 0, 600, QUIRE_MADV_PAGEOUT));
	assert_error(advise(f, 500, 106, QUIRE_MADV_GUARD_INSTALL), ENOMEM);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 500);
	assert_all(f, 500, 106, MAPERR);
	assert_error(advise(f, 500, 106, QUIRE_MADV_GUARD_REMOVE), ENOMEM);
	assert_all(f, 500, 100, 0);
	assert_all(f, 602, 4, 0);
}

static void test_guard_pages_of_files(void **state)
{
	struct fixture *f = *state;

	make_file(f, 8, 40);
	map_file(f, 0, 4, QUIRE_MAP_PRIVATE, 0);
	map_file(f, 4, 4, QUIRE_MAP_SHARED, 4);
	assert_pages(f, 0, 8, 40);
	assert_int_equal(store(f, 1, 99), 0);
	assert_ok(advise(f, 1, 5, QUIRE_MADV_GUARD_INSTALL));
	assert_int_equal(load(f, 0), 40);
	assert_all(f, 1, 5, MAPERR);
	assert_pages(f, 6, 2, 46);
	/* What was private is gone, what the file has is back. */
	assert_ok(advise(f, 1, 5, QUIRE_MADV_GUARD_REMOVE));
	assert_pages(f, 0, 8, 40);
}

#define rule(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(test_arguments),
		rule(test_hole_is_reported_and_passed),
		rule(test_patterns_split_and_merge),
		rule(test_dontneed),
		rule(test_dontneed_of_swapped_pages),
		rule(test_locked_memory_is_refused),
		rule(test_free_is_for_private_anonymous_memory),
		rule(test_free_lets_go_what_is_not_written_again),
		rule(test_free_drops_swapped_pages),
		rule(test_free_leaves_a_forked_child_alone),
		rule(test_remove),
		rule(test_fork_advice_is_for_private_anonymous_memory),
		rule(test_pageout_and_cold_keep_contents),
		rule(test_pageout_passes_over_what_others_map),
		rule(test_willneed_brings_swap_back),
		rule(test_willneed_takes_free_frames_only),
		rule(test_populate),
		rule(test_populate_refusals),
		rule(test_guard_pages),
		rule(test_guard_pages_over_swap_and_holes),
		rule(test_guard_pages_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
