/* SPDX-License-Identifier: MIT */
/*
 * Tests of readahead: which pages are read with which requests.
 */
#include "core/file/readahead.h"

#include "base/fail.h"
#include "core/file/file_test.h"
#include "core/file/internal.h"
#include "core/vma/mm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MEMORY (8u << 20)
#define PAGES 1024
#define WINDOW 32

static int setup(void **state)
{
	struct file_fixture *fixture = calloc(1, sizeof(*fixture));

	file_fixture_setup(fixture, MEMORY, PAGES * PAGE_SIZE, WINDOW * PAGE_SIZE);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	file_fixture_teardown(*state);
	free(*state);
	return 0;
}

static void read_pages(struct file_fixture *fixture, pgoff_t index, uint64_t pages)
{
	static uint8_t buffer[PAGES * PAGE_SIZE];

	assert_int_equal(
		filemap_read(fixture->file, NULL, buffer, pages << PAGE_SHIFT, index << PAGE_SHIFT),
		pages << PAGE_SHIFT);
	for (uint64_t i = 0; i < pages << PAGE_SHIFT; i += 997)
		assert_int_equal(buffer[i], test_byte((index << PAGE_SHIFT) + i));
}

static void assert_request(const struct test_store *store, uint32_t number, pgoff_t index,
			   uint32_t pages)
{
	assert_true(number < store->nr_log);
	assert_int_equal(store->log[number].offset >> PAGE_SHIFT, index);
	assert_int_equal(store->log[number].nr_segments, pages);
}

static void sequential_reads_open_a_growing_window(void **state)
{
	struct file_fixture *fixture = *state;
	struct test_store *store = fixture->store;

	/* One page at the beginning: an initial window of four, the last three to start the next.
	 */
	read_pages(fixture, 0, 1);
	assert_int_equal(store->nr_log, 1);
	assert_request(store, 0, 0, 4);
	read_pages(fixture, 1, 1);
	assert_request(store, 1, 4, 8);
	read_pages(fixture, 2, 3);
	assert_request(store, 2, 12, 16);
	for (pgoff_t index = 5; index < 300; index++)
		read_pages(fixture, index, 1);
	/* Windows of full size from there on, no page twice, none missed. */
	for (uint32_t i = 1; i < store->nr_log; i++)
		assert_int_equal(store->log[i].offset,
				 store->log[i - 1].offset + store->log[i - 1].bytes);
	assert_request(store, store->nr_log - 1, 316, WINDOW);
	assert_true(stat_read(&fixture->quire->events, EVENT_READAHEAD) > 300);
}

static void random_reads_read_what_is_wanted(void **state)
{
	struct file_fixture *fixture = *state;

	read_pages(fixture, 500, 2);
	read_pages(fixture, 100, 1);
	read_pages(fixture, 900, 3);
	assert_int_equal(fixture->store->nr_log, 3);
	assert_request(fixture->store, 0, 500, 2);
	assert_request(fixture->store, 1, 100, 1);
	assert_request(fixture->store, 2, 900, 3);
	assert_int_equal(stat_read(&fixture->quire->events, EVENT_READAHEAD), 0);
}

static void windows_end_with_the_file(void **state)
{
	struct file_fixture *fixture = *state;

	read_pages(fixture, 0, PAGES);
	for (uint32_t i = 0; i < fixture->store->nr_log; i++)
		assert_true(fixture->store->log[i].offset + fixture->store->log[i].bytes <=
			    PAGES * PAGE_SIZE);
	assert_int_equal(stat_read(&fixture->quire->events, EVENT_FILE_READ), PAGES);
}

static void pages_in_the_cache_split_a_request(void **state)
{
	struct file_fixture *fixture = *state;
	const struct filemap_context context = {0};

	read_pages(fixture, 510, 1);
	test_store_clear_log(fixture->store);
	force_page_cache_readahead(fixture->mapping, 505, 10, &context);
	assert_int_equal(fixture->store->nr_log, 2);
	assert_request(fixture->store, 0, 505, 5);
	assert_request(fixture->store, 1, 511, 4);
	/* Beyond the end there is nothing. */
	force_page_cache_readahead(fixture->mapping, PAGES - 1, 100, &context);
	force_page_cache_readahead(fixture->mapping, PAGES, 100, &context);
	assert_request(fixture->store, 2, PAGES - 1, 1);
	assert_int_equal(fixture->store->nr_log, 3);
}

