/* SPDX-License-Identifier: MIT */
/*
 * Tests of file calls whose buffer is memory of an mm, mappings of the same file among it.
 */
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/file/file_test.h"
#include "core/file/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY (4u << 20)
#define PAGES 32
#define SIZE (PAGES * PAGE_SIZE)

struct user_fixture {
	struct file_fixture base;
	struct mm_struct *mm;
	uint64_t anon; /* PAGES pages of anonymous memory, then nothing */
	uint64_t map;  /* the file, shared */
};

static int setup(void **state)
{
	struct user_fixture *fixture = calloc(1, sizeof(*fixture));
	uint64_t anon;

	file_fixture_setup(&fixture->base, MEMORY, SIZE, 4 * PAGE_SIZE);
	assert_int_equal(mm_alloc(fixture->base.quire, "user", NULL, &fixture->mm), 0);
	fixture->map = map_anywhere(fixture->mm, SIZE, QUIRE_MAP_SHARED, fixture->base.file);
	anon = map_anywhere(fixture->mm, 2 * SIZE, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	assert_int_equal(do_munmap(fixture->mm, anon + SIZE, SIZE), 0);
	fixture->anon = anon;
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct user_fixture *fixture = *state;

	mm_destroy(fixture->mm);
	file_fixture_teardown(&fixture->base);
	free(fixture);
	return 0;
}

static void assert_user_bytes(struct user_fixture *fixture, uint64_t address, uint64_t bytes,
			      uint64_t offset)
{
	for (uint64_t i = 0; i < bytes; i++) {
		uint32_t error = 0;

		assert_int_equal(test_load(fixture->mm, address + i, &error),
				 test_byte(offset + i));
		assert_int_equal(error, 0);
	}
}

static void any_alignment_is_copied(void **state)
{
	struct user_fixture *fixture = *state;
	struct file *file = fixture->base.file;

	assert_int_equal(
		filemap_read_user(file, fixture->mm, fixture->anon + 123, 20 * PAGE_SIZE, 777),
		20 * PAGE_SIZE);
	assert_user_bytes(fixture, fixture->anon + 123, 20 * PAGE_SIZE, 777);
	/* Back to where it belongs, over zeroes. */
	assert_int_equal(file_punch_hole(file, 0, SIZE), 0);
	assert_int_equal(
		filemap_write_user(file, fixture->mm, fixture->anon + 123, 20 * PAGE_SIZE, 777),
		20 * PAGE_SIZE);
	assert_file_bytes(file, 0, 777, zero_byte);
	assert_file_bytes(file, 777, 20 * PAGE_SIZE, test_byte);
	assert_file_bytes(file, 777 + 20 * PAGE_SIZE, SIZE - 777 - 20 * PAGE_SIZE, zero_byte);
}

static void what_has_no_memory_is_efault(void **state)
{
	struct user_fixture *fixture = *state;
	struct file *file = fixture->base.file;
	const uint64_t end = fixture->anon + SIZE;

	assert_int_equal(filemap_read_user(file, fixture->mm, end, 10, 0), -EFAULT);
	assert_int_equal(filemap_write_user(file, fixture->mm, end, 10, 0), -EFAULT);
	assert_int_equal(filemap_read_user(file, fixture->mm, UINT64_MAX - 5, 10, 0), -EFAULT);
	/* What lies before the hole is done. */
	assert_int_equal(filemap_read_user(file, fixture->mm, end - 5000, 9000, 3), 5000);
	assert_user_bytes(fixture, end - 5000, 5000, 3);
	assert_int_equal(filemap_write_user(file, fixture->mm, end - 5000, 9000, 3), 5000);
	assert_file_bytes(file, 0, SIZE, test_byte);
	/* At the end of the file nothing is copied, so nothing faults. */
	assert_int_equal(filemap_read_user(file, fixture->mm, end, 10, SIZE), 0);
	assert_int_equal(filemap_write_user(file, fixture->mm, end, 0, 0), 0);
}

static void failed_write_past_the_end_leaves_a_hole(void **state)
{
	struct user_fixture *fixture = *state;
	struct file *file = fixture->base.file;

	assert_int_equal(
		filemap_write_user(file, fixture->mm, fixture->anon + SIZE, 10, SIZE + 5000),
		-EFAULT);
	assert_int_equal(i_size_read(fixture->base.inode), SIZE + 5000);
	assert_file_bytes(file, SIZE, 5000, zero_byte);
	/* Within the file it changes nothing. */
	assert_int_equal(filemap_write_user(file, fixture->mm, fixture->anon + SIZE, 10, 100),
			 -EFAULT);
	assert_int_equal(i_size_read(fixture->base.inode), SIZE + 5000);
}

/* Pages beyond the end of a mapped file are no memory either. */
static void beyond_the_end_of_a_mapping_is_efault(void **state)
{
	struct user_fixture *fixture = *state;
	struct file *file = fixture->base.file;

	assert_int_equal(file_truncate(file, 3 * PAGE_SIZE + 1), 0);
	assert_int_equal(filemap_read_user(file, fixture->mm, fixture->map + 4 * PAGE_SIZE, 10, 0),
			 -EFAULT);
	assert_int_equal(filemap_write_user(file, fixture->mm, fixture->map + 4 * PAGE_SIZE, 10, 0),
			 -EFAULT);
	assert_file_bytes(file, 0, 3 * PAGE_SIZE + 1, test_byte);
}

static void buffer_may_be_the_page_itself(void **state)
{
	struct user_fixture *fixture = *state;
	struct file *file = fixture->base.file;

	/* Not in the cache at first. */
	assert_int_equal(filemap_read_user(file, fixture->mm, fixture->map + 5 * PAGE_SIZE,
					   PAGE_SIZE, 5 * PAGE_SIZE),
			 PAGE_SIZE);
	assert_int_equal(filemap_write_user(file, fixture->mm, fixture->map + 6 * PAGE_SIZE,
					    PAGE_SIZE, 6 * PAGE_SIZE),
			 PAGE_SIZE);
	assert_file_bytes(file, 0, SIZE, test_byte);
	/* Overlapping pieces of one page. */
	assert_int_equal(filemap_write_user(file, fixture->mm, fixture->map + 7 * PAGE_SIZE, 1000,
					    7 * PAGE_SIZE + 10),
			 1000);
	assert_user_bytes(fixture, fixture->map + 7 * PAGE_SIZE + 10, 1000, 7 * PAGE_SIZE);
	assert_int_equal(filemap_read_user(file, fixture->mm, fixture->map + 8 * PAGE_SIZE + 10,
					   1000, 8 * PAGE_SIZE),
			 1000);
	assert_user_bytes(fixture, fixture->map + 8 * PAGE_SIZE + 10, 1000, 8 * PAGE_SIZE);
}

/* What a read puts into a mapping of a file is written back, even when the page was cleaned between
 * pinning and copying. */
static void read_into_a_mapping_makes_it_dirty(void **state)
{
	struct user_fixture *fixture = *state;
	uint8_t page[PAGE_SIZE];

	assert_int_equal(filemap_read_user(fixture->base.file, fixture->mm, fixture->map, PAGE_SIZE,
					   9 * PAGE_SIZE),
			 PAGE_SIZE);
	assert_int_equal(fixture->base.quire->nr_dirty, 1);
	assert_int_equal(vfs_fsync_range(fixture->base.file, 0, UINT64_MAX), 0);
	assert_int_equal(test_store_peek(fixture->base.store, page, PAGE_SIZE, 0), PAGE_SIZE);
	for (uint64_t i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(page[i], test_byte(9 * PAGE_SIZE + i));
}

static void fault_around_maps_what_is_cached(void **state)
{
	struct user_fixture *fixture = *state;
	const struct filemap_context context = {0};
	const uint64_t first = fixture->map >> PAGE_SHIFT;
	/* The window of sixteen pages that holds page 17 of the mapping. */
	const uint64_t start = (first + 17) / 16 * 16 - first;
	uint32_t error = 0;

	force_page_cache_readahead(fixture->base.mapping, 0, PAGES, &context);
	assert_int_equal(test_load(fixture->mm, fixture->map + 17 * PAGE_SIZE, &error),
			 test_byte(17 * PAGE_SIZE));
	for (uint64_t index = 0; index < PAGES; index++) {
		pte_t *pte = pte_find(fixture->mm, fixture->map + index * PAGE_SIZE);
		bool same_table = (fixture->map + index * PAGE_SIZE) >> PMD_SHIFT ==
				  (fixture->map + 17 * PAGE_SIZE) >> PMD_SHIFT;
		bool expected = same_table && index >= start && index < start + 16;

		assert_int_equal(pte && pte_present(pte_load(pte)), expected);
		if (expected) {
			assert_false(pte_load(pte) & PTE_WRITE);
			assert_int_equal(!!(pte_load(pte) & PTE_ACCESSED), index == 17);
		}
	}
	assert_true(stat_read(&fixture->base.quire->events, EVENT_FAULT_AROUND) > 0);
	assert_int_equal(stat_read(&fixture->base.quire->events, EVENT_FAULT), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(any_alignment_is_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_no_memory_is_efault, setup, teardown),
		cmocka_unit_test_setup_teardown(failed_write_past_the_end_leaves_a_hole, setup,
						teardown),
		cmocka_unit_test_setup_teardown(beyond_the_end_of_a_mapping_is_efault, setup,
						teardown),
		cmocka_unit_test_setup_teardown(buffer_may_be_the_page_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(read_into_a_mapping_makes_it_dirty, setup,
						teardown),
		cmocka_unit_test_setup_teardown(fault_around_maps_what_is_cached, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
