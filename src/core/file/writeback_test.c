/* SPDX-License-Identifier: MIT */
/*
 * Tests of writeback: what becomes one request, what is waited for, and what becomes of errors.
 */
#include "core/file/writeback.h"

#include "base/fail.h"
#include "core/file/file_test.h"
#include "core/file/internal.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY (8u << 20)
#define PAGES 64

static int setup(void **state)
{
	struct file_fixture *fixture = calloc(1, sizeof(*fixture));

	file_fixture_setup(fixture, MEMORY, PAGES * PAGE_SIZE, 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	file_fixture_teardown(*state);
	free(*state);
	return 0;
}

static void dirty(struct file *file, pgoff_t first, pgoff_t last, uint8_t value)
{
	uint8_t page[PAGE_SIZE];

	memset(page, value, sizeof(page));
	for (pgoff_t index = first; index <= last; index++)
		assert_int_equal(filemap_write(file, NULL, page, PAGE_SIZE, index << PAGE_SHIFT),
				 PAGE_SIZE);
}

static struct writeback_control everything(bool sync)
{
	return (struct writeback_control){
		.end = UINT64_MAX, .nr_to_write = UINT64_MAX, .sync = sync};
}

static void assert_request(const struct test_store *store, uint32_t number, uint64_t offset,
			   uint32_t segments)
{
	assert_true(number < store->nr_log);
	assert_int_equal(store->log[number].direction, QUIRE_WRITE);
	assert_int_equal(store->log[number].offset, offset);
	assert_int_equal(store->log[number].nr_segments, segments);
}

static void runs_become_requests_in_file_order(void **state)
{
	struct file_fixture *fixture = *state;
	struct writeback_control control = everything(true);

	dirty(fixture->file, 40, 49, 1);
	dirty(fixture->file, 3, 3, 2);
	dirty(fixture->file, 5, 12, 3);
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_int_equal(control.written, 19);
	assert_int_equal(fixture->store->nr_log, 3);
	assert_request(fixture->store, 0, 3 * PAGE_SIZE, 1);
	assert_request(fixture->store, 1, 5 * PAGE_SIZE, 8);
	assert_request(fixture->store, 2, 40 * PAGE_SIZE, 10);
	assert_int_equal(fixture->quire->nr_dirty, 0);
	assert_int_equal(fixture->quire->nr_writeback, 0);
	assert_int_equal(fixture->inode->dirty_since, 0);
	file_fixture_check(fixture);

	/* Nothing is dirty any more. */
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_int_equal(fixture->store->nr_log, 3);
}

static void requests_are_bounded(void **state)
{
	struct file_fixture *fixture = *state;
	struct writeback_control control = everything(true);
	uint8_t *data = malloc(300 * PAGE_SIZE);

	memset(data, 9, 300 * PAGE_SIZE);
	/* Below the ratio at which writers write back themselves. */
	assert_true(fixture->quire->zone.nr_frames / 10 < 300);
	for (int i = 0; i < 3; i++)
		assert_int_equal(filemap_write(fixture->file, NULL, data + i * 100 * PAGE_SIZE,
					       100 * PAGE_SIZE, i * 100 * PAGE_SIZE),
				 100 * PAGE_SIZE);
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	for (uint32_t i = 0; i < fixture->store->nr_log; i++)
		assert_in_range(fixture->store->log[i].nr_segments, 1, 256);
	assert_int_equal(test_store_peek(fixture->store, data, 300 * PAGE_SIZE, 0),
			 300 * PAGE_SIZE);
	for (uint64_t i = 0; i < 300 * PAGE_SIZE; i++)
		assert_int_equal(data[i], 9);
	free(data);
}

static void range_and_amount_are_kept(void **state)
{
	struct file_fixture *fixture = *state;
	struct writeback_control control = {
		.start = 10 * PAGE_SIZE + 5,
		.end = 19 * PAGE_SIZE,
		.nr_to_write = UINT64_MAX,
		.sync = true,
	};

	dirty(fixture->file, 0, 29, 1);
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_request(fixture->store, 0, 10 * PAGE_SIZE, 10);
	assert_int_equal(fixture->store->nr_log, 1);
	assert_int_equal(fixture->quire->nr_dirty, 20);

	control = everything(false);
	control.nr_to_write = 4;
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_int_equal(control.written, 4);
	assert_request(fixture->store, 1, 0, 4);
	assert_int_equal(fixture->quire->nr_dirty, 16);
}

static void last_page_ends_with_the_file(void **state)
{
	struct file_fixture *fixture = *state;
	struct writeback_control control = everything(true);
	uint8_t page[PAGE_SIZE];

	dirty(fixture->file, 6, 7, 4);
	assert_int_equal(file_truncate(fixture->file, 7 * PAGE_SIZE + 123), 0);
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_int_equal(fixture->store->log[0].bytes, PAGE_SIZE + 123);
	assert_int_equal(fixture->store->inner->ops->size(fixture->store->inner),
			 7 * PAGE_SIZE + 123);
	assert_int_equal(test_store_peek(fixture->store, page, PAGE_SIZE, 7 * PAGE_SIZE), 123);
}

static void pages_under_writeback_stay_and_are_waited_for(void **state)
{
	struct file_fixture *fixture = *state;
	struct writeback_control control = everything(false);
	struct page *page;

	dirty(fixture->file, 1, 2, 1);
	fixture->store->hold = true;
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_int_equal(fixture->quire->nr_dirty, 0);
	assert_int_equal(fixture->quire->nr_writeback, 2);
	page = filemap_lookup(fixture->mapping, 1);
	assert_true(page_test(page, PG_writeback));
	file_fixture_evict(fixture);
	assert_true(filemap_resident(fixture->mapping, 1));
	/* A second pass leaves them alone, even when a mapping made one dirty again. */
	lock_page(page);
	set_page_dirty(page);
	unlock_page(page);
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_int_equal(fixture->store->nr_log, 1);
	test_store_release(fixture->store);
	assert_int_equal(fixture->quire->nr_writeback, 0);
	assert_int_equal(fixture->quire->nr_dirty, 1);
	put_page(fixture->quire, page);
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_int_equal(fixture->store->nr_log, 2);
}

static void *release_held(void *store)
{
	test_store_release(store);
	return NULL;
}

/* The writes end on a thread of the store's: before validation or while it waits for them. */
static void validation_waits_for_writes_under_way(void **state)
{
	struct file_fixture *fixture = *state;
	struct writeback_control control = everything(false);
	pthread_t thread;

	dirty(fixture->file, 0, 9, 1);
	fixture->store->hold = true;
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_int_equal(fixture->mapping->writeback_pages, 10);
	assert_int_equal(pthread_create(&thread, NULL, release_held, fixture->store), 0);
	test_instance_check(&fixture->test);
	assert_int_equal(fixture->mapping->writeback_pages, 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void failed_pages_are_dirty_again(void **state)
{
	struct file_fixture *fixture = *state;
	struct writeback_control control = everything(true);
	struct page *page;

	dirty(fixture->file, 4, 8, 0x11);
	fixture->store->write_error = -EIO;
	fixture->store->error_offset = 6 * PAGE_SIZE;
	assert_int_equal(writeback_mapping(fixture->mapping, &control), -EIO);
	assert_int_equal(fixture->quire->nr_dirty, 5);
	assert_int_equal(stat_read(&fixture->quire->events, EVENT_WRITE_ERROR), 5);
	file_fixture_check(fixture);
	/* They are not dropped. */
	file_fixture_evict(fixture);
	page = filemap_lookup(fixture->mapping, 6);
	assert_non_null(page);
	assert_true(page_test(page, PG_dirty) && page_test(page, PG_error));

	/* The next time only the bad page keeps failing. */
	assert_int_equal(writeback_mapping(fixture->mapping, &control), -EIO);
	assert_int_equal(fixture->quire->nr_dirty, 1);
	fixture->store->write_error = 0;
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_false(page_test(page, PG_error));
	put_page(fixture->quire, page);
	assert_int_equal(fixture->quire->nr_dirty, 0);
}

static void each_opener_hears_of_an_error_once(void **state)
{
	struct file_fixture *fixture = *state;
	struct file *second = file_fixture_open(fixture, 1, &test_store_create(0)->base,
						FMODE_READ | FMODE_WRITE);
	struct file *late;

	dirty(fixture->file, 0, 0, 1);
	fixture->store->write_error = -ENOSPC;
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), -ENOSPC);
	fixture->store->write_error = 0;
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), 0);
	/* Who opens after the error was seen has nothing to do with it. */
	late = file_fixture_open(fixture, 1, &test_store_create(0)->base, FMODE_READ);
	assert_int_equal(vfs_fsync_range(late, 0, UINT64_MAX), 0);
	assert_int_equal(vfs_fsync_range(second, 0, UINT64_MAX), -ENOSPC);
	assert_int_equal(vfs_fsync_range(second, 0, UINT64_MAX), 0);
	fput(late);
	fput(second);
}

