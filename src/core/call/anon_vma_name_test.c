/* SPDX-License-Identifier: MIT */
/*
 * Names of anonymous memory: which are taken, and how they part and join VMAs.
 */
#include "core/call/fixture_test.h"
#include "core/call/proc_view.h"

static int name(struct fixture *f, uint64_t page, uint64_t pages, const char *text)
{
	return quire_set_anon_name(f->mm, AT(page), PAGES(pages), text);
}

/* The VMA from the first page to the last one shows so. */
static void assert_name(quire_mm *mm, uint64_t first, uint64_t last, const char *text)
{
	struct vma_view view;

	assert_true(mm_view_next(mm, AT(first), &view, NULL));
	assert_int_equal(view.start, AT(first));
	assert_int_equal(view.end, AT(last + 1));
	assert_string_equal(view.name, text);
}

static void test_arguments(void **state)
{
	struct fixture *f = *state;
	char text[81];

	map_anon(f, 0, 4);
	memset(text, 'a', sizeof(text));
	text[80] = '\0';
	assert_error(name(f, 0, 1, text), EINVAL);
	text[79] = '\0';
	assert_ok(name(f, 0, 4, text));
	for (const char *bad = "\\`$[]\t\x7f"; *bad; bad++) {
		char one[2] = {*bad, '\0'};

		assert_error(name(f, 0, 1, one), EINVAL);
	}
	assert_error(quire_set_anon_name(f->mm, AT(0) + 1, PAGE_SIZE, "a"), EINVAL);
	assert_error(quire_set_anon_name(f->mm, AT(0), UINT64_MAX, "a"), EINVAL);
	assert_ok(name(f, 100, 0, "a"));
	assert_ok(name(f, 0, 4, "malloc arena 1"));
	assert_name(f->mm, 0, 3, "[anon:malloc arena 1]");
	assert_ok(name(f, 0, 4, ""));
	assert_name(f->mm, 0, 3, "[anon:]");
	assert_ok(name(f, 0, 4, NULL));
	assert_name(f->mm, 0, 3, "");
}

static void test_holes_and_files(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 1);
	map_anon(f, 2, 1);
	assert_error(name(f, 0, 3, "a"), ENOMEM);
	assert_name(f->mm, 0, 0, "[anon:a]");
	assert_name(f->mm, 2, 2, "[anon:a]");
	make_file(f, 1, 1);
	map_file(f, 8, 1, QUIRE_MAP_PRIVATE, 0);
	assert_error(name(f, 8, 1, "a"), EBADF);
	map_at(f, 10, 1, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	assert_error(name(f, 10, 1, "a"), EBADF);
}

static void test_splits_and_merges(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 8);
	assert_ok(name(f, 2, 2, "a"));
	assert_name(f->mm, 0, 1, "");
	assert_name(f->mm, 2, 3, "[anon:a]");
	assert_name(f->mm, 4, 7, "");
	assert_ok(name(f, 4, 1, "a"));
	assert_name(f->mm, 2, 4, "[anon:a]");
	assert_ok(name(f, 0, 8, "a"));
	assert_name(f->mm, 0, 7, "[anon:a]");
	/* What is mapped anew has no name. */
	map_anon(f, 8, 1);
	assert_name(f->mm, 8, 8, "");
	assert_ok(quire_munmap(f->mm, AT(4), PAGE_SIZE));
	assert_name(f->mm, 5, 7, "[anon:a]");
	map_anon(f, 4, 1);
	assert_int_equal(f->mm->map_count, 4);
	assert_ok(name(f, 4, 1, "a"));
	assert_name(f->mm, 0, 7, "[anon:a]");
}

static void test_move_grow_fork(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 2);
	assert_int_equal(store(f, 0, 7), 0);
	assert_ok(name(f, 0, 2, "a"));
	assert_int_equal(quire_mremap(f->mm, AT(0), PAGES(2), PAGES(4), 0, 0), AT(0));
	assert_name(f->mm, 0, 3, "[anon:a]");
	assert_int_equal(quire_mremap(f->mm, AT(0), PAGES(4), PAGES(4),
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AT(16)),
			 AT(16));
	assert_name(f->mm, 16, 19, "[anon:a]");
	assert_ok(quire_fork(f->mm, "child", &child));
	assert_ok(name(f, 16, 4, "b"));
	assert_name(child, 16, 19, "[anon:a]");
	assert_int_equal(load_in(child, 16), 7);
	quire_mm_exit(child);
}

static void test_no_memory(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	for (uint64_t nth = 1; nth <= 3; nth++) {
		errno = 0;
		quire_fail_arm(FAIL_ALLOC, nth, false);
		assert_int_equal(name(f, 1, 1, "a"), -1);
		assert_true(quire_fail_disarm());
		assert_int_equal(errno, nth == 1 ? ENOMEM : EAGAIN);
		assert_name(f->mm, 0, 3, "");
	}
	assert_ok(name(f, 1, 1, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holes_and_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_splits_and_merges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move_grow_fork, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
