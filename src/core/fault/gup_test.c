/* SPDX-License-Identifier: MIT */
/*
 * Access on behalf of calls: pins and what they outlive, populating, copying across holes.
 */
#include "core/fault/fault_fixture_test.h"

static uint8_t *pinned_bytes(struct fixture *f, struct page *page)
{
	return page_address(&f->quire->zone, page);
}

static struct page *pin_one(struct fixture *f, uint64_t page, bool write)
{
	struct page *pinned;

	assert_int_equal(pin_user_pages(f->mm, AT(page), 1, write, &pinned), 1);
	return pinned;
}

static void test_pin_counts(void **state)
{
	struct fixture *f = *state;
	struct page *pages[4];

	map_anon(f, 0, 3);
	assert_int_equal(pin_user_pages(f->mm, AT(0), 4, true, pages), 3);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(pages[i], page_of(f->mm, (uint64_t)i));
		assert_true(page_maybe_pinned(pages[i]));
	}
	unpin_user_pages(f->quire, pages, 3, false);
	assert_false(page_maybe_pinned(page_of(f->mm, 0)));
	assert_int_equal(pin_user_pages(f->mm, AT(3), 1, false, pages), -EFAULT);
	make_read_only(f, 0, 1);
	assert_int_equal(pin_user_pages(f->mm, AT(0), 1, true, pages), -EFAULT);
	/* Reading what was never touched pins the zero page. */
	map_anon(f, 8, 1);
	pages[0] = pin_one(f, 8, false);
	assert_ptr_equal(pages[0], f->quire->zero_page);
	unpin_user_pages(f->quire, pages, 1, false);
}

/* A call copies into a page while the process forks and both write: the data belongs to the one
 * who made the call. */
static void test_pin_survives_fork(void **state)
{
	struct fixture *f = *state;
	struct page *pinned;
	quire_mm *child;

	map_anon(f, 0, 1);
	assert_int_equal(store(f, 0, 1), 0);
	pinned = pin_one(f, 0, true);
	assert_ok(quire_fork(f->mm, "child", &child));
	assert_ptr_not_equal(page_of(child, 0), pinned);
	assert_int_equal(load_in(child, 0), 1);
	/* Neither side's write moves the parent to another page. */
	assert_int_equal(store_in(child, 0, 2), 0);
	write_byte(f->mm, 0, 3);
	pinned_bytes(f, pinned)[1] = 77;
	unpin_user_pages(f->quire, &pinned, 1, true);
	assert_ptr_equal(page_of(f->mm, 0), pinned);
	assert_int_equal(load(f, 0), 3);
	assert_int_equal(test_load(f->mm, AT(0) + 1, NULL), 77);
	assert_int_equal(test_load(child, AT(0) + 1, NULL), 0);
	quire_mm_exit(child);
}

static void test_pin_survives_reclaim(void **state)
{
	struct fixture *f = *state;
	struct page *pinned;

	map_anon(f, 0, 2);
	store_pages(f, 0, 2, 1);
	pinned = pin_one(f, 0, true);
	evict_all(f);
	assert_ptr_equal(page_of(f->mm, 0), pinned);
	assert_true(pte_swap(pte_at(f->mm, 1)));
	pinned_bytes(f, pinned)[0] = 9;
	unpin_user_pages(f->quire, &pinned, 1, true);
	evict_all(f);
	assert_true(pte_swap(pte_at(f->mm, 0)));
	assert_int_equal(load(f, 0), 9);
}

/* The page was written back after it was pinned: what is copied later must be written too. */
static void test_unpin_marks_dirty(void **state)
{
	struct fixture *f = *state;
	struct page *pinned;

	make_stored_file(f, 1, 1);
	map_file(f, 0, 1, SHARED, 0);
	pinned = pin_one(f, 0, true);
	assert_ok(quire_fsync(f->file));
	assert_false(page_test(pinned, PG_dirty));
	pinned_bytes(f, pinned)[0] = 50;
	unpin_user_pages(f->quire, &pinned, 1, true);
	assert_true(page_test(pinned, PG_dirty));
	assert_ok(quire_fsync(f->file));
	assert_int_equal(stored_byte(0), 50);
	/* A pin for reading leaves it clean. */
	pinned = pin_one(f, 0, false);
	unpin_user_pages(f->quire, &pinned, 1, false);
	assert_false(page_test(pinned, PG_dirty));
}