static void sync_errors_count_as_write_errors(void **state)
{
	struct file_fixture *fixture = *state;

	fixture->store->sync_error = -EDQUOT;
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), -EDQUOT);
	assert_int_equal(fixture->store->nr_sync, 1);
	fixture->store->sync_error = 0;
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), 0);
}

static void lack_of_memory_is_no_write_error(void **state)
{
	struct file_fixture *fixture = *state;
	struct writeback_control control = everything(true);

	dirty(fixture->file, 2, 5, 3);
	fixture->store->submit_error = -ENOMEM;
	assert_int_equal(writeback_mapping(fixture->mapping, &control), -ENOMEM);
	assert_int_equal(fixture->quire->nr_dirty, 4);
	fixture->store->submit_error = 0;
	assert_int_equal(vfs_fsync_range(fixture->file, 0, UINT64_MAX), 0);

	/* Without memory for requests pages go one by one. */
	dirty(fixture->file, 2, 5, 4);
	test_store_clear_log(fixture->store);
	quire_fail_arm(FAIL_ALLOC, 1, true);
	assert_int_equal(writeback_mapping(fixture->mapping, &control), 0);
	assert_true(quire_fail_disarm());
	assert_int_equal(fixture->store->nr_log, 4);
	assert_int_equal(fixture->quire->nr_dirty, 0);
}

