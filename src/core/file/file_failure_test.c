/* SPDX-License-Identifier: MIT */
/*
 * The Nth allocation, frame or store call of a run of file calls fails, for each N until none is
 * reached: nothing leaks, everything validates, and what was written before is read afterwards.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/file/file_test.h"
#include "core/file/internal.h"
#include "core/file/writeback.h"

#include <quire/inject_store.h>
#include <quire/memory_store.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY (1u << 20)
#define SWEEP_MAX 5000

struct run {
	struct test_instance test;
	struct quire *quire;
	struct file *file, *object;
	struct mm_struct *mm;
	uint64_t map;
};

static struct file *open_file(struct quire *quire)
{
	struct quire_store *memory, *store;
	struct inode *inode;
	struct file *file;

	assert_int_equal(quire_memory_store_create(0, &memory), 0);
	assert_int_equal(quire_inject_store_create(memory, &store), 0);
	assert_int_equal(inode_get(quire, 1, 1, "file", store, &inode), 0);
	file = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	iput(inode);
	return file;
}

static struct file *open_object(struct quire *quire)
{
	struct inode *inode;
	struct file *file;

	assert_int_equal(shmem_create(quire, "object", 0, true, &inode), 0);
	file = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	iput(inode);
	return file;
}

static void write_kept(struct file *file)
{
	uint8_t page[PAGE_SIZE];

	for (uint64_t index = 0; index < 4; index++) {
		memset(page, (int)(0x40 + index), sizeof(page));
		assert_int_equal(filemap_write(file, NULL, page, PAGE_SIZE, index << PAGE_SHIFT),
				 PAGE_SIZE);
	}
}

static void start(struct run *run)
{
	struct mmap_request request = {
		.length = 64 * PAGE_SIZE,
		.prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		.flags = QUIRE_MAP_SHARED,
	};
	int64_t address;

	test_instance_create(&run->test, (struct quire_params){.memory = MEMORY});
	run->quire = run->test.quire;
	test_instance_add_swap(&run->test, 512);
	run->file = open_file(run->quire);
	run->object = open_object(run->quire);
	write_kept(run->file);
	write_kept(run->object);
	assert_int_equal(mm_alloc(run->quire, "run", NULL, &run->mm), 0);
	request.file = run->file;
	address = do_mmap(run->mm, &request);
	assert_true(address > 0);
	run->map = (uint64_t)address;
}

/* Every call may fail; none of them touches the first four pages but to read them. */
static void use_file(struct run *run, struct file *file)
{
	static uint8_t buffer[24 * PAGE_SIZE];
	struct writeback_control control = {
		.end = UINT64_MAX, .nr_to_write = UINT64_MAX, .sync = true};
	uint32_t fault = 0;

	(void)!filemap_write(file, NULL, buffer, sizeof(buffer), 8 * PAGE_SIZE);
	(void)!filemap_write(file, NULL, buffer, 100, 200 * PAGE_SIZE + 50);
	(void)!writeback_mapping(file->f_mapping, &control);
	quire_reclaim(run->quire, NULL, 300);
	(void)!filemap_read(file, NULL, buffer, sizeof(buffer), 0);
	(void)!filemap_write(file, NULL, buffer, 10, 9 * PAGE_SIZE + 1);
	test_load(run->mm, run->map + 10 * PAGE_SIZE, &fault);
	test_store(run->mm, run->map + 11 * PAGE_SIZE, 1, &fault);
	(void)!file_punch_hole(file, 9 * PAGE_SIZE + 5, 6 * PAGE_SIZE);
	(void)!filemap_read_user(file, run->mm, run->map + 20 * PAGE_SIZE, 5000, 0);
	(void)!filemap_write_user(file, run->mm, run->map, 5000, 30 * PAGE_SIZE);
	(void)!file_truncate(file, 20 * PAGE_SIZE + 3);
	(void)!file_truncate(file, 40 * PAGE_SIZE);
	(void)!vfs_fsync_range(file, 0, UINT64_MAX);
	quire_reclaim(run->quire, NULL, 300);
}

static void check_kept(struct file *file)
{
	uint8_t page[PAGE_SIZE];

	for (uint64_t index = 0; index < 4; index++) {
		assert_int_equal(filemap_read(file, NULL, page, PAGE_SIZE, index << PAGE_SHIFT),
				 PAGE_SIZE);
		for (uint64_t i = 0; i < PAGE_SIZE; i++)
			assert_int_equal(page[i], 0x40 + index);
	}
}

static void finish(struct run *run)
{
	struct quire_store *store = run->file->f_inode->store;

	test_instance_check(&run->test);
	check_kept(run->file);
	check_kept(run->object);
	/* Whatever went wrong, everything can be written now, and the store is as long as the file.
	 */
	(void)!vfs_fsync_range(run->file, 0, UINT64_MAX);
	assert_int_equal(vfs_fsync_range(run->file, 0, UINT64_MAX), 0);
	assert_int_equal(run->quire->nr_dirty, 0);
	assert_int_equal(store->ops->size(store), i_size_read(run->file->f_inode));
	mm_destroy(run->mm);
	fput(run->file);
	fput(run->object);
	assert_int_equal(swap_free_slots(run->quire), swap_total(run->quire));
	test_instance_destroy(&run->test);
}

static void sweep(enum fail_site site, bool from_then_on)
{
	bool delivered = true;
	uint64_t n;

	for (n = 1; delivered; n++) {
		struct run run;

		assert_true(n < SWEEP_MAX);
		start(&run);
		quire_fail_arm(site, n, from_then_on);
		use_file(&run, run.file);
		use_file(&run, run.object);
		delivered = quire_fail_disarm();
		finish(&run);
	}
	assert_true(n > 10);
}

static void each_allocation_may_fail(void **state)
{
	(void)state;
	sweep(FAIL_ALLOC, false);
}

static void all_allocations_from_one_on_may_fail(void **state)
{
	(void)state;
	sweep(FAIL_ALLOC, true);
}

static void each_frame_may_be_refused(void **state)
{
	(void)state;
	sweep(FAIL_FRAME, false);
}

static void all_frames_from_one_on_may_be_refused(void **state)
{
	(void)state;
	sweep(FAIL_FRAME, true);
}

static void each_store_call_may_fail(void **state)
{
	(void)state;
	sweep(FAIL_STORE, false);
}

static void all_store_calls_from_one_on_may_fail(void **state)
{
	(void)state;
	sweep(FAIL_STORE, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(all_allocations_from_one_on_may_fail),
		cmocka_unit_test(each_frame_may_be_refused),
		cmocka_unit_test(all_frames_from_one_on_may_be_refused),
		cmocka_unit_test(each_store_call_may_fail),
		cmocka_unit_test(all_store_calls_from_one_on_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