static int populate(struct fixture *f, uint64_t page, uint64_t pages, bool write)
{
	int error;

	mmap_read_lock(f->mm);
	error = populate_vma_range(vma_lookup(f->mm, AT(page)), AT(page), AT(page + pages), write);
	mmap_read_unlock(f->mm);
	return error;
}

static void test_populate(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 8);
	assert_ok(populate(f, 0, 4, true));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 4);
	assert_ok(populate(f, 0, 8, false));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 4);
	assert_int_equal(mapped_pages(f->mm, 0, 8), 8);
	assert_ok(populate(f, 4, 4, true));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 8);
}

static void test_populate_errors(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	make_read_only(f, 0, 4);
	assert_int_equal(populate(f, 0, 4, true), -EFAULT);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(4), QUIRE_PROT_NONE));
	assert_int_equal(populate(f, 0, 4, false), -EFAULT);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(4), RW));
	assert_ok(quire_madvise(f->mm, AT(2), PAGE_SIZE, QUIRE_MADV_GUARD_INSTALL));
	assert_int_equal(populate(f, 0, 4, true), -EFAULT);
	assert_int_equal(mapped_pages(f->mm, 0, 4), 2);
	make_stored_file(f, 1, 1);
	map_file(f, 10, 2, SHARED, 0);
	assert_int_equal(populate(f, 10, 2, false), -EFAULT);
	assert_int_equal(mapped_pages(f->mm, 10, 2), 1);
	map_anon(f, 20, 4);
	assert_int_equal(store(f, 20, 1), 0);
	quire_fail_arm(FAIL_FRAME, 2, false);
	assert_int_equal(populate(f, 20, 4, true), -ENOMEM);
	assert_true(quire_fail_disarm());
	assert_int_equal(mapped_pages(f->mm, 20, 4), 2);
}

static void test_access_across_holes(void **state)
{
	struct fixture *f = *state;
	static uint8_t buffer[40 * PAGE_SIZE];

	map_anon(f, 0, 24);
	map_anon(f, 25, 4);
	memset(buffer, 5, sizeof(buffer));
	/* Up to the hole. */
	assert_int_equal(quire_write_memory(f->mm, AT(1) + 100, buffer, PAGES(30)),
			 PAGES(23) - 100);
	assert_int_equal(test_load(f->mm, AT(1) + 99, NULL), 0);
	assert_int_equal(test_load(f->mm, AT(1) + 100, NULL), 5);
	assert_int_equal(test_load(f->mm, AT(24) - 1, NULL), 5);
	assert_int_equal(load(f, 25), 0);
	memset(buffer, 0, sizeof(buffer));
	assert_int_equal(quire_read_memory(f->mm, AT(1), buffer, PAGES(40)), PAGES(23));
	assert_int_equal(buffer[99], 0);
	assert_int_equal(buffer[100], 5);
	assert_int_equal(buffer[PAGES(23) - 1], 5);
	assert_error(quire_read_memory(f->mm, AT(24), buffer, 1), EFAULT);
	assert_int_equal(quire_read_memory(f->mm, AT(24), buffer, 0), 0);
	/* Across areas with different rights. */
	map_anon(f, 24, 1);
	make_read_only(f, 24, 1);
	assert_int_equal(quire_read_memory(f->mm, AT(0), buffer, PAGES(29)), PAGES(29));
	assert_int_equal(quire_write_memory(f->mm, AT(0), buffer, PAGES(29)), PAGES(24));
}

static void test_access_private_file(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 2, 1);
	map_file(f, 0, 2, PRIVATE, 0);
	map_file(f, 4, 2, SHARED, 0);
	write_byte(f->mm, 0, 60);
	write_byte(f->mm, 5, 61);
	assert_int_equal(load(f, 0), 60);
	assert_int_equal(load(f, 4), 1);
	assert_int_equal(load(f, 1), 61);
	assert_ok(quire_fsync(f->file));
	assert_int_equal(stored_byte(0), 1);
	assert_int_equal(stored_byte(1), 61);
}

