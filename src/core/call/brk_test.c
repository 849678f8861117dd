/* SPDX-License-Identifier: MIT */
/*
 * brk: byte granular, limits, what is in its way; and the growth of stacks.
 */
#include "core/fault/fault.h"
#include "core/vma/vma_fixture_test.h"

/* The heap starts at TEST_BASE. */
static int setup_heap(void **state)
{
	struct mm_struct *mm;

	fixture_setup(state);
	mm = fixture_mm(state);
	mm->start_brk = mm->brk = at(0);
	return 0;
}

static void expect_byte(struct mm_struct *mm, uint64_t address, uint8_t value)
{
	uint32_t error = 0;

	assert_int_equal(test_load(mm, address, &error), value);
	assert_int_equal(error, 0);
}

static uint32_t load_error(struct mm_struct *mm, uint64_t address)
{
	uint32_t error = 0;

	test_load(mm, address, &error);
	return error;
}

static void test_granularity(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	uint32_t error = 0;

	assert_int_equal(do_brk(mm, 0), at(0));
	assert_int_equal(do_brk(mm, at(0) - 1), at(0));
	assert_int_equal(do_brk(mm, at(0) + 1), at(0) + 1);
	expect_layout(mm, "0-1 rw-");
	assert_int_equal(do_brk(mm, at(0) + 100), at(0) + 100);
	assert_int_equal(do_brk(mm, at(3)), at(3));
	expect_layout(mm, "0-3 rw-");
	for (uint64_t page = 0; page < 3; page++) {
		expect_byte(mm, at(page), 0);
		test_store(mm, at(page), 9, &error);
	}
	/* Down within a page and up again keeps it, whole pages come back zero. */
	assert_int_equal(do_brk(mm, at(1) + 1), at(1) + 1);
	expect_layout(mm, "0-2 rw-");
	assert_int_equal(load_error(mm, at(2)), VM_FAULT_MAPERR);
	assert_int_equal(do_brk(mm, at(3)), at(3));
	expect_byte(mm, at(1), 9);
	expect_byte(mm, at(2), 0);
	assert_int_equal(do_brk(mm, at(0)), at(0));
	expect_layout(mm, "");
}

static void test_obstacles(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map(mm, 10, 1, R);
	/* A page stays free between. */
	assert_int_equal(do_brk(mm, at(10)), at(0));
	assert_int_equal(do_brk(mm, at(9) + 1), at(0));
	assert_int_equal(do_brk(mm, at(9)), at(9));
	assert_int_equal(do_brk(mm, at(12)), at(9));
	unmap(mm, 10, 1);
	assert_int_equal(try_map(mm, 300, 1, RW, ANON | QUIRE_MAP_GROWSDOWN), 0);
	assert_int_equal(do_brk(mm, at(300 - 256)), at(9));
	assert_int_equal(do_brk(mm, at(300 - 257)), at(43));
	assert_int_equal(do_brk(mm, mm->task_size + 1), at(43));
	assert_int_equal(do_brk(mm, UINT64_MAX), at(43));
	expect_layout(mm, "0-43 rw-, 300-301 rw-");
}

static void test_limits(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	mm->limit[LIMIT_DATA] = 4 * PAGE_SIZE;
	assert_int_equal(do_brk(mm, at(4)), at(4));
	assert_int_equal(do_brk(mm, at(4) + 1), at(4));
	mm->limit[LIMIT_DATA] = LIMIT_INFINITY;
	mm->limit[LIMIT_AS] = 5 * PAGE_SIZE;
	assert_int_equal(do_brk(mm, at(6)), at(4));
	assert_int_equal(do_brk(mm, at(5)), at(5));
	mm->limit[LIMIT_AS] = LIMIT_INFINITY;
	/* More than there is memory. */
	assert_int_equal(do_brk(mm, at(5000)), at(5));
	mm->def_flags = VM_LOCKED;
	mm->limit[LIMIT_MEMLOCK] = PAGE_SIZE;
	assert_int_equal(do_brk(mm, at(7)), at(5));
	assert_int_equal(do_brk(mm, at(6)), at(6));
	assert_int_equal(mm->locked_vm, 1);
	assert_true(pte_present(pte_load(pte_find(mm, at(5)))));
	check_mm(mm);
}

