/* SPDX-License-Identifier: MIT */
/*
 * Tests of the page cache's index and of reads and writes through it.
 */
#include "core/file/file_test.h"

#include "core/file/internal.h"
#include "core/file/writeback.h"
#include "core/reclaim/vmscan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY (4u << 20)

static int setup(void **state)
{
	struct file_fixture *fixture = calloc(1, sizeof(*fixture));

	file_fixture_setup(fixture, MEMORY, 10 * PAGE_SIZE + 100, 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	file_fixture_teardown(*state);
	free(*state);
	return 0;
}

static struct page *get(struct file_fixture *fixture, pgoff_t index)
{
	const struct filemap_context context = {0};
	struct page *page;

	assert_int_equal(filemap_get_page(fixture->mapping, index, &context, &page), 0);
	return page;
}

static void page_is_read_once(void **state)
{
	struct file_fixture *fixture = *state;
	bool major = false;
	const struct filemap_context context = {.major = &major};
	struct page *page, *again;

	assert_null(filemap_lookup(fixture->mapping, 3));
	assert_false(filemap_resident(fixture->mapping, 3));
	assert_int_equal(filemap_get_page(fixture->mapping, 3, &context, &page), 0);
	assert_true(major);
	assert_true(page_test(page, PG_uptodate));
	assert_int_equal(page->index, 3);
	assert_int_equal(*(uint8_t *)page_address(&fixture->quire->zone, page),
			 test_byte(3 * PAGE_SIZE));

	major = false;
	assert_int_equal(filemap_get_page(fixture->mapping, 3, &context, &again), 0);
	assert_false(major);
	assert_ptr_equal(page, again);
	assert_true(filemap_resident(fixture->mapping, 3));
	assert_int_equal(fixture->store->nr_log, 1);
	put_page(fixture->quire, page);
	put_page(fixture->quire, again);
}

static void beyond_the_end_is_no_page(void **state)
{
	struct file_fixture *fixture = *state;
	const struct filemap_context context = {0};
	struct page *page;

	assert_int_equal(filemap_get_page(fixture->mapping, 11, &context, &page), -EFAULT);
	assert_int_equal(filemap_get_page(fixture->mapping, UINT64_MAX >> 12, &context, &page),
			 -EFAULT);
	assert_int_equal(fixture->store->nr_log, 0);
	/* The rest of the last page is zero. */
	page = get(fixture, 10);
	for (uint64_t i = 100; i < PAGE_SIZE; i++)
		assert_int_equal(((uint8_t *)page_address(&fixture->quire->zone, page))[i], 0);
	put_page(fixture->quire, page);
}

static void reading_ends_at_the_end(void **state)
{
	struct file_fixture *fixture = *state;
	uint8_t buffer[3 * PAGE_SIZE];

	assert_int_equal(filemap_read(fixture->file, NULL, buffer, sizeof(buffer), 9 * PAGE_SIZE),
			 PAGE_SIZE + 100);
	assert_int_equal(buffer[PAGE_SIZE + 99], test_byte(10 * PAGE_SIZE + 99));
	assert_int_equal(filemap_read(fixture->file, NULL, buffer, 1, 10 * PAGE_SIZE + 100), 0);
	assert_int_equal(filemap_read(fixture->file, NULL, buffer, 1, INT64_MAX - 1), 0);
	assert_int_equal(filemap_read(fixture->file, NULL, buffer, 0, 0), 0);
	assert_file_bytes(fixture->file, 0, 10 * PAGE_SIZE + 100, test_byte);
}

static void arguments_are_checked(void **state)
{
	struct file_fixture *fixture = *state;
	struct file *reader =
		file_fixture_open(fixture, 1, &test_store_create(0)->base, FMODE_READ);
	struct file *writer =
		file_fixture_open(fixture, 1, &test_store_create(0)->base, FMODE_WRITE);
	char byte = 0;

	assert_int_equal(filemap_write(reader, NULL, &byte, 1, 0), -EBADF);
	assert_int_equal(filemap_read(writer, NULL, &byte, 1, 0), -EBADF);
	assert_int_equal(filemap_read(reader, NULL, &byte, 1, (uint64_t)INT64_MAX + 1), -EINVAL);
	assert_int_equal(filemap_write(writer, NULL, &byte, 2, INT64_MAX - 1), -EINVAL);
	assert_int_equal(file_truncate(reader, 0), -EINVAL);
	assert_int_equal(file_truncate(writer, (uint64_t)INT64_MAX + 1), -EINVAL);
	assert_int_equal(file_punch_hole(reader, 0, 1), -EBADF);
	assert_int_equal(file_punch_hole(writer, 0, 0), -EINVAL);
	assert_int_equal(file_punch_hole(writer, 1, INT64_MAX), -EFBIG);
	fput(reader);
	fput(writer);
}

static void whole_pages_are_written_without_reading(void **state)
{
	struct file_fixture *fixture = *state;
	uint8_t data[2 * PAGE_SIZE];

	memset(data, 7, sizeof(data));
	assert_int_equal(filemap_write(fixture->file, NULL, data, sizeof(data), 4 * PAGE_SIZE),
			 sizeof(data));
	/* The rest of this page lies beyond the new end. */
	assert_int_equal(filemap_write(fixture->file, NULL, data, 200, 10 * PAGE_SIZE), 200);
	assert_int_equal(i_size_read(fixture->inode), 10 * PAGE_SIZE + 200);
	assert_int_equal(fixture->store->nr_log, 0);
	assert_int_equal(fixture->quire->nr_dirty, 3);

	/* A piece of a page is read first. */
	assert_int_equal(filemap_write(fixture->file, NULL, data, 10, 7 * PAGE_SIZE + 5), 10);
	assert_int_equal(fixture->store->nr_log, 1);
	assert_int_equal(fixture->store->log[0].offset, 7 * PAGE_SIZE);
	assert_file_bytes(fixture->file, 7 * PAGE_SIZE, 5, test_byte);
	assert_file_bytes(fixture->file, 7 * PAGE_SIZE + 15, PAGE_SIZE - 15, test_byte);
}

static void dirty_pages_are_counted_once(void **state)
{
	struct file_fixture *fixture = *state;
	struct page *page = get(fixture, 1);

	lock_page(page);
	assert_true(set_page_dirty(page));
	assert_false(set_page_dirty(page));
	assert_int_equal(fixture->quire->nr_dirty, 1);
	assert_true(fixture->inode->dirty_since > 0);
	assert_true(clear_page_dirty_for_io(page));
	assert_false(clear_page_dirty_for_io(page));
	assert_int_equal(fixture->quire->nr_dirty, 0);
	/* Removal forgets. */
	set_page_dirty(page);
	filemap_remove_page(page, NULL);
	assert_null(page_mapping(page));
	unlock_page(page);
	assert_int_equal(fixture->quire->nr_dirty, 0);
	assert_int_equal(fixture->inode->dirty_since, 0);
	assert_int_equal(fixture->mapping->nrpages, 0);
	put_page(fixture->quire, page);
}

static void only_unused_clean_pages_are_removed(void **state)
{
	struct file_fixture *fixture = *state;
	struct page *page = get(fixture, 2);

	lru_add_drain_all(fixture->quire);
	lock_page(page);
	get_page(page);
	assert_false(filemap_remove_if_unused(page, NULL));
	put_page(fixture->quire, page);
	set_page_dirty(page);
	assert_false(filemap_remove_if_unused(page, NULL));
	assert_int_equal(page_count(page), 2);
	assert_true(clear_page_dirty_for_io(page));
	assert_true(filemap_remove_if_unused(page, xa_mk_value(12)));
	assert_int_equal(page_count(page), 1);
	unlock_page(page);
	put_page(fixture->quire, page);
	assert_false(filemap_resident(fixture->mapping, 2));
}

static void pages_stand_at_one_index_only(void **state)
{
	struct file_fixture *fixture = *state;
	struct page *page = get(fixture, 2);
	struct page *other = alloc_page(fixture->quire, GFP_RECLAIM);

	assert_non_null(other);
	lock_page(other);
	assert_int_equal(filemap_add_page(fixture->mapping, other, 2, NULL), -EEXIST);
	unlock_page(other);
	put_page(fixture->quire, other);
	put_page(fixture->quire, page);
}

static void read_error_is_told_and_tried_again(void **state)
{
	struct file_fixture *fixture = *state;
	uint8_t buffer[2 * PAGE_SIZE];
	struct page *page;

	fixture->store->read_error = -EIO;
	fixture->store->error_offset = 5 * PAGE_SIZE;
	assert_int_equal(filemap_read(fixture->file, NULL, buffer, 1, 5 * PAGE_SIZE), -EIO);
	/* What came before the error is a short read. */
	assert_int_equal(
		filemap_read(fixture->file, NULL, buffer, sizeof(buffer), 4 * PAGE_SIZE + 1),
		PAGE_SIZE - 1);
	page = filemap_lookup(fixture->mapping, 5);
	assert_non_null(page);
	assert_false(page_test(page, PG_uptodate));
	put_page(fixture->quire, page);
	/* A piece of it cannot be written, all of it can. */
	assert_int_equal(filemap_write(fixture->file, NULL, buffer, 1, 5 * PAGE_SIZE), -EIO);
	file_fixture_check(fixture);

	fixture->store->read_error = 0;
	assert_file_bytes(fixture->file, 5 * PAGE_SIZE, PAGE_SIZE, test_byte);
}

static void short_store_reads_as_zero(void **state)
{
	struct file_fixture *fixture = *state;

	/* The file grows in the cache only. */
	assert_int_equal(filemap_write(fixture->file, NULL, "x", 1, 20 * PAGE_SIZE), 1);
	assert_file_bytes(fixture->file, 10 * PAGE_SIZE + 100, 10 * PAGE_SIZE - 100, zero_byte);
	assert_int_equal(i_size_read(fixture->inode), 20 * PAGE_SIZE + 1);
}

/* Bytes beyond the end in the last page appear neither in the file nor after it grew. */
static void stale_tail_is_zeroed_when_the_file_grows(void **state)
{
	struct file_fixture *fixture = *state;
	const uint64_t size = 10 * PAGE_SIZE + 100;

	for (int how = 0; how < 2; how++) {
		struct page *page = get(fixture, 10);

		/* As a store through a mapping would. */
		lock_page(page);
		memset((char *)page_address(&fixture->quire->zone, page) + 100, 0x55, 1000);
		set_page_dirty(page);
		unlock_page(page);
		put_page(fixture->quire, page);
		if (how == 0)
			assert_int_equal(file_truncate(fixture->file, size + 5000), 0);
		else
			assert_int_equal(filemap_write(fixture->file, NULL, "", 1, size + 2000), 1);
		assert_file_bytes(fixture->file, size, 2000, zero_byte);
		assert_int_equal(file_truncate(fixture->file, size), 0);
	}
	assert_file_bytes(fixture->file, 0, size, test_byte);
}

static void resize_error_leaves_the_size(void **state)
{
	struct file_fixture *fixture = *state;
	const uint64_t size = i_size_read(fixture->inode);

	fixture->store->resize_error = -ENOSPC;
	assert_int_equal(filemap_write(fixture->file, NULL, "x", 1, size + 1), -ENOSPC);
	assert_int_equal(file_truncate(fixture->file, size + 1), -ENOSPC);
	assert_int_equal(filemap_write(fixture->file, NULL, "yyyy", 4, 8 * PAGE_SIZE), 4);
	assert_int_equal(file_truncate(fixture->file, PAGE_SIZE), -ENOSPC);
	assert_int_equal(i_size_read(fixture->inode), size);
	/* What was dirty is still there. */
	assert_int_equal(fixture->quire->nr_dirty, 1);
	assert_file_bytes(fixture->file, 8 * PAGE_SIZE + 4, PAGE_SIZE, test_byte);
	fixture->store->resize_error = 0;
}

static void dev_zero_reads_and_takes_anything(void **state)
{
	struct file_fixture *fixture = *state;
	struct inode *inode;
	struct file *file;
	uint8_t buffer[5000];

	assert_int_equal(dev_zero_create(fixture->quire, 0, 0, &inode), 0);
	file = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	iput(inode);
	assert_true(file_is_dev_zero(file));
	memset(buffer, 1, sizeof(buffer));
	assert_int_equal(filemap_write(file, NULL, buffer, sizeof(buffer), 77), sizeof(buffer));
	assert_file_bytes(file, 12345, 2 * PAGE_SIZE, zero_byte);
	assert_int_equal(vfs_fsync_range(file, 0, UINT64_MAX), 0);
	assert_int_equal(file_truncate(file, 0), -EINVAL);
	fput(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(page_is_read_once, setup, teardown),
		cmocka_unit_test_setup_teardown(beyond_the_end_is_no_page, setup, teardown),
		cmocka_unit_test_setup_teardown(reading_ends_at_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(arguments_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(whole_pages_are_written_without_reading, setup,
						teardown),
		cmocka_unit_test_setup_teardown(dirty_pages_are_counted_once, setup, teardown),
		cmocka_unit_test_setup_teardown(only_unused_clean_pages_are_removed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(pages_stand_at_one_index_only, setup, teardown),
		cmocka_unit_test_setup_teardown(read_error_is_told_and_tried_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(short_store_reads_as_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(stale_tail_is_zeroed_when_the_file_grows, setup,
						teardown),
		cmocka_unit_test_setup_teardown(resize_error_leaves_the_size, setup, teardown),
		cmocka_unit_test_setup_teardown(dev_zero_reads_and_takes_anything, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