static int64_t force_write(struct fixture *f, uint64_t page, uint8_t byte)
{
	return force_access_process_vm(f->mm, AT(page), &byte, 1, true);
}

/* Forced, and what the program and others see then. */
static void check_forced_write(struct fixture *f, uint64_t page, uint8_t byte)
{
	assert_int_equal(force_write(f, page, byte), 1);
	assert_int_equal(load(f, page), byte);
	/* The entry does not allow what the VMA forbids. */
	assert_int_equal(pte_at(f->mm, page) & PTE_WRITE, 0);
	assert_int_equal(quire_write_memory(f->mm, AT(page), &byte, 1), -1);
}

static void test_forced_write_copies(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 3);
	assert_int_equal(store(f, 1, 1), 0);
	make_read_only(f, 0, 3);
	assert_int_equal(load(f, 2), 0);
	for (uint64_t page = 0; page < 3; page++)
		check_forced_write(f, page, 7);
	/* It comes back from swap as it was written, and is written there again. */
	evict_all(f);
	assert_true(pte_swap(pte_at(f->mm, 0)));
	assert_int_equal(load(f, 0), 7);
	evict_all(f);
	check_forced_write(f, 0, 8);
	evict_all(f);
	assert_int_equal(load(f, 0), 8);
	test_instance_check(&f->instance);
	/* After mprotect() it is like any other page. */
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(3), RW));
	assert_int_equal(store(f, 0, 9), 0);
	assert_int_equal(load(f, 0), 9);
}

static void test_forced_write_to_files(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 2, 1);
	map_file(f, 0, 2, PRIVATE, 0);
	make_read_only(f, 0, 2);
	map_file(f, 4, 2, SHARED, 0);
	assert_int_equal(load(f, 0), 1);
	check_forced_write(f, 0, 50);
	check_forced_write(f, 1, 51);
	assert_int_equal(load(f, 4), 1);
	make_read_only(f, 4, 2);
	assert_int_equal(force_write(f, 4, 52), -EFAULT);
	assert_int_equal(load(f, 5), 2);
	assert_int_equal(force_write(f, 2, 53), -EFAULT);
}

/* The page that a child has, too, is copied; the child's stays. */
static void test_forced_write_after_fork(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 1);
	assert_int_equal(store(f, 0, 1), 0);
	make_read_only(f, 0, 1);
	assert_ok(quire_fork(f->mm, "child", &child));
	check_forced_write(f, 0, 2);
	assert_int_equal(load_in(child, 0), 1);
	quire_mm_exit(child);
	check_forced_write(f, 0, 3);
}

static void test_forced_read(void **state)
{
	struct fixture *f = *state;
	uint8_t byte = 1;

	map_anon(f, 0, 2);
	assert_int_equal(store(f, 0, 9), 0);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(2), QUIRE_PROT_NONE));
	assert_int_equal(access_process_vm(f->mm, AT(0), &byte, 1, false), -EFAULT);
	assert_int_equal(force_access_process_vm(f->mm, AT(0), &byte, 1, false), 1);
	assert_int_equal(byte, 9);
	assert_int_equal(force_access_process_vm(f->mm, AT(1), &byte, 1, false), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(force_write(f, 1, 4), 1);
	assert_int_equal(pte_at(f->mm, 1) & (PTE_USER | PTE_WRITE), 0);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(2), QUIRE_PROT_READ));
	assert_int_equal(load(f, 1), 4);
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(2), RW));
	assert_ok(quire_madvise(f->mm, AT(0), PAGE_SIZE, QUIRE_MADV_GUARD_INSTALL));
	assert_int_equal(force_write(f, 0, 5), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pin_counts, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin_survives_fork, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin_survives_reclaim, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_unpin_marks_dirty, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_populate, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_populate_errors, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_access_across_holes, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_access_private_file, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_forced_write_copies, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_forced_write_to_files, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_forced_write_after_fork, fault_setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_forced_read, fault_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
