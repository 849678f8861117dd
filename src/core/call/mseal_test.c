/* SPDX-License-Identifier: MIT */
/*
 * mseal: what it refuses from then on, and that a refused call changes nothing but what Linux 6.18
 * changes.
 */
#include "core/call/view_flags_test.h"

#define PLAIN "rd wr mr mw me ac "
#define SEALED "rd wr mr mw me ac sl "
#define MAYMOVE QUIRE_MREMAP_MAYMOVE
#define FIXED (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED)
#define DONTUNMAP (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP)

static void seal(struct fixture *f, uint64_t page, uint64_t pages)
{
	assert_ok(quire_mseal(f->mm, AT(page), PAGES(pages), 0));
}

static void test_arguments(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 8);
	assert_error(quire_mseal(f->mm, AT(0), PAGE_SIZE, 1), EINVAL);
	assert_error(quire_mseal(f->mm, AT(0) + 1, PAGE_SIZE, 0), EINVAL);
	assert_error(quire_mseal(f->mm, AT(0), UINT64_MAX, 0), EINVAL);
	assert_error(quire_mseal(f->mm, 0 - PAGE_SIZE, PAGES(2), 0), EINVAL);
	assert_error(quire_mseal(f->mm, AT(0), PAGES(9), 0), ENOMEM);
	assert_error(quire_mseal(f->mm, AT(0) - PAGE_SIZE, PAGES(2), 0), ENOMEM);
	assert_ok(quire_mseal(f->mm, AT(20), 0, 0));
	assert_vma(f, 0, 7, PLAIN);
	assert_ok(quire_mseal(f->mm, AT(0), 1, 0));
	assert_ok(quire_mseal(f->mm, AT(0), 1, 0));
	assert_vma(f, 0, 0, SEALED);
	assert_vma(f, 1, 7, PLAIN);
}

static void test_merges(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	seal(f, 0, 2);
	assert_vma(f, 2, 3, PLAIN);
	seal(f, 2, 2);
	assert_vma(f, 0, 3, SEALED);
	map_anon(f, 4, 2);
	assert_vma(f, 0, 3, SEALED);
	map_anon(f, 8, 1);
	map_anon(f, 9, 1);
	assert_ok(quire_mprotect(f->mm, AT(9), PAGE_SIZE, QUIRE_PROT_READ));
	seal(f, 8, 2);
	assert_vma(f, 8, 8, SEALED);
	assert_vma(f, 9, 9, "rd mr mw me sl ");
}

static void test_unmap(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 8);
	seal(f, 2, 1);
	assert_error(quire_munmap(f->mm, AT(2), PAGE_SIZE), EPERM);
	assert_error(quire_munmap(f->mm, AT(0), PAGES(4)), EPERM);
	assert_vma(f, 0, 1, PLAIN);
	assert_ok(quire_munmap(f->mm, AT(1), PAGE_SIZE));
	assert_error(quire_munmap(f->mm, AT(1), PAGES(2)), EPERM);
}

static void test_map_over(void **state)
{
	struct fixture *f = *state;
	const int flags = QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS;

	map_anon(f, 2, 1);
	seal(f, 2, 1);
	assert_error(quire_mmap(f->mm, AT(2), PAGE_SIZE, RW, flags | QUIRE_MAP_FIXED, NULL, 0),
		     EPERM);
	assert_error(quire_mmap(f->mm, AT(0), PAGES(4), RW, flags | QUIRE_MAP_FIXED, NULL, 0),
		     EPERM);
	assert_error(
		quire_mmap(f->mm, AT(2), PAGE_SIZE, RW, flags | QUIRE_MAP_FIXED_NOREPLACE, NULL, 0),
		EEXIST);
	assert_int_equal(f->mm->map_count, 1);
}

/* What lies before the sealed VMA is changed. */
static void test_mprotect(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 3);
	seal(f, 2, 1);
	assert_error(quire_mprotect(f->mm, AT(2), PAGE_SIZE, QUIRE_PROT_READ), EPERM);
	assert_error(quire_mprotect(f->mm, AT(2), PAGE_SIZE, RW), EPERM);
	assert_error(quire_mprotect(f->mm, AT(0), PAGES(3), QUIRE_PROT_READ), EPERM);
	assert_vma(f, 0, 1, "rd mr mw me ");
	assert_vma(f, 2, 2, SEALED);
}