static void test_protected_inside(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	assert_int_equal(do_brk(mm, at(4)), at(4));
	protect(mm, 2, 1, R);
	assert_int_equal(do_brk(mm, at(3)), at(3));
	expect_layout(mm, "0-2 rw-, 2-3 r--");
	assert_int_equal(do_brk(mm, at(5)), at(5));
	expect_layout(mm, "0-2 rw-, 2-3 r--, 3-5 rw-");
	assert_int_equal(do_brk(mm, at(1)), at(1));
	expect_layout(mm, "0-1 rw-");
	/* The heap was unmapped behind our back. */
	unmap(mm, 0, 1);
	assert_int_equal(do_brk(mm, at(0)), at(1));
}

static void test_allocation_failures(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	bool failed = true;

	map(mm, 100, 1, R); /* the first chunk of VMAs is there */
	for (uint64_t n = 1; failed; n++) {
		uint64_t brk;

		quire_fail_arm(FAIL_ALLOC, n, false);
		brk = do_brk(mm, at(2));
		failed = quire_fail_disarm();
		assert_int_equal(brk, failed ? at(0) : at(2));
		check_mm(mm);
	}
	expect_layout(mm, "0-2 rw-, 100-101 r--");
}

static void test_stack_grows(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	uint32_t error = 0;

	assert_int_equal(try_map(mm, 1000, 2, RW, ANON | QUIRE_MAP_GROWSDOWN), 0);
	test_store(mm, at(999), 1, &error);
	assert_int_equal(error, 0);
	expect_layout(mm, "999-1002 rw-");
	/* Not through its guard gap: 256 pages stay free above another mapping. */
	map(mm, 700, 10, R);
	assert_int_equal(load_error(mm, at(965)), VM_FAULT_MAPERR);
	expect_byte(mm, at(966), 0);
	expect_layout(mm, "700-710 r--, 966-1002 rw-");
	/* One that nobody can access is guard enough. */
	protect(mm, 700, 10, QUIRE_PROT_NONE);
	expect_byte(mm, at(710), 0);
	expect_layout(mm, "700-710 ---, 710-1002 rw-");
}

static void test_stack_limits(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	assert_int_equal(try_map(mm, 1000, 2, RW, ANON | QUIRE_MAP_GROWSDOWN), 0);
	mm->limit[LIMIT_STACK] = 4 * PAGE_SIZE;
	assert_int_equal(load_error(mm, at(997)), VM_FAULT_MAPERR);
	expect_byte(mm, at(998), 0);
	assert_int_equal(mm->stack_vm, 4);
	mm->limit[LIMIT_STACK] = LIMIT_INFINITY;
	mm->limit[LIMIT_AS] = 4 * PAGE_SIZE;
	assert_int_equal(load_error(mm, at(997)), VM_FAULT_MAPERR);
	mm->limit[LIMIT_AS] = LIMIT_INFINITY;
	mmap_write_lock(mm);
	mm->limit[LIMIT_MEMLOCK] = PAGE_SIZE;
	vma_lookup(mm, at(998))->vm_flags |= VM_LOCKED;
	mm->locked_vm = 4;
	assert_int_equal(expand_downwards(vma_lookup(mm, at(998)), at(997)), -ENOMEM);
	mm->may_lock = true;
	assert_int_equal(expand_downwards(vma_lookup(mm, at(998)), at(997) + 5), 0);
	assert_int_equal(mm->locked_vm, 5);
	assert_int_equal(expand_downwards(vma_lookup(mm, at(998)), MMAP_MIN_ADDR - 1), -ENOMEM);
	mmap_write_unlock(mm);
	map(mm, 10, 1, R);
	mmap_write_lock(mm);
	assert_int_equal(expand_downwards(vma_lookup(mm, at(10)), at(9)), -EFAULT);
	mmap_write_unlock(mm);
	expect_layout(mm, "10-11 r--, 997-1002 rw-");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_heap, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_granularity),      TEST(test_obstacles),           TEST(test_limits),
		TEST(test_protected_inside), TEST(test_allocation_failures), TEST(test_stack_grows),
		TEST(test_stack_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
