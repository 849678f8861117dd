/* SPDX-License-Identifier: MIT */
/*
 * Tests of mremap: each rule on its own. mremap_model_test.c compares random calls with a model.
 */
#include "core/call/fixture_test.h"

#define MAYMOVE QUIRE_MREMAP_MAYMOVE
#define FIXED (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED)
#define DONTUNMAP (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP)

static uint64_t remap(struct fixture *f, uint64_t page, uint64_t old_pages, uint64_t new_pages,
		      int flags, uint64_t to)
{
	return quire_mremap(f->mm, AT(page), PAGES(old_pages), PAGES(new_pages), flags, AT(to));
}

static void test_bad_arguments(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	assert_error(quire_mremap(f->mm, AT(0), PAGES(4), PAGES(4), 8, 0), EINVAL);
	assert_error(quire_mremap(f->mm, AT(0) + 1, PAGES(4), PAGES(4), 0, 0), EINVAL);
	assert_error(quire_mremap(f->mm, AT(0), PAGES(4), 0, 0, 0), EINVAL);
	assert_error(quire_mremap(f->mm, AT(0), PAGES(4), (uint64_t)1 << 62, MAYMOVE, 0), EINVAL);
	assert_error(quire_mremap(f->mm, AT(0), PAGES(4), PAGES(4), QUIRE_MREMAP_FIXED, AT(8)),
		     EINVAL);
	assert_error(quire_mremap(f->mm, AT(0), PAGES(4), PAGES(4), FIXED, AT(8) + 1), EINVAL);
	assert_error(quire_mremap(f->mm, AT(0), PAGES(4), PAGES(4), FIXED, UINT64_MAX & PAGE_MASK),
		     EINVAL);
	assert_error(remap(f, 0, 4, 4, FIXED, 3), EINVAL);
	assert_error(remap(f, 0, 4, 4, FIXED, 0), EINVAL);
	assert_error(remap(f, 0, 4, 8, DONTUNMAP, 16), EINVAL);
	assert_error(remap(f, 0, 4, 4, QUIRE_MREMAP_DONTUNMAP, 16), EINVAL);
	/* Nothing there, or the end of it. */
	assert_error(remap(f, 8, 1, 1, 0, 0), EFAULT);
	assert_error(remap(f, 0, 5, 6, MAYMOVE, 0), EFAULT);
	assert_int_equal(f->mm->map_count, 1);
}

static void test_same_size_is_nothing(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	assert_int_equal(quire_mremap(f->mm, AT(0), PAGES(3) + 1, PAGES(4), 0, 0), AT(0));
	assert_int_equal(remap(f, 1, 1, 1, MAYMOVE, 0), AT(1));
	assert_int_equal(f->mm->map_count, 1);
	assert_pages(f, 0, 4, 1);
}

static void test_shrink_across_vmas(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	assert_ok(quire_mprotect(f->mm, AT(2), PAGES(1), QUIRE_PROT_READ));
	assert_int_equal(f->mm->map_count, 3);
	store_pages(f, 0, 2, 1);
	assert_int_equal(remap(f, 0, 4, 1, 0, 0), AT(0));
	assert_int_equal(f->mm->map_count, 1);
	assert_int_equal(load(f, 0), 1);
	assert_all(f, 1, 3, MAPERR);
	assert_error(quire_mremap(f->mm, AT(0), UINT64_MAX & PAGE_MASK, PAGES(1), 0, 0), EINVAL);
	assert_int_equal(load(f, 0), 1);
}