static void test_mremap(void **state)
{
	struct fixture *f = *state;
	quire_mm *mm = f->mm;

	map_anon(f, 0, 1);
	seal(f, 0, 1);
	map_anon(f, 3, 1);
	assert_error(quire_mremap(mm, AT(0), PAGE_SIZE, PAGES(2), 0, 0), EPERM);
	assert_error(quire_mremap(mm, AT(0), PAGE_SIZE, PAGES(2), MAYMOVE, 0), EPERM);
	assert_error(quire_mremap(mm, AT(0), PAGE_SIZE, PAGE_SIZE, 0, 0), EPERM);
	assert_error(quire_mremap(mm, AT(0), PAGE_SIZE, 0, 0, 0), EINVAL);
	assert_error(quire_mremap(mm, AT(0), PAGE_SIZE, PAGE_SIZE, FIXED, AT(64)), EPERM);
	assert_error(quire_mremap(mm, AT(0), PAGE_SIZE, PAGE_SIZE, DONTUNMAP, 0), EPERM);
	assert_error(quire_mremap(mm, AT(0), 0, PAGE_SIZE, MAYMOVE, 0), EPERM);
	/* Over it. */
	assert_error(quire_mremap(mm, AT(3), PAGE_SIZE, PAGE_SIZE, FIXED, AT(0)), EPERM);
	assert_vma(f, 3, 3, PLAIN);
	/* The tail is sealed. */
	map_anon(f, 52, 2);
	seal(f, 53, 1);
	assert_error(quire_mremap(mm, AT(52), PAGES(2), PAGE_SIZE, 0, 0), EPERM);
	assert_vma(f, 52, 52, PLAIN);
	/* Of a move of several VMAs the first is done. */
	assert_error(quire_mremap(mm, AT(52), PAGES(2), PAGES(2), FIXED, AT(60)), EPERM);
	assert_vma(f, 60, 60, PLAIN);
	assert_vma(f, 53, 53, SEALED);
}

static void assert_discards(struct fixture *f, uint64_t page, int error)
{
	static const int discards[] = {
		QUIRE_MADV_DONTNEED, QUIRE_MADV_FREE,       QUIRE_MADV_DONTNEED_LOCKED,
		QUIRE_MADV_DONTFORK, QUIRE_MADV_WIPEONFORK, QUIRE_MADV_GUARD_INSTALL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(discards); i++) {
		errno = 0;
		assert_int_equal(quire_madvise(f->mm, AT(page), PAGE_SIZE, discards[i]),
				 error ? -1 : 0);
		assert_int_equal(errno, error);
	}
}

static void test_discard(void **state)
{
	static const int harmless[] = {
		QUIRE_MADV_GUARD_REMOVE, QUIRE_MADV_COLD,     QUIRE_MADV_PAGEOUT,
		QUIRE_MADV_RANDOM,       QUIRE_MADV_NORMAL,   QUIRE_MADV_DONTDUMP,
		QUIRE_MADV_MERGEABLE,    QUIRE_MADV_HUGEPAGE, QUIRE_MADV_DOFORK,
		QUIRE_MADV_KEEPONFORK,   QUIRE_MADV_WILLNEED, QUIRE_MADV_POPULATE_READ,
	};
	struct fixture *f = *state;

	map_anon(f, 0, 1);
	seal(f, 0, 1);
	assert_discards(f, 0, 0);
	assert_error(quire_madvise(f->mm, AT(0), PAGE_SIZE, QUIRE_MADV_REMOVE), EINVAL);
	assert_ok(quire_madvise(f->mm, AT(0), PAGE_SIZE, QUIRE_MADV_GUARD_REMOVE));
	assert_ok(quire_mlock(f->mm, AT(0), PAGE_SIZE));
	assert_ok(quire_munlock(f->mm, AT(0), PAGE_SIZE));

	map_anon(f, 16, 4);
	store_pages(f, 16, 4, 1);
	assert_ok(quire_mprotect(f->mm, AT(16), PAGES(4), QUIRE_PROT_READ));
	seal(f, 16, 2);
	assert_discards(f, 16, EPERM);
	assert_error(quire_madvise(f->mm, AT(16), PAGE_SIZE, QUIRE_MADV_REMOVE), EPERM);
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		assert_ok(quire_madvise(f->mm, AT(16), PAGE_SIZE, harmless[i]));
	assert_error(quire_madvise(f->mm, AT(15), PAGES(5), QUIRE_MADV_DONTNEED), EPERM);
	assert_pages(f, 16, 4, 1);
	assert_ok(quire_madvise(f->mm, AT(18), PAGES(2), QUIRE_MADV_DONTNEED));
	assert_all(f, 18, 2, 0);
}

static void test_discard_of_files(void **state)
{
	struct fixture *f = *state;

	make_file(f, 2, 1);
	map_file(f, 0, 2, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(store(f, 0, 9), 0);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(2), QUIRE_PROT_READ));
	seal(f, 0, 2);
	assert_ok(quire_madvise(f->mm, AT(0), PAGE_SIZE, QUIRE_MADV_DONTNEED));
	assert_int_equal(load(f, 0), 1);
	assert_ok(quire_madvise(f->mm, AT(1), PAGE_SIZE, QUIRE_MADV_GUARD_INSTALL));
	assert_error(quire_madvise(f->mm, AT(0), PAGE_SIZE, QUIRE_MADV_FREE), EINVAL);
}

static void test_fork_and_exit(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 2);
	seal(f, 0, 2);
	assert_ok(quire_fork(f->mm, "child", &child));
	assert_error(quire_munmap(child, AT(0), PAGE_SIZE), EPERM);
	quire_mm_exit(child);
}

static void test_heap(void **state)
{
	struct fixture *f = *state;
	const uint64_t start = quire_brk(f->mm, 0);
	const uint64_t brk = start + PAGES(4);

	assert_int_equal(quire_brk(f->mm, brk), brk);
	assert_ok(quire_mseal(f->mm, start + PAGES(1), PAGE_SIZE, 0));
	assert_int_equal(quire_brk(f->mm, start), brk);
	assert_int_equal(quire_brk(f->mm, start + PAGES(2)), start + PAGES(2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mprotect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mremap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discard_of_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork_and_exit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_heap, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
