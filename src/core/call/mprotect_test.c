/* SPDX-License-Identifier: MIT */
/*
 * munmap and mprotect: arguments and errors, holes, what becomes of contents, entries and page
 * tables, and failed allocations.
 */
#include "core/fault/fault.h"
#include "core/vma/vma_fixture_test.h"

static void store(struct mm_struct *mm, uint64_t page, uint8_t value)
{
	uint32_t error = 0;

	test_store(mm, at(page), value, &error);
	assert_int_equal(error, 0);
}

static void expect_byte(struct mm_struct *mm, uint64_t page, uint8_t value)
{
	uint32_t error = 0;

	assert_int_equal(test_load(mm, at(page), &error), value);
	assert_int_equal(error, 0);
}

static uint32_t load_error(struct mm_struct *mm, uint64_t page)
{
	uint32_t error = 0;

	test_load(mm, at(page), &error);
	return error;
}

static uint32_t store_error(struct mm_struct *mm, uint64_t page)
{
	uint32_t error = 0;

	test_store(mm, at(page), 1, &error);
	return error;
}

static pteval_t entry_of(struct mm_struct *mm, uint64_t page)
{
	pte_t *entry = pte_find(mm, at(page));

	return entry ? pte_load(entry) : 0;
}

static void test_munmap_arguments(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	assert_int_equal(do_munmap(mm, at(1), 0), -EINVAL);
	assert_int_equal(do_munmap(mm, at(1) + 1, PAGE_SIZE), -EINVAL);
	assert_int_equal(do_munmap(mm, at(1), UINT64_MAX), -EINVAL);
	assert_int_equal(do_munmap(mm, mm->task_size, PAGE_SIZE), -EINVAL);
	assert_int_equal(do_munmap(mm, mm->task_size - PAGE_SIZE, 2 * PAGE_SIZE), -EINVAL);
	assert_int_equal(do_munmap(mm, mm->task_size - PAGE_SIZE, PAGE_SIZE), 0);
	assert_int_equal(do_munmap(mm, at(1), 1), 0);
	assert_int_equal(do_munmap(mm, 0, mm->task_size), 0);
}

static void test_munmap_parts(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);

	map_file(mm, 10, 8, file, 0);
	protect(mm, 10, 8, RW);
	for (uint64_t page = 10; page < 18; page++)
		store(mm, page, (uint8_t)page);
	unmap(mm, 10, 1);
	unmap(mm, 17, 1);
	unmap(mm, 13, 2);
	expect_layout(mm, "11-13 rw-+1, 15-17 rw-+5");
	expect_byte(mm, 11, 11);
	expect_byte(mm, 12, 12);
	expect_byte(mm, 15, 15);
	expect_byte(mm, 16, 16);
	assert_int_equal(load_error(mm, 10), VM_FAULT_MAPERR);
	assert_int_equal(load_error(mm, 13), VM_FAULT_MAPERR);
	assert_int_equal(load_error(mm, 14), VM_FAULT_MAPERR);
	assert_int_equal(load_error(mm, 17), VM_FAULT_MAPERR);
	/* Over several areas and gaps, cutting the first and the last one. */
	map(mm, 20, 4, R);
	unmap(mm, 12, 9);
	expect_layout(mm, "11-12 rw-+1, 21-24 r--");
	fput(file);
}

/* Nothing is left of what was there. */
static void test_munmap_frees(void **state)
{
	struct vma_fixture *fixture = *state;
	struct mm_struct *mm = fixture->mm;
	uint64_t tables = atomic_load(&mm->pgtables);

	for (uint64_t page = 0; page < 2000; page += 100) {
		map(mm, page, 2, RW);
		store(mm, page, 1);
	}
	assert_int_equal(stat_read(&mm->rss, MM_ANONPAGES), 20);
	assert_true(atomic_load(&mm->pgtables) > tables);
	unmap(mm, 0, 1001);
	assert_int_equal(stat_read(&mm->rss, MM_ANONPAGES), 9);
	expect_byte(mm, 1100, 1);
	unmap(mm, 0, 2000);
	assert_int_equal(stat_read(&mm->rss, MM_ANONPAGES), 0);
	assert_int_equal(atomic_load(&mm->pgtables), tables);
	assert_int_equal(mm->map_count, 0);
	map(mm, 100, 1, RW);
	expect_byte(mm, 100, 0);
	check_mm(mm);
}

