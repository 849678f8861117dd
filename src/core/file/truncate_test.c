/* SPDX-License-Identifier: MIT */
/*
 * Tests of truncation and hole punching, seen by file calls, by mappings and in the store.
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
#define PAGES 16
#define SIZE (PAGES * PAGE_SIZE)

static int setup(void **state)
{
	struct file_fixture *fixture = calloc(1, sizeof(*fixture));

	file_fixture_setup(fixture, MEMORY, SIZE, 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	file_fixture_teardown(*state);
	free(*state);
	return 0;
}

static struct mm_struct *map_file(struct file_fixture *fixture, uint32_t flags, uint64_t *address)
{
	const struct mmap_request request = {
		.length = SIZE,
		.prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		.flags = flags,
		.file = fixture->file,
	};
	struct mm_struct *mm;
	int64_t result;

	assert_int_equal(mm_alloc(fixture->quire, "test", NULL, &mm), 0);
	result = do_mmap(mm, &request);
	assert_true(result > 0);
	*address = (uint64_t)result;
	return mm;
}

static void cutting_drops_pages_and_zeroes_the_tail(void **state)
{
	struct file_fixture *fixture = *state;
	const uint64_t size = 5 * PAGE_SIZE + 1000;
	uint8_t page[PAGE_SIZE];

	assert_file_bytes(fixture->file, 0, SIZE, test_byte);
	assert_int_equal(filemap_write(fixture->file, NULL, "dirty", 5, 9 * PAGE_SIZE), 5);
	assert_int_equal(file_truncate(fixture->file, size), 0);
	assert_int_equal(fixture->mapping->nrpages, 6);
	assert_int_equal(fixture->quire->nr_dirty, 0);
	assert_int_equal(fixture->store->inner->ops->size(fixture->store->inner), size);
	assert_int_equal(filemap_read(fixture->file, NULL, page, PAGE_SIZE, 5 * PAGE_SIZE), 1000);

	assert_int_equal(file_truncate(fixture->file, SIZE), 0);
	assert_file_bytes(fixture->file, 0, size, test_byte);
	assert_file_bytes(fixture->file, size, SIZE - size, zero_byte);
}

static void mappings_lose_what_is_cut(void **state)
{
	struct file_fixture *fixture = *state;
	uint64_t shared, private;
	struct mm_struct *mm = map_file(fixture, QUIRE_MAP_SHARED, &shared);
	struct mm_struct *copier = map_file(fixture, QUIRE_MAP_PRIVATE, &private);
	uint32_t error = 0;

	test_store(mm, shared + 7 * PAGE_SIZE, 1, &error);
	test_load(mm, shared + 8 * PAGE_SIZE, &error);
	test_store(copier, private + 9 * PAGE_SIZE, 2, &error);
	assert_int_equal(error, 0);
	assert_int_equal(file_truncate(fixture->file, 6 * PAGE_SIZE + 8), 0);
	assert_int_equal(test_load(mm, shared + 6 * PAGE_SIZE + 8, &error), 0);
	assert_int_equal(test_load(mm, shared + 6 * PAGE_SIZE + 7, &error),
			 test_byte(6 * PAGE_SIZE + 7));
	assert_int_equal(error, 0);
	for (uint64_t index = 7; index < 9; index++) {
		error = 0;
		test_load(mm, shared + index * PAGE_SIZE, &error);
		assert_int_equal(error, VM_FAULT_SIGBUS);
	}
	/* The private copy is gone too. */
	error = 0;
	test_load(copier, private + 9 * PAGE_SIZE, &error);
	assert_int_equal(error, VM_FAULT_SIGBUS);
	mm_destroy(mm);
	mm_destroy(copier);
}

