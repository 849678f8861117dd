/* SPDX-License-Identifier: MIT */
/*
 * MAP_DROPPABLE, with the results of Linux 6.18: what it excludes, and that its contents go instead
 * of being swapped.
 */
#include "core/call/view_flags_test.h"

#define DROPPABLE (QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS)
#define FLAGS "rd wr mr mw me nr wf dd dp "

static uint64_t try_map(struct fixture *f, uint64_t page, int flags, quire_file *file)
{
	return quire_mmap(f->mm, AT(page), PAGE_SIZE, RW, flags | QUIRE_MAP_FIXED, file, 0);
}

static void test_arguments(void **state)
{
	struct fixture *f = *state;

	map_at(f, 0, 4, DROPPABLE);
	assert_vma(f, 0, 3, FLAGS);
	make_file(f, 1, 1);
	assert_error(try_map(f, 8, QUIRE_MAP_DROPPABLE, f->file), EINVAL);
	assert_error(try_map(f, 8, DROPPABLE | QUIRE_MAP_LOCKED, NULL), EINVAL);
	assert_error(try_map(f, 8, DROPPABLE | QUIRE_MAP_GROWSDOWN, NULL), EINVAL);
	assert_error(try_map(f, 8, DROPPABLE | QUIRE_MAP_HUGETLB, NULL), EINVAL);
	assert_ok(quire_mlockall(f->mm, QUIRE_MCL_FUTURE));
	assert_int_equal(try_map(f, 8, DROPPABLE, NULL), AT(8));
	assert_vma(f, 8, 8, FLAGS);
	assert_int_equal(f->mm->locked_vm, 0);
	assert_ok(quire_munlockall(f->mm));
}

static void test_advice(void **state)
{
	struct fixture *f = *state;
	quire_mm *mm = f->mm;

	map_at(f, 0, 4, DROPPABLE);
	assert_ok(quire_mlock(mm, AT(0), PAGE_SIZE));
	assert_error(quire_madvise(mm, AT(0), PAGE_SIZE, QUIRE_MADV_KEEPONFORK), EINVAL);
	assert_error(quire_madvise(mm, AT(0), PAGE_SIZE, QUIRE_MADV_DODUMP), EINVAL);
	assert_ok(quire_madvise(mm, AT(0), PAGE_SIZE, QUIRE_MADV_DOFORK));
	assert_ok(quire_madvise(mm, AT(0), PAGE_SIZE, QUIRE_MADV_WIPEONFORK));
	assert_ok(quire_madvise(mm, AT(0), PAGE_SIZE, QUIRE_MADV_MERGEABLE));
	assert_vma(f, 0, 3, FLAGS);
	assert_ok(quire_madvise(mm, AT(0), PAGE_SIZE, QUIRE_MADV_FREE));
	assert_ok(quire_madvise(mm, AT(0), PAGE_SIZE, QUIRE_MADV_POPULATE_WRITE));
	assert_true(pte_present(pte_at(mm, 0)));
	assert_int_equal(quire_mremap(mm, AT(0), PAGE_SIZE, PAGE_SIZE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AT(20)),
			 AT(20));
	assert_vma(f, 20, 20, FLAGS);
}

static void test_is_dropped(void **state)
{
	struct fixture *f = *state;

	map_at(f, 0, 4, DROPPABLE);
	store_pages(f, 0, 4, 1);
	assert_pages(f, 0, 4, 1);
	evict_all(f);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 0);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 0);
	assert_all(f, 0, 4, 0);
	store_pages(f, 0, 4, 5);
	assert_pages(f, 0, 4, 5);
	assert_int_equal(quire_madvise(f->mm, AT(1), PAGE_SIZE, QUIRE_MADV_PAGEOUT), 0);
	assert_int_equal(load(f, 1), 0);
	assert_int_equal(load(f, 2), 7);
}

/* What a call has copied in goes too, but not while the call is under way. */
static void test_pinned(void **state)
{
	struct fixture *f = *state;
	struct page *pages[1];

	map_at(f, 0, 1, DROPPABLE);
	assert_int_equal(store(f, 0, 1), 0);
	assert_int_equal(pin_user_pages(f->mm, AT(0), 1, true, pages), 1);
	evict_all(f);
	assert_true(pte_present(pte_at(f->mm, 0)));
	unpin_user_pages(f->quire, pages, 1, true);
	evict_all(f);
	assert_int_equal(load(f, 0), 0);
}

static void test_fork_wipes(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_at(f, 0, 1, DROPPABLE);
	assert_int_equal(store(f, 0, 5), 0);
	assert_ok(quire_fork(f->mm, "child", &child));
	assert_int_equal(load_in(child, 0), 0);
	assert_int_equal(load(f, 0), 5);
	quire_mm_exit(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_advice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pinned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork_wipes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