static void fault(struct file_fixture *fixture, pgoff_t index, uint64_t vm_flags)
{
	const struct filemap_context context = {
		.ra = &fixture->file->f_ra,
		.mmap = true,
		.vm_flags = vm_flags,
	};
	struct page *page;

	assert_int_equal(filemap_get_page(fixture->mapping, index, &context, &page), 0);
	put_page(fixture->quire, page);
}

static void faults_read_around(void **state)
{
	struct file_fixture *fixture = *state;

	fault(fixture, 100, 0);
	assert_request(fixture->store, 0, 100 - WINDOW / 2, WINDOW);
	fault(fixture, 110, 0);
	assert_int_equal(fixture->store->nr_log, 1);
	fault(fixture, 3, 0);
	assert_request(fixture->store, 1, 0, WINDOW);
}

static void advice_is_followed(void **state)
{
	struct file_fixture *fixture = *state;

	fault(fixture, 100, VM_RAND_READ);
	assert_request(fixture->store, 0, 100, 1);
	fault(fixture, 200, VM_SEQ_READ);
	assert_request(fixture->store, 1, 200, WINDOW);
}

static void many_misses_end_reading_around(void **state)
{
	struct file_fixture *fixture = *state;
	uint32_t around = 0, alone = 0;

	/* Far apart, and what is read around is never used. */
	for (uint32_t i = 0; i < 150; i++) {
		fault(fixture, (i * 37) % 28 * WINDOW + WINDOW / 2, 0);
		file_fixture_evict(fixture);
	}
	for (uint32_t i = 0; i < fixture->store->nr_log; i++) {
		around += fixture->store->log[i].nr_segments > 1;
		alone += fixture->store->log[i].nr_segments == 1;
	}
	assert_int_equal(around, MMAP_LOTSAMISS + 1);
	assert_int_equal(alone, 150 - MMAP_LOTSAMISS - 1);
}

static void failed_readahead_is_nobodys_error(void **state)
{
	struct file_fixture *fixture = *state;
	uint8_t byte;

	/* A window with a bad page in it fails as a whole; each page is then read by itself. */
	fixture->store->read_error = -EIO;
	fixture->store->error_offset = 2 * PAGE_SIZE;
	read_pages(fixture, 0, 2);
	assert_int_equal(filemap_read(fixture->file, NULL, &byte, 1, 2 * PAGE_SIZE), -EIO);
	read_pages(fixture, 3, 1);
	fixture->store->read_error = 0;
	read_pages(fixture, 2, 1);
}

static void lack_of_memory_ends_a_window(void **state)
{
	struct file_fixture *fixture = *state;

	/* The request cannot be allocated: pages are read one by one. */
	read_pages(fixture, 210, 1);
	test_store_clear_log(fixture->store);
	quire_fail_arm(FAIL_ALLOC, 1, true);
	read_pages(fixture, 200, 2);
	assert_true(quire_fail_disarm());
	assert_int_equal(fixture->store->nr_log, 2);
	/* No frame but for the page that is needed. */
	quire_fail_arm(FAIL_FRAME, 1, false);
	read_pages(fixture, 205, 1);
	assert_true(quire_fail_disarm());
}

static void no_page_is_waited_for_ahead_of_need(void **state)
{
	struct file_fixture *fixture = *state;
	const struct filemap_context context = {0};
	struct page *page;

	fixture->store->hold = true;
	force_page_cache_readahead(fixture->mapping, 10, 3, &context);
	page = filemap_lookup(fixture->mapping, 11);
	assert_non_null(page);
	assert_true(page_locked(page));
	assert_false(filemap_resident(fixture->mapping, 11));
	test_store_release(fixture->store);
	assert_false(page_locked(page));
	assert_true(filemap_resident(fixture->mapping, 11));
	put_page(fixture->quire, page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sequential_reads_open_a_growing_window, setup,
						teardown),
		cmocka_unit_test_setup_teardown(random_reads_read_what_is_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(windows_end_with_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_in_the_cache_split_a_request, setup,
						teardown),
		cmocka_unit_test_setup_teardown(faults_read_around, setup, teardown),
		cmocka_unit_test_setup_teardown(advice_is_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(many_misses_end_reading_around, setup, teardown),
		cmocka_unit_test_setup_teardown(failed_readahead_is_nobodys_error, setup, teardown),
		cmocka_unit_test_setup_teardown(lack_of_memory_ends_a_window, setup, teardown),
		cmocka_unit_test_setup_teardown(no_page_is_waited_for_ahead_of_need, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