static void hole_reads_as_zero_everywhere(void **state)
{
	struct file_fixture *fixture = *state;
	const uint64_t start = 3 * PAGE_SIZE + 500, end = 8 * PAGE_SIZE + 300;
	uint64_t shared, private;
	struct mm_struct *mm = map_file(fixture, QUIRE_MAP_SHARED, &shared);
	struct mm_struct *copier = map_file(fixture, QUIRE_MAP_PRIVATE, &private);
	uint8_t page[PAGE_SIZE];
	uint32_t error = 0;

	for (uint64_t index = 0; index < PAGES; index++)
		test_store(mm, shared + index * PAGE_SIZE, test_byte(index * PAGE_SIZE), &error);
	test_store(copier, private + 5 * PAGE_SIZE, 77, &error);
	assert_int_equal(file_punch_hole(fixture->file, start, end - start), 0);
	assert_int_equal(i_size_read(fixture->inode), SIZE);
	assert_int_equal(fixture->store->nr_discard, 1);
	assert_file_bytes(fixture->file, 0, start, test_byte);
	assert_file_bytes(fixture->file, start, end - start, zero_byte);
	assert_file_bytes(fixture->file, end, SIZE - end, test_byte);
	assert_int_equal(test_load(mm, shared + 5 * PAGE_SIZE, &error), 0);
	assert_int_equal(test_load(mm, shared + end, &error), test_byte(end));
	/* A private copy stays. */
	assert_int_equal(test_load(copier, private + 5 * PAGE_SIZE, &error), 77);
	assert_int_equal(error, 0);
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), 0);
	for (uint64_t offset = start; offset < end; offset += 100) {
		assert_int_equal(test_store_peek(fixture->store, page, 1, offset), 1);
		assert_int_equal(page[0], 0);
	}
	mm_destroy(mm);
	mm_destroy(copier);
}

static void store_without_holes_gets_zeroes(void **state)
{
	struct file_fixture *fixture = *state;
	uint8_t buffer[4 * PAGE_SIZE];

	fixture->store->discard_error = -EOPNOTSUPP;
	assert_int_equal(file_punch_hole(fixture->file, 2 * PAGE_SIZE, 4 * PAGE_SIZE), 0);
	assert_int_equal(fixture->store->log[0].nr_segments, 4);
	assert_int_equal(test_store_peek(fixture->store, buffer, sizeof(buffer), 2 * PAGE_SIZE),
			 sizeof(buffer));
	for (uint64_t i = 0; i < sizeof(buffer); i++)
		assert_int_equal(buffer[i], 0);
	fixture->store->write_error = -EIO;
	assert_int_equal(file_punch_hole(fixture->file, 8 * PAGE_SIZE, PAGE_SIZE), -EIO);
	fixture->store->write_error = 0;
	fixture->store->discard_error = -EIO;
	assert_int_equal(file_punch_hole(fixture->file, 9 * PAGE_SIZE, PAGE_SIZE), -EIO);
	/* The edges of a hole are read and written as parts of pages. */
	fixture->store->read_error = -EIO;
	assert_int_equal(file_punch_hole(fixture->file, 10 * PAGE_SIZE + 1, PAGE_SIZE), -EIO);
	fixture->store->read_error = 0;
	assert_file_bytes(fixture->file, 10 * PAGE_SIZE, 2 * PAGE_SIZE, test_byte);
}

static void hole_at_the_end_keeps_the_size(void **state)
{
	struct file_fixture *fixture = *state;

	/* Pages that only the cache knows; then the last of them goes. */
	assert_int_equal(filemap_write(fixture->file, NULL, "abc", 3, SIZE), 3);
	assert_int_equal(filemap_write(fixture->file, NULL, "def", 3, SIZE + 2 * PAGE_SIZE + 10),
			 3);
	assert_int_equal(file_punch_hole(fixture->file, SIZE + 2 * PAGE_SIZE, 100 * PAGE_SIZE), 0);
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), 0);
	assert_int_equal(i_size_read(fixture->inode), SIZE + 2 * PAGE_SIZE + 13);
	assert_int_equal(fixture->store->inner->ops->size(fixture->store->inner),
			 SIZE + 2 * PAGE_SIZE + 13);
	assert_file_bytes(fixture->file, SIZE + 2 * PAGE_SIZE, 13, zero_byte);
	/* Nothing is there to punch. */
	assert_int_equal(file_punch_hole(fixture->file, 2 * SIZE, SIZE), 0);
}

static void hole_within_a_page(void **state)
{
	struct file_fixture *fixture = *state;

	assert_int_equal(file_punch_hole(fixture->file, 100, 200), 0);
	assert_int_equal(fixture->store->nr_discard, 0);
	assert_file_bytes(fixture->file, 0, 100, test_byte);
	assert_file_bytes(fixture->file, 100, 200, zero_byte);
	assert_file_bytes(fixture->file, 300, SIZE - 300, test_byte);
	file_fixture_evict(fixture);
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), 0);
	file_fixture_evict(fixture);
	assert_file_bytes(fixture->file, 100, 200, zero_byte);
}