static void test_grow_in_place_and_merge(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	map_anon(f, 4, 2);
	store_pages(f, 0, 2, 1);
	assert_int_equal(f->mm->map_count, 2);
	/* From an offset inside, up to the neighbour. */
	assert_int_equal(remap(f, 1, 1, 3, 0, 0), AT(1));
	assert_int_equal(f->mm->map_count, 1);
	assert_int_equal(f->mm->total_vm, 6);
	assert_pages(f, 0, 2, 1);
	assert_all(f, 2, 4, 0);
	/* The old range does not reach the end of the VMA, or space is taken. */
	assert_error(remap(f, 0, 2, 7, 0, 0), ENOMEM);
	map_at(f, 7, 1, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	assert_error(remap(f, 0, 6, 8, 0, 0), ENOMEM);
	assert_int_equal(f->mm->total_vm, 7);
}

static void test_grow_moves_when_it_may(void **state)
{
	struct fixture *f = *state;
	uint64_t address;
	uint32_t error = 0;

	map_anon(f, 0, 3);
	map_at(f, 3, 1, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	store_pages(f, 0, 4, 7);
	address = remap(f, 0, 3, 600, MAYMOVE, 0);
	assert_int_not_equal(address, QUIRE_MAP_FAILED);
	assert_all(f, 0, 3, MAPERR);
	assert_int_equal(load(f, 3), 10);
	for (int i = 0; i < 3; i++)
		assert_int_equal(test_load(f->mm, address + PAGES(i), &error), 7 + i);
	assert_int_equal(test_load(f->mm, address + PAGES(599), &error), 0);
	assert_int_equal(error, 0);
	assert_int_equal(f->mm->total_vm, 601);
	assert_int_equal(f->mm->map_count, 2);
}

static void test_fixed_replaces_destination(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	map_anon(f, 10, 6);
	store_pages(f, 0, 4, 1);
	store_pages(f, 10, 6, 50);
	assert_int_equal(remap(f, 1, 2, 2, FIXED, 12), AT(12));
	assert_int_equal(load(f, 0), 1);
	assert_all(f, 1, 2, MAPERR);
	assert_int_equal(load(f, 3), 4);
	assert_pages(f, 10, 2, 50);
	assert_pages(f, 12, 2, 2);
	assert_pages(f, 14, 2, 54);
	/* Shrinking meanwhile drops the source's tail. */
	assert_int_equal(remap(f, 10, 2, 1, FIXED, 30), AT(30));
	assert_int_equal(load(f, 30), 50);
	assert_all(f, 10, 2, MAPERR);
	/* And growing gives fresh pages. */
	assert_int_equal(remap(f, 30, 1, 3, FIXED, 40), AT(40));
	assert_int_equal(load(f, 40), 50);
	assert_all(f, 41, 2, 0);
}

static void test_fixed_across_tables(void **state)
{
	struct fixture *f = *state;

	/* 600 pages, so that source and destination cross table boundaries at different places. */
	map_anon(f, 100, 600);
	store_pages(f, 100, 600, 3);
	assert_int_equal(remap(f, 100, 600, 600, FIXED, 1337), AT(1337));
	assert_pages(f, 1337, 600, 3);
	assert_all(f, 100, 600, MAPERR);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 600);
	evict_all(f);
	assert_int_equal(rss(f->mm, MM_ANONPAGES) + rss(f->mm, MM_SWAPENTS), 600);
	assert_int_not_equal(rss(f->mm, MM_SWAPENTS), 0);
	assert_int_equal(remap(f, 1337, 600, 600, FIXED, 33), AT(33));
	assert_pages(f, 33, 600, 3);
}

static void test_several_vmas_move_together(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	map_at(f, 2, 2, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	map_anon(f, 6, 2);
	store_pages(f, 0, 4, 1);
	store_pages(f, 6, 2, 7);
	assert_int_equal(remap(f, 1, 7, 7, FIXED, 21), AT(21));
	assert_pages(f, 21, 3, 2);
	assert_all(f, 24, 2, MAPERR);
	assert_pages(f, 26, 2, 7);
	assert_int_equal(load(f, 0), 1);
	assert_all(f, 1, 7, MAPERR);
	assert_error(remap(f, 2, 5, 5, FIXED, 40), EFAULT);
}

static void test_old_size_zero(void **state)
{
	struct fixture *f = *state;

	map_at(f, 0, 2, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	map_anon(f, 8, 2);
	store_pages(f, 0, 2, 1);
	assert_error(remap(f, 0, 0, 2, 0, 0), ENOMEM);
	assert_error(remap(f, 8, 0, 2, MAYMOVE, 0), EINVAL);
	assert_int_equal(remap(f, 0, 0, 2, FIXED, 20), AT(20));
	assert_pages(f, 20, 2, 1);
	assert_int_equal(store(f, 21, 99), 0);
	assert_int_equal(load(f, 1), 99);
	assert_int_equal(load(f, 0), 1);
}

static void test_private_file(void **state)
{
	struct fixture *f = *state;

	make_file(f, 8, 10);
	map_file(f, 0, 4, QUIRE_MAP_PRIVATE, 1);
	assert_int_equal(store(f, 2, 200), 0);
	assert_int_equal(load(f, 1), 12);
	assert_int_equal(remap(f, 0, 4, 6, FIXED, 20), AT(20));
	assert_pages(f, 20, 2, 11);
	assert_int_equal(load(f, 22), 200);
	assert_pages(f, 23, 3, 14);
	assert_int_equal(remap(f, 20, 6, 9, FIXED, 40), AT(40));
	assert_int_equal(load(f, 47), SIGBUS);
}

static void test_shared_object_keeps_its_size(void **state)
{
	struct fixture *f = *state;

	map_at(f, 0, 2, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	store_pages(f, 0, 2, 1);
	assert_int_equal(remap(f, 0, 2, 1, 0, 0), AT(0));
	assert_int_equal(load(f, 1), MAPERR);
	assert_int_equal(remap(f, 0, 1, 4, 0, 0), AT(0));
	assert_pages(f, 0, 2, 1);
	assert_int_equal(load(f, 2), SIGBUS);
}

static void test_dontunmap(void **state)
{
	struct fixture *f = *state;
	uint64_t address;
	uint32_t error = 0;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	/* A part, over an existing destination. */
	map_anon(f, 20, 2);
	store_pages(f, 20, 2, 90);
	assert_int_equal(remap(f, 1, 2, 2, DONTUNMAP | FIXED, 20), AT(20));
	assert_pages(f, 20, 2, 2);
	assert_int_equal(load(f, 0), 1);
	assert_all(f, 1, 2, 0);
	assert_int_equal(load(f, 3), 4);
	assert_int_equal(f->mm->total_vm, 6);
	/* All of it, anywhere. */
	address = quire_mremap(f->mm, AT(0), PAGES(4), PAGES(4), DONTUNMAP, 0);
	assert_int_not_equal(address, QUIRE_MAP_FAILED);
	assert_int_equal(test_load(f->mm, address, &error), 1);
	assert_all(f, 0, 4, 0);
	assert_int_equal(f->mm->total_vm, 10);
}

static void test_dontunmap_of_shared_keeps_the_data(void **state)
{
	struct fixture *f = *state;

	map_at(f, 0, 2, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	store_pages(f, 0, 2, 1);
	assert_int_equal(remap(f, 0, 2, 2, DONTUNMAP | FIXED, 10), AT(10));
	assert_pages(f, 0, 2, 1);
	assert_pages(f, 10, 2, 1);
}

static void test_locked(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(4)));
	assert_ok(quire_setlimit(f->mm, QUIRE_LIMIT_MEMLOCK, PAGES(6)));
	assert_error(remap(f, 0, 4, 7, MAYMOVE, 0), EAGAIN);
	assert_int_equal(f->mm->locked_vm, 4);
	assert_int_equal(remap(f, 0, 4, 6, FIXED, 20), AT(20));
	assert_int_equal(f->mm->locked_vm, 6);
	assert_true(vma_lookup(f->mm, AT(20))->vm_flags & VM_LOCKED);
	/* The new part was brought in at once. */
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 6);
	assert_int_equal(remap(f, 20, 6, 6, DONTUNMAP | FIXED, 40), AT(40));
	assert_int_equal(f->mm->locked_vm, 6);
	assert_false(vma_lookup(f->mm, AT(20))->vm_flags & VM_LOCKED);
	assert_true(vma_lookup(f->mm, AT(40))->vm_flags & VM_LOCKED);
	assert_int_equal(remap(f, 40, 6, 2, 0, 0), AT(40));
	assert_int_equal(f->mm->locked_vm, 2);
}

static void test_locked_source_merges_with_destination(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(4), QUIRE_PROT_READ));
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(4)));
	assert_int_equal(remap(f, 2, 2, 2, DONTUNMAP | FIXED, 4), AT(4));
	assert_int_equal(f->mm->map_count, 1);
	assert_false(vma_lookup(f->mm, AT(0))->vm_flags & VM_LOCKED);
	assert_int_equal(f->mm->locked_vm, 0);
}