static void test_mprotect_arguments(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	const uint32_t grows = QUIRE_PROT_GROWSDOWN | QUIRE_PROT_GROWSUP;

	map(mm, 10, 2, R);
	assert_int_equal(do_mprotect(mm, at(10) + 1, 0, R), -EINVAL);
	assert_int_equal(do_mprotect(mm, at(50), 0, R), 0);
	assert_int_equal(do_mprotect(mm, at(10), UINT64_MAX, R), -ENOMEM);
	assert_int_equal(do_mprotect(mm, at(10), UINT64_MAX - PAGE_SIZE + 1, R), -ENOMEM);
	assert_int_equal(do_mprotect(mm, at(10), PAGE_SIZE, 0x10), -EINVAL);
	assert_int_equal(do_mprotect(mm, at(10), PAGE_SIZE, R | 8), 0);
	assert_int_equal(do_mprotect(mm, at(10), PAGE_SIZE, R | grows), -EINVAL);
	assert_int_equal(do_mprotect(mm, at(10), PAGE_SIZE, R | QUIRE_PROT_GROWSDOWN), -EINVAL);
	assert_int_equal(do_mprotect(mm, at(10), PAGE_SIZE, R | QUIRE_PROT_GROWSUP), -EINVAL);
	assert_int_equal(do_mprotect(mm, at(9), PAGE_SIZE, RW), -ENOMEM);
	assert_int_equal(do_mprotect(mm, at(9), 2 * PAGE_SIZE, RW), -ENOMEM);
	assert_int_equal(do_mprotect(mm, at(12), PAGE_SIZE, RW), -ENOMEM);
	expect_layout(mm, "10-12 r--");
}

static void test_mprotect_holes(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map(mm, 10, 2, R);
	map(mm, 12, 2, RX);
	map(mm, 16, 2, R);
	/* Those before the hole are changed, those behind are not. */
	assert_int_equal(do_mprotect(mm, at(11), 6 * PAGE_SIZE, RW), -ENOMEM);
	expect_layout(mm, "10-11 r--, 11-14 rw-, 16-18 r--");
}

static void test_mprotect_growsdown(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	assert_int_equal(try_map(mm, 10, 4, RW, ANON | QUIRE_MAP_GROWSDOWN), 0);
	assert_int_equal(do_mprotect(mm, at(12), PAGE_SIZE, R | QUIRE_PROT_GROWSDOWN), 0);
	expect_layout(mm, "10-13 r--, 13-14 rw-");
}

static void test_mprotect_keeps_data(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map(mm, 10, 3, RW);
	store(mm, 11, 5);
	protect(mm, 11, 1, QUIRE_PROT_NONE);
	expect_layout(mm, "10-11 rw-, 11-12 ---, 12-13 rw-");
	assert_int_equal(load_error(mm, 11), VM_FAULT_ACCERR);
	assert_int_equal(store_error(mm, 11), VM_FAULT_ACCERR);
	protect(mm, 11, 1, R);
	expect_byte(mm, 11, 5);
	assert_int_equal(store_error(mm, 11), VM_FAULT_ACCERR);
	protect(mm, 11, 1, RW);
	expect_layout(mm, "10-13 rw-");
	expect_byte(mm, 11, 5);
}