/* Bytes stored beyond the end through a mapping reach neither the store nor a longer file. */
static void stores_beyond_the_end_are_lost(void **state)
{
	struct file_fixture *fixture = *state;
	uint64_t shared;
	struct mm_struct *mm = map_file(fixture, QUIRE_MAP_SHARED, &shared);
	uint32_t error = 0;
	uint8_t page[PAGE_SIZE];

	assert_int_equal(file_truncate(fixture->file, PAGE_SIZE + 10), 0);
	test_store(mm, shared + PAGE_SIZE + 10, 0xee, &error);
	assert_int_equal(test_load(mm, shared + PAGE_SIZE + 10, &error), 0xee);
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), 0);
	assert_int_equal(test_store_peek(fixture->store, page, PAGE_SIZE, PAGE_SIZE), 10);
	assert_int_equal(file_truncate(fixture->file, 2 * PAGE_SIZE), 0);
	assert_int_equal(test_load(mm, shared + PAGE_SIZE + 10, &error), 0);
	/* A store after that counts. */
	test_store(mm, shared + PAGE_SIZE + 11, 0xdd, &error);
	assert_int_equal(error, 0);
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), 0);
	assert_int_equal(test_store_peek(fixture->store, page, PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
	assert_int_equal(page[10], 0);
	assert_int_equal(page[11], 0xdd);
	mm_destroy(mm);
}

static void invalidating_drops_what_is_clean_and_unmapped(void **state)
{
	struct file_fixture *fixture = *state;
	const struct mmap_request second_page = {
		.length = PAGE_SIZE,
		.prot = QUIRE_PROT_READ,
		.flags = QUIRE_MAP_SHARED,
		.file = fixture->file,
		.offset = PAGE_SIZE,
	};
	uint64_t shared, dropped;
	struct mm_struct *mm = map_file(fixture, QUIRE_MAP_SHARED, &shared);
	const int64_t mapped = do_mmap(mm, &second_page);
	struct page *locked;
	uint32_t error = 0;
	uint8_t byte = 1;

	assert_file_bytes(fixture->file, 0, SIZE, test_byte);
	assert_int_equal(test_load(mm, (uint64_t)mapped, &error), test_byte(PAGE_SIZE));
	assert_int_equal(filemap_write(fixture->file, NULL, &byte, 1, 3 * PAGE_SIZE), 1);
	locked = filemap_lookup(fixture->mapping, 5);
	lock_page(locked);
	dropped = invalidate_mapping_pages(fixture->mapping, 1, 10);
	unlock_page(locked);
	put_page(fixture->quire, locked);
	assert_int_equal(dropped, 7);
	for (pgoff_t i = 0; i < PAGES; i++)
		assert_int_equal(filemap_cached(fixture->mapping, i),
				 i < 1 || i > 10 || i == 1 || i == 3 || i == 5);
	/* What is there again is what was there before, and nothing of the written page is lost. */
	assert_file_bytes(fixture->file, 0, 3 * PAGE_SIZE, test_byte);
	assert_file_bytes(fixture->file, 3 * PAGE_SIZE + 1, SIZE - 3 * PAGE_SIZE - 1, test_byte);
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), 0);
	mm_destroy(mm);
	assert_int_equal(invalidate_mapping_pages(fixture->mapping, 0, UINT64_MAX), PAGES);
	assert_int_equal(filemap_read(fixture->file, NULL, &byte, 1, 3 * PAGE_SIZE), 1);
	assert_int_equal(byte, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(cutting_drops_pages_and_zeroes_the_tail, setup,
						teardown),
		cmocka_unit_test_setup_teardown(mappings_lose_what_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(hole_reads_as_zero_everywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(store_without_holes_gets_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(hole_at_the_end_keeps_the_size, setup, teardown),
		cmocka_unit_test_setup_teardown(hole_within_a_page, setup, teardown),
		cmocka_unit_test_setup_teardown(stores_beyond_the_end_are_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(invalidating_drops_what_is_clean_and_unmapped,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