static void test_limits(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	assert_ok(quire_setlimit(f->mm, QUIRE_LIMIT_AS, PAGES(5)));
	assert_error(remap(f, 0, 4, 6, MAYMOVE, 0), ENOMEM);
	assert_error(remap(f, 0, 4, 4, DONTUNMAP | FIXED, 20), ENOMEM);
	assert_int_equal(remap(f, 0, 4, 5, 0, 0), AT(0));
	assert_int_equal(remap(f, 0, 5, 5, FIXED, 20), AT(20));
	assert_pages(f, 20, 4, 1);
}

static void test_guard_markers_move(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	assert_ok(quire_madvise(f->mm, AT(1), PAGES(1), QUIRE_MADV_GUARD_INSTALL));
	assert_int_equal(remap(f, 0, 4, 6, FIXED, 20), AT(20));
	assert_int_equal(load(f, 20), 1);
	assert_int_equal(load(f, 21), MAPERR);
	assert_int_equal(load(f, 22), 3);
	assert_int_equal(load(f, 25), 0);
	assert_int_equal(remap(f, 20, 6, 2, 0, 0), AT(20));
	assert_int_equal(load(f, 21), MAPERR);
	assert_ok(quire_madvise(f->mm, AT(21), PAGES(1), QUIRE_MADV_GUARD_REMOVE));
	assert_int_equal(load(f, 21), 0);
}