static int write_for_reclaim(struct file_fixture *fixture, pgoff_t index)
{
	struct page *page = filemap_lookup(fixture->mapping, index);
	int error;

	assert_non_null(page);
	lock_page(page);
	error = writeback_around_page(page);
	put_page(fixture->quire, page);
	return error;
}

static void reclaim_writes_the_dirty_neighbours_too(void **state)
{
	struct file_fixture *fixture = *state;
	struct page *locked;

	/* A run ends at a page that is clean, or locked, or at the end of an aligned piece. */
	dirty(fixture->file, 9, 14, 5);
	dirty(fixture->file, 16, 16, 5);
	dirty(fixture->file, 24, 40, 5);
	assert_int_equal(write_for_reclaim(fixture, 11), 0);
	assert_int_equal(fixture->store->nr_log, 1);
	assert_request(fixture->store, 0, 9 * PAGE_SIZE, 6);
	locked = filemap_lookup(fixture->mapping, 27);
	lock_page(locked);
	assert_int_equal(write_for_reclaim(fixture, 31), 0);
	unlock_page(locked);
	put_page(fixture->quire, locked);
	assert_int_equal(fixture->store->nr_log, 2);
	assert_request(fixture->store, 1, 28 * PAGE_SIZE, 4);
	assert_int_equal(write_for_reclaim(fixture, 32), 0);
	assert_request(fixture->store, 2, 32 * PAGE_SIZE, 9);
	assert_int_equal(write_for_reclaim(fixture, 24), 0);
	assert_request(fixture->store, 3, 24 * PAGE_SIZE, 4);
	assert_int_equal(write_for_reclaim(fixture, 16), 0);
	assert_request(fixture->store, 4, 16 * PAGE_SIZE, 1);
	assert_int_equal(fixture->quire->nr_dirty, 0);
	file_fixture_check(fixture);
}

/* A failure leaves all of them dirty; from then on each goes alone, so one bad place costs no
 * other page. */
static void reclaim_keeps_what_it_cannot_write(void **state)
{
	struct file_fixture *fixture = *state;

	dirty(fixture->file, 0, 3, 6);
	fixture->store->submit_error = -EIO;
	fixture->store->error_offset = PAGE_SIZE;
	assert_int_equal(write_for_reclaim(fixture, 2), -EIO);
	assert_int_equal(fixture->quire->nr_dirty, 4);
	for (pgoff_t index = 0; index < 4; index++)
		assert_int_equal(write_for_reclaim(fixture, index), index == 1 ? -EIO : 0);
	assert_int_equal(fixture->store->nr_log, 5);
	assert_int_equal(fixture->quire->nr_dirty, 1);
	file_fixture_check(fixture);
	fixture->store->submit_error = 0;
	assert_int_equal(write_for_reclaim(fixture, 1), 0);
	assert_int_equal(fixture->quire->nr_dirty, 0);
}