/* Entries are writable at once where no fault is needed, and revoked where they allow less. */
static void test_mprotect_entries(void **state)
{
	struct vma_fixture *fixture = *state;
	struct mm_struct *mm = fixture->mm;
	_Atomic uint64_t *revokes = &fixture->instance.machine.revokes;
	uint64_t before;

	map(mm, 10, 4, RW);
	store(mm, 10, 1);
	expect_byte(mm, 11, 0); /* the zero page */
	assert_int_equal(entry_of(mm, 10) & (PTE_WRITE | PTE_USER | PTE_NX),
			 PTE_WRITE | PTE_USER | PTE_NX);
	before = atomic_load(revokes);
	protect(mm, 10, 4, R);
	assert_int_equal(atomic_load(revokes), before + 1);
	assert_int_equal(entry_of(mm, 10) & (PTE_WRITE | PTE_USER), PTE_USER);
	protect(mm, 10, 4, QUIRE_PROT_NONE);
	assert_int_equal(atomic_load(revokes), before + 2);
	assert_int_equal(entry_of(mm, 10) & (PTE_PRESENT | PTE_WRITE | PTE_USER), PTE_PRESENT);
	protect(mm, 10, 4, RW | QUIRE_PROT_EXEC);
	assert_int_equal(atomic_load(revokes), before + 2);
	assert_int_equal(entry_of(mm, 10) & (PTE_WRITE | PTE_USER | PTE_NX), PTE_WRITE | PTE_USER);
	/* The zero page must never be written. */
	assert_int_equal(entry_of(mm, 11) & (PTE_WRITE | PTE_USER), PTE_USER);
	store(mm, 11, 2);
	expect_byte(mm, 11, 2);
	check_mm(mm);
}

/* Pages that a fork shares stay read-only until they are copied. */
static void test_mprotect_after_fork(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct mm_struct *child;

	map(mm, 10, 2, RW);
	store(mm, 10, 1);
	assert_int_equal(dup_mm(mm, "child", &child), 0);
	protect(mm, 10, 2, R);
	protect(mm, 10, 2, RW);
	assert_false(entry_of(mm, 10) & PTE_WRITE);
	store(mm, 10, 2);
	expect_byte(child, 10, 1);
	expect_byte(mm, 10, 2);
	mm_destroy(child);
}

static void test_mprotect_locked(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	assert_int_equal(try_map(mm, 10, 2, R, ANON | QUIRE_MAP_LOCKED), 0);
	assert_true(entry_of(mm, 10) & PTE_SPECIAL);
	/* Copies are made now, so that no write will fault. */
	protect(mm, 10, 2, RW);
	assert_true(entry_of(mm, 10) & PTE_WRITE);
	assert_true(entry_of(mm, 11) & PTE_WRITE);
	check_mm(mm);
}

static int setup_areas(struct mm_struct *mm)
{
	map(mm, 10, 3, RW);
	map(mm, 13, 3, R);
	touch(mm, 10);
	touch(mm, 11);
	return 0;
}

/* A change over two areas may stop between them, but each is as before or as asked. */
static void test_allocation_failures(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	bool failed = true;

	for (uint64_t n = 1; failed; n++) {
		int error;

		setup_areas(mm);
		quire_fail_arm(FAIL_ALLOC, n, false);
		error = do_mprotect(mm, at(12), 2 * PAGE_SIZE, RX);
		failed = quire_fail_disarm();
		check_mm(mm);
		if (error)
			assert_int_equal(error, -ENOMEM);
		for (uint64_t page = 10; page < 16; page++) {
			bool asked = page == 12 || page == 13;
			uint64_t before = page < 13 ? VM_READ | VM_WRITE : VM_READ;
			uint64_t now = vma_at(mm, page)->vm_flags & VM_ACCESS_FLAGS;

			assert_true((now == before && (error || !asked)) ||
				    (now == (VM_READ | VM_EXEC) && asked));
		}
		/* The two differ in that the first one, once written, counts as committed. */
		if (!failed)
			expect_layout(mm, "10-12 rw-, 12-13 r-x, 13-14 r-x, 14-16 r--");
		expect_byte(mm, 11, 1);
		unmap(mm, 10, 6);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_munmap_arguments),    TEST(test_munmap_parts),
		TEST(test_munmap_frees),        TEST(test_mprotect_arguments),
		TEST(test_mprotect_holes),      TEST(test_mprotect_growsdown),
		TEST(test_mprotect_keeps_data), TEST(test_mprotect_entries),
		TEST(test_mprotect_after_fork), TEST(test_mprotect_locked),
		TEST(test_allocation_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
