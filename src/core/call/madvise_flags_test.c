/* SPDX-License-Identifier: MIT */
/*
 * Advice that only leaves a flag, DONTNEED_LOCKED, COLLAPSE, and process_madvise, with the results
 * of Linux 6.18.
 */
#include "core/call/view_flags_test.h"

static void test_flags(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	assert_ok(advise(f, 0, 1, QUIRE_MADV_DONTDUMP));
	assert_ok(advise(f, 0, 1, QUIRE_MADV_HUGEPAGE));
	assert_ok(advise(f, 1, 1, QUIRE_MADV_NOHUGEPAGE));
	assert_ok(advise(f, 2, 1, QUIRE_MADV_MERGEABLE));
	assert_vma(f, 0, 0, "rd wr mr mw me ac dd hg ");
	assert_vma(f, 1, 1, "rd wr mr mw me ac nh ");
	assert_vma(f, 2, 2, "rd wr mr mw me ac mg ");
	assert_vma(f, 3, 3, "rd wr mr mw me ac ");
	assert_ok(advise(f, 2, 1, QUIRE_MADV_UNMERGEABLE));
	assert_ok(advise(f, 0, 1, QUIRE_MADV_DODUMP));
	assert_ok(advise(f, 0, 1, QUIRE_MADV_NOHUGEPAGE));
	assert_vma(f, 0, 1, "rd wr mr mw me ac nh ");
	assert_vma(f, 2, 3, "rd wr mr mw me ac ");
}

static void test_shared_file(void **state)
{
	struct fixture *f = *state;

	make_file(f, 2, 1);
	map_file(f, 0, 2, QUIRE_MAP_SHARED, 0);
	assert_ok(advise(f, 0, 1, QUIRE_MADV_MERGEABLE));
	assert_vma(f, 0, 1, "rd wr sh mr mw me ms ");
	assert_ok(advise(f, 0, 1, QUIRE_MADV_HUGEPAGE));
	assert_vma(f, 0, 0, "rd wr sh mr mw me ms hg ");
}

static void test_unknown(void **state)
{
	static const int unknown[] = {5, 6, 7, 26, 99, 100, 101, 104, -1};
	struct fixture *f = *state;

	map_anon(f, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_error(advise(f, 0, 1, unknown[i]), EINVAL);
	assert_error(advise(f, 0, 1, QUIRE_MADV_COLLAPSE), EINVAL);
	assert_error(advise(f, 10, 1, QUIRE_MADV_COLLAPSE), ENOMEM);
}

static void test_dontneed_locked(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	store_pages(f, 0, 2, 1);
	assert_ok(quire_mlock(f->mm, AT(0), PAGE_SIZE));
	assert_error(advise(f, 0, 1, QUIRE_MADV_DONTNEED), EINVAL);
	assert_int_equal(load(f, 0), 1);
	assert_ok(advise(f, 0, 2, QUIRE_MADV_DONTNEED_LOCKED));
	assert_all(f, 0, 2, 0);
	assert_vma(f, 0, 0, "rd wr mr mw me lo ac ");
}

static void test_process_madvise(void **state)
{
	struct fixture *f = *state;
	const struct quire_range ranges[] = {
		{AT(0), PAGE_SIZE}, {AT(1), 100}, {AT(2), PAGES(2)}, {AT(5), PAGE_SIZE}};
	const struct quire_range empty_first[] = {{AT(0), 0}, {AT(1), PAGE_SIZE}};
	const struct quire_range unaligned[] = {{AT(0) + 1, PAGE_SIZE}, {AT(1), PAGE_SIZE}};

	map_anon(f, 0, 8);
	store_pages(f, 0, 8, 1);
	assert_ok(quire_munmap(f->mm, AT(3), PAGE_SIZE));
	assert_int_equal(quire_process_madvise(f->mm, ranges, 2, QUIRE_MADV_DONTNEED),
			 PAGE_SIZE + 100);
	assert_all(f, 0, 2, 0);
	/* It ends at the first error, though what is mapped around a hole is advised. */
	assert_int_equal(quire_process_madvise(f->mm, ranges, 4, QUIRE_MADV_DONTNEED),
			 PAGE_SIZE + 100);
	assert_int_equal(load(f, 2), 0);
	assert_int_equal(load(f, 5), 6);
	assert_error(quire_process_madvise(f->mm, &ranges[2], 2, QUIRE_MADV_COLD), ENOMEM);
	assert_error(quire_process_madvise(f->mm, unaligned, 2, QUIRE_MADV_COLD), EINVAL);
	assert_error(quire_process_madvise(f->mm, ranges, 1, 99), EINVAL);
	assert_int_equal(quire_process_madvise(f->mm, ranges, 0, QUIRE_MADV_COLD), 0);
	assert_int_equal(quire_process_madvise(f->mm, ranges, 0, 99), 0);
	assert_int_equal(quire_process_madvise(f->mm, empty_first, 2, QUIRE_MADV_COLD), PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dontneed_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_process_madvise, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
