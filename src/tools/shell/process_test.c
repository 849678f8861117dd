/* SPDX-License-Identifier: MIT */
/*
 * Regions: binding anew, the one bound last, stretches for `maps`, copies by fork.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/shell/process.h"

static void expect_stretch(const struct shell_process *process, uint64_t start, uint64_t end,
			   uint64_t expected_start, uint64_t expected_end)
{
	assert_true(shell_region_stretch(process, &start, &end));
	assert_int_equal(start, expected_start);
	assert_int_equal(end, expected_end);
}

static void test_regions(void **state)
{
	struct shell_process *process = shell_process_new("main", NULL, 0x1000);
	uint64_t start = 0x60000, end = 0x70000;

	(void)state;
	shell_region_bind(process, "a", 0x10000, 0x4000);
	shell_region_bind(process, "b", 0x12000, 1);
	shell_region_bind(process, "c", 0x14000, 0x1000);
	shell_region_bind(process, "d", 0x20000, 0x1000);
	assert_int_equal(shell_region_find(process, "b")->length, 0x1000);
	assert_null(shell_region_find(process, "e"));
	assert_string_equal(shell_region_at(process, 0x12fff)->name, "b");
	assert_string_equal(shell_region_at(process, 0x13000)->name, "a");
	assert_null(shell_region_at(process, 0x15000));
	expect_stretch(process, 0x8000, 0x30000, 0x10000, 0x15000);
	expect_stretch(process, 0x15000, 0x30000, 0x20000, 0x21000);
	expect_stretch(process, 0x13800, 0x14800, 0x13800, 0x14800);
	assert_false(shell_region_stretch(process, &start, &end));

	/* Bound anew: it is the last one now, and the old place is no region. */
	shell_region_bind(process, "a", 0x12000, 0x1000);
	assert_string_equal(shell_region_at(process, 0x12000)->name, "a");
	assert_null(shell_region_at(process, 0x10000));
	shell_process_free(process);
}

static void test_heap(void **state)
{
	struct shell_process *process = shell_process_new("main", NULL, 0x8000);

	(void)state;
	assert_int_equal(shell_region_find(process, "heap")->start, 0x8000);
	assert_null(shell_region_at(process, 0x8000));
	process->heap.length = 0x2000;
	assert_string_equal(shell_region_at(process, 0x9fff)->name, "heap");
	/* It was bound before all others. */
	shell_region_bind(process, "a", 0x9000, 0x1000);
	assert_string_equal(shell_region_at(process, 0x9fff)->name, "a");
	expect_stretch(process, 0, 0x100000, 0x8000, 0xa000);
	shell_process_forget_regions(process, 0x5000);
	assert_null(shell_region_find(process, "a"));
	assert_int_equal(shell_region_find(process, "heap")->start, 0x5000);
	shell_process_free(process);
}

static void test_copy(void **state)
{
	struct shell_process *process = shell_process_new("main", NULL, 0x8000);
	struct shell_process *copy;

	(void)state;
	shell_region_bind(process, "a", 0x10000, 0x2000);
	shell_region_bind(process, "b", 0x10000, 0x1000);
	shell_file_bind(process, "f", 5);
	copy = shell_process_copy(process, "kid", NULL);
	shell_region_bind(process, "a", 0x50000, 0x1000);
	shell_file_unbind(shell_file_find(process, "f"));
	assert_string_equal(copy->name, "kid");
	assert_int_equal(shell_region_find(copy, "a")->start, 0x10000);
	assert_string_equal(shell_region_at(copy, 0x10000)->name, "b");
	assert_int_equal(shell_file_find(copy, "f")->fd, 5);
	assert_null(shell_file_find(process, "f"));
	shell_process_free(copy);
	shell_process_free(process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
