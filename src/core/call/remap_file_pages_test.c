/* SPDX-License-Identifier: MIT */
/*
 * remap_file_pages, with the results of Linux 6.18.
 */
#include "core/call/view_flags_test.h"

static int remap(struct fixture *f, uint64_t page, uint64_t pages, uint64_t pgoff)
{
	return quire_remap_file_pages(f->mm, AT(page), PAGES(pages), 0, pgoff, 0);
}

/* Pages 0 to 7 of a file full of 1 to 8. */
static void map_eight(struct fixture *f, int flags)
{
	make_file(f, 8, 1);
	map_file(f, 0, 8, flags, 0);
}

static void test_reorders(void **state)
{
	struct fixture *f = *state;

	map_eight(f, QUIRE_MAP_SHARED);
	assert_ok(remap(f, 0, 1, 3));
	assert_int_equal(load(f, 0), 4);
	assert_vma(f, 0, 0, "rd wr sh mr mw me ms ");
	assert_vma(f, 1, 7, "rd wr sh mr mw me ms ");
	assert_ok(remap(f, 1, 2, 0));
	assert_pages(f, 1, 2, 1);
	assert_int_equal(load(f, 3), 4);
	/* Both pages are the same one. */
	assert_int_equal(store(f, 0, 99), 0);
	assert_int_equal(load(f, 3), 99);
	/* Rounded down on both sides. */
	assert_ok(quire_remap_file_pages(f->mm, AT(2) + 5, PAGE_SIZE + 7, 0, 6, 0));
	assert_int_equal(load(f, 2), 7);
	assert_int_equal(load(f, 3), 99);
	/* Over VMAs of one file, in any order. */
	assert_ok(remap(f, 0, 8, 0));
	assert_vma(f, 0, 7, "rd wr sh mr mw me ms ");
	assert_int_equal(load(f, 2), 3);
}

static void test_arguments(void **state)
{
	struct fixture *f = *state;
	quire_mm *mm = f->mm;

	map_eight(f, QUIRE_MAP_SHARED);
	assert_error(quire_remap_file_pages(mm, AT(0), PAGE_SIZE, QUIRE_PROT_READ, 3, 0), EINVAL);
	assert_error(quire_remap_file_pages(mm, AT(0), 0, 0, 3, 0), EINVAL);
	assert_error(quire_remap_file_pages(mm, AT(0), 1, 0, 3, 0), EINVAL);
	assert_error(remap(f, 0, 9, 0), EINVAL);
	assert_error(quire_remap_file_pages(mm, AT(0) - PAGE_SIZE, PAGES(2), 0, 0, 0), EINVAL);
	assert_error(quire_remap_file_pages(mm, AT(20), PAGE_SIZE, 0, 0, 0), EINVAL);
	assert_error(quire_remap_file_pages(mm, AT(0), UINT64_MAX, 0, 0, 0), EINVAL);
	assert_error(remap(f, 0, 1, UINT64_MAX), EINVAL);
	assert_error(remap(f, 0, 1, ((uint64_t)1 << 52) - 1), EOVERFLOW);
	assert_error(remap(f, 0, 1, (uint64_t)1 << 52), EOVERFLOW);
	assert_ok(quire_remap_file_pages(mm, AT(0), PAGE_SIZE, 0, 0, QUIRE_MAP_NONBLOCK));
	assert_ok(quire_remap_file_pages(mm, AT(0), PAGE_SIZE, 0, 0, 0x7fffffff));
	assert_vma(f, 0, 7, "rd wr sh mr mw me ms ");
	/* Beyond the end of the file. */
	assert_ok(remap(f, 0, 1, 100));
	assert_int_equal(load(f, 0), SIGBUS);
}

static void test_kinds(void **state)
{
	struct fixture *f = *state;

	map_eight(f, QUIRE_MAP_PRIVATE);
	assert_error(remap(f, 0, 1, 1), EINVAL);
	map_anon(f, 0, 4);
	assert_error(remap(f, 0, 1, 1), EINVAL);
	map_at(f, 0, 4, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	store_pages(f, 0, 4, 1);
	assert_ok(remap(f, 0, 1, 1));
	assert_int_equal(load(f, 0), 2);
	/* Permissions stay, and must be the same all over. */
	map_file(f, 0, 4, QUIRE_MAP_SHARED, 0);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(4), QUIRE_PROT_READ));
	assert_ok(remap(f, 0, 1, 2));
	assert_vma(f, 0, 0, "rd sh mr mw me ms ");
	assert_ok(quire_mprotect(f->mm, AT(2), PAGE_SIZE, RW));
	assert_error(remap(f, 0, 4, 0), EINVAL);
	assert_int_equal(load(f, 0), 3);
}

static void test_read_only_descriptor(void **state)
{
	struct fixture *f = *state;
	struct quire_store *store;

	assert_ok(quire_memory_store_create(PAGES(4), &store));
	assert_ok(quire_open(f->quire, "f", 5, 5, store, QUIRE_O_READ, &f->file));
	assert_int_equal(quire_mmap(f->mm, AT(0), PAGES(4), QUIRE_PROT_READ,
				    QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, f->file, 0),
			 AT(0));
	assert_error(remap(f, 0, 1, 2), EINVAL);
}

static void test_locked_and_sealed(void **state)
{
	struct fixture *f = *state;

	map_eight(f, QUIRE_MAP_SHARED);
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(8)));
	assert_ok(remap(f, 0, 1, 2));
	assert_vma(f, 0, 0, "rd wr sh mr mw me ms lo ");
	assert_int_equal(f->mm->locked_vm, 8);
	assert_true(pte_present(pte_at(f->mm, 0)));
	assert_ok(quire_munlock(f->mm, AT(0), PAGES(8)));
	assert_ok(quire_mseal(f->mm, AT(0), PAGE_SIZE, 0));
	assert_error(remap(f, 0, 1, 0), EPERM);
	assert_int_equal(load(f, 0), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reorders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked_and_sealed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