static void test_pieces_merge_again(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 3);
	store_pages(f, 0, 3, 1);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(remap(f, i, 1, 1, FIXED, 20 + 2 * i), AT(20 + 2 * i));
	assert_int_equal(f->mm->map_count, 3);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(remap(f, 20 + 2 * i, 1, 1, FIXED, i), AT(i));
	assert_int_equal(f->mm->map_count, 1);
	assert_pages(f, 0, 3, 1);
}

static void test_unfaulted_moves_next_to_itself(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	assert_int_equal(remap(f, 0, 1, 2, FIXED, 4), AT(4));
	assert_int_equal(f->mm->map_count, 1);
	assert_int_equal(f->mm->total_vm, 5);
	assert_int_equal(load(f, 0), MAPERR);
	assert_all(f, 1, 5, 0);
	assert_int_equal(remap(f, 5, 1, 1, FIXED, 0), AT(0));
	assert_int_equal(f->mm->map_count, 1);
}

static void test_map_count_limit(void **state)
{
	struct fixture *f = *state;

	for (uint64_t i = 0; i < 11; i++)
		map_at(f, 2 * i, 1, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	assert_int_equal(f->mm->map_count, 11);
	assert_error(remap(f, 0, 1, 1, FIXED, 1), ENOMEM);
	assert_ok(quire_munmap(f->mm, AT(20), PAGES(1)));
	assert_int_equal(remap(f, 0, 1, 1, FIXED, 1), AT(1));
}

static int setup_few_maps(void **state)
{
	static struct fixture f;

	fixture_create(&f, (struct quire_params){.max_map_count = 16});
	*state = &f;
	return 0;
}

static void test_commit_is_kept(void **state)
{
	struct fixture *f = *state;
	const int64_t before = atomic_load(&f->quire->committed);

	map_anon(f, 0, 4);
	assert_int_equal(atomic_load(&f->quire->committed) - before, 4);
	assert_int_equal(remap(f, 1, 2, 2, FIXED, 20), AT(20));
	assert_int_equal(atomic_load(&f->quire->committed) - before, 4);
	assert_int_equal(remap(f, 20, 2, 5, FIXED, 40), AT(40));
	assert_int_equal(atomic_load(&f->quire->committed) - before, 7);
	assert_int_equal(remap(f, 40, 5, 5, DONTUNMAP | FIXED, 60), AT(60));
	assert_int_equal(atomic_load(&f->quire->committed) - before, 12);
	assert_int_equal(remap(f, 60, 5, 1, 0, 0), AT(60));
	assert_int_equal(atomic_load(&f->quire->committed) - before, 8);
}

#define rule(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(test_bad_arguments),
		rule(test_same_size_is_nothing),
		rule(test_shrink_across_vmas),
		rule(test_grow_in_place_and_merge),
		rule(test_grow_moves_when_it_may),
		rule(test_fixed_replaces_destination),
		rule(test_fixed_across_tables),
		rule(test_several_vmas_move_together),
		rule(test_old_size_zero),
		rule(test_private_file),
		rule(test_shared_object_keeps_its_size),
		rule(test_dontunmap),
		rule(test_dontunmap_of_shared_keeps_the_data),
		rule(test_locked),
		rule(test_locked_source_merges_with_destination),
		rule(test_limits),
		rule(test_guard_markers_move),
		rule(test_pieces_merge_again),
		rule(test_unfaulted_moves_next_to_itself),
		cmocka_unit_test_setup_teardown(test_map_count_limit, setup_few_maps, teardown),
		rule(test_commit_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