/* Without memory for a request the pages go one by one. */
static void reclaim_needs_no_memory_to_write(void **state)
{
	struct file_fixture *fixture = *state;

	dirty(fixture->file, 0, 3, 7);
	quire_fail_arm(FAIL_ALLOC, 1, true);
	assert_int_equal(write_for_reclaim(fixture, 0), 0);
	assert_true(quire_fail_disarm());
	assert_int_equal(fixture->store->nr_log, 4);
	assert_int_equal(fixture->quire->nr_dirty, 0);
	file_fixture_check(fixture);
}

static void evicting_dirty_pages_costs_few_requests(void **state)
{
	struct file_fixture *fixture = *state;
	uint8_t page[PAGE_SIZE];

	dirty(fixture->file, 0, PAGES - 1, 8);
	assert_int_equal(fixture->store->nr_log, 0);
	assert_int_equal(quire_reclaim(fixture->quire, NULL, PAGES), PAGES);
	assert_int_equal(fixture->mapping->nrpages, 0);
	assert_int_equal(fixture->store->nr_log, 2);
	assert_request(fixture->store, 0, 0, 32);
	assert_request(fixture->store, 1, 32 * PAGE_SIZE, 32);
	for (pgoff_t index = 0; index < PAGES; index++) {
		assert_int_equal(
			test_store_peek(fixture->store, page, PAGE_SIZE, index << PAGE_SHIFT),
			PAGE_SIZE);
		for (uint32_t i = 0; i < PAGE_SIZE; i++)
			assert_int_equal(page[i], 8);
	}
}

static void oldest_file_goes_first(void **state)
{
	struct file_fixture *fixture = *state;
	struct test_store *other_store = test_store_create(PAGE_SIZE);
	struct file *other =
		file_fixture_open(fixture, 2, &other_store->base, FMODE_READ | FMODE_WRITE);
	struct writeback_control control = everything(true);
	int64_t between;

	dirty(other, 0, 0, 1);
	between = quire_now(fixture->quire);
	dirty(fixture->file, 0, 3, 1);
	control.dirtied_before = between;
	assert_int_equal(writeback_instance(fixture->quire, &control), 0);
	assert_int_equal(control.written, 1);
	assert_int_equal(other_store->nr_log, 1);
	assert_int_equal(fixture->store->nr_log, 0);

	dirty(other, 0, 0, 1);
	control = everything(true);
	control.nr_to_write = 4;
	assert_int_equal(writeback_instance(fixture->quire, &control), 0);
	assert_int_equal(fixture->store->nr_log, 1);
	assert_int_equal(other_store->nr_log, 1);
	fput(other);
}

static void writers_are_held_back(void **state)
{
	struct file_fixture *fixture = *state;
	const uint64_t frames = fixture->quire->zone.nr_frames;
	uint8_t page[PAGE_SIZE] = {1};

	for (pgoff_t index = 0; index < frames / 2; index++) {
		assert_int_equal(
			filemap_write(fixture->file, NULL, page, PAGE_SIZE, index << PAGE_SHIFT),
			PAGE_SIZE);
		assert_true(fixture->quire->nr_dirty <= frames / 5 + 1);
	}
	assert_true(fixture->store->nr_log > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_become_requests_in_file_order, setup,
						teardown),
		cmocka_unit_test_setup_teardown(requests_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(range_and_amount_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(last_page_ends_with_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_under_writeback_stay_and_are_waited_for,
						setup, teardown),
		cmocka_unit_test_setup_teardown(validation_waits_for_writes_under_way, setup,
						teardown),
		cmocka_unit_test_setup_teardown(failed_pages_are_dirty_again, setup, teardown),
		cmocka_unit_test_setup_teardown(each_opener_hears_of_an_error_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(sync_errors_count_as_write_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(lack_of_memory_is_no_write_error, setup, teardown),
		cmocka_unit_test_setup_teardown(reclaim_writes_the_dirty_neighbours_too, setup,
						teardown),
		cmocka_unit_test_setup_teardown(reclaim_keeps_what_it_cannot_write, setup,
						teardown),
		cmocka_unit_test_setup_teardown(reclaim_needs_no_memory_to_write, setup, teardown),
		cmocka_unit_test_setup_teardown(evicting_dirty_pages_costs_few_requests, setup,
						teardown),
		cmocka_unit_test_setup_teardown(oldest_file_goes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(writers_are_held_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
