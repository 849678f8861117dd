/* SPDX-License-Identifier: MIT */
/*
 * Tests of the life of inodes and handles.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/prng.h"
#include "core/file/file_test.h"

#include <quire/memory_store.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY (2u << 20)

static int setup(void **state)
{
	struct file_fixture *fixture = calloc(1, sizeof(*fixture));

	file_fixture_setup(fixture, MEMORY, 3 * PAGE_SIZE, 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	file_fixture_teardown(*state);
	free(*state);
	return 0;
}

static void identity_is_device_and_number(void **state)
{
	struct file_fixture *fixture = *state;
	struct test_store *unneeded = test_store_create(0);
	bool closed = false;
	struct file *same, *other;

	unneeded->closed = &closed;
	same = file_fixture_open(fixture, 1, &unneeded->base, FMODE_READ);
	assert_ptr_equal(same->f_inode, fixture->inode);
	assert_true(closed);
	other = file_fixture_open(fixture, 2, &test_store_create(10)->base, FMODE_READ);
	assert_ptr_not_equal(other->f_inode, fixture->inode);
	assert_int_equal(i_size_read(other->f_inode), 10);
	fput(same);
	fput(other);
}

static void file_without_pages_goes_with_its_last_user(void **state)
{
	struct file_fixture *fixture = *state;
	struct test_store *store = test_store_create(PAGE_SIZE);
	bool closed = false;
	struct file *file;

	store->closed = &closed;
	file = file_fixture_open(fixture, 2, &store->base, FMODE_READ);
	get_file(file);
	fput(file);
	assert_false(closed);
	fput(file);
	assert_true(closed);
}

/* Any open frees what reclaim has emptied. */
static void open_another(struct file_fixture *fixture, uint64_t ino)
{
	fput(file_fixture_open(fixture, ino, &test_store_create(0)->base, FMODE_READ));
}

static void file_with_pages_stays_until_they_are_gone(void **state)
{
	struct file_fixture *fixture = *state;
	struct test_store *store = test_store_create(2 * PAGE_SIZE);
	struct inode *inode;
	bool closed = false;
	uint8_t page[PAGE_SIZE];
	struct file *file = file_fixture_open(fixture, 2, &store->base, FMODE_READ | FMODE_WRITE);

	store->closed = &closed;
	inode = file->f_inode;
	assert_int_equal(filemap_write(file, NULL, "kept", 4, 5), 4);
	fput(file);
	assert_false(closed);
	file = file_fixture_open(fixture, 2, &test_store_create(0)->base, FMODE_READ);
	assert_ptr_equal(file->f_inode, inode);
	assert_int_equal(filemap_read(file, NULL, page, 4, 5), 4);
	assert_memory_equal(page, "kept", 4);
	fput(file);

	/* What cannot be written is not dropped. */
	store->write_error = -EIO;
	quire_reclaim(fixture->quire, NULL, 100);
	open_another(fixture, 3);
	assert_false(closed);
	store->write_error = 0;
	assert_int_equal(quire_writeback(fixture->quire), 0);
	open_another(fixture, 4);
	assert_false(closed);
	quire_reclaim(fixture->quire, NULL, 100);
	open_another(fixture, 5);
	assert_true(closed);
	assert_file_bytes(fixture->file, 0, 3 * PAGE_SIZE, test_byte);
}

static void writable_store_replaces_a_read_only_one(void **state)
{
	struct file_fixture *fixture = *state;
	struct test_store *reader = test_store_create(PAGE_SIZE);
	struct test_store *writer = test_store_create(PAGE_SIZE);
	bool reader_closed = false, writer_closed = false;
	struct file *first, *second;

	reader->base.writable = false;
	reader->closed = &reader_closed;
	writer->closed = &writer_closed;
	first = file_fixture_open(fixture, 2, &reader->base, FMODE_READ);
	assert_file_bytes(first, 0, 100, test_byte);
	second = file_fixture_open(fixture, 2, &writer->base, FMODE_READ | FMODE_WRITE);
	assert_ptr_equal(first->f_inode, second->f_inode);
	assert_false(reader_closed || writer_closed);
	assert_int_equal(filemap_write(second, NULL, "new", 3, 0), 3);
	assert_int_equal(vfs_fsync_range(first, 0, UINT64_MAX), 0);
	assert_int_equal(writer->nr_log, 1);
	fput(first);
	fput(second);
	assert_int_equal(quire_writeback(fixture->quire), 0);
	quire_reclaim(fixture->quire, NULL, 100);
	open_another(fixture, 3);
	assert_true(reader_closed && writer_closed);
}

static void errors_of_opening_leave_the_store_to_the_caller(void **state)
{
	struct file_fixture *fixture = *state;
	struct test_store *store = test_store_create(PAGE_SIZE);
	struct inode *inode;

	store->size_error = -EIO;
	assert_int_equal(inode_get(fixture->quire, 1, 9, "x", &store->base, &inode), -EIO);
	store->size_error = 0;
	quire_fail_arm(FAIL_ALLOC, 1, false);
	assert_int_equal(inode_get(fixture->quire, 1, 9, "x", &store->base, &inode), -ENOMEM);
	quire_fail_disarm();
	store->base.ops->close(&store->base);
	quire_fail_arm(FAIL_ALLOC, 1, false);
	assert_null(file_alloc(fixture->inode, FMODE_READ));
	quire_fail_disarm();
}

/* Files that are still open, and dirty pages that cannot be written, go with the instance. */
static void instance_takes_everything_with_it(void **state)
{
	const uint64_t live = quire_alloc_live();
	struct file_fixture fixture;
	struct test_store *store;

	(void)state;
	file_fixture_setup(&fixture, MEMORY, 3 * PAGE_SIZE, 0);
	store = test_store_create(0);
	store->write_error = -ENOSPC;
	file_fixture_open(&fixture, 2, &store->base, FMODE_WRITE);
	assert_int_equal(filemap_write(fixture.file, NULL, "x", 1, 0), 1);
	assert_int_equal(quire_destroy(fixture.quire), 0);
	assert_int_equal(quire_alloc_live(), live);

	file_fixture_setup(&fixture, MEMORY, 3 * PAGE_SIZE, 0);
	fixture.store->write_error = -ENOSPC;
	assert_int_equal(filemap_write(fixture.file, NULL, "x", 1, 0), 1);
	assert_int_equal(quire_destroy(fixture.quire), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(quire_alloc_live(), live);
}

#define MODEL_FILES 4000
#define MODEL_STEPS 40000
#define MODEL_DIRTY 100

/* What must be known of one identity. */
struct model_file {
	struct file *handle; /* NULL: not open */
	uint64_t sequence;   /* of the inode when it was last seen */
	bool dirty;          /* has a page, so it stays when it is closed */
};

/* Identities that differ in either half only, at both ends of the range. */
static uint64_t model_dev(uint64_t i)
{
	return i % 3 ? i % 3 : UINT64_MAX;
}

static uint64_t model_ino(uint64_t i)
{
	return i / 3 % 2 ? UINT64_MAX - i / 6 : 10 + i / 6;
}

static void model_open(struct quire *quire, struct model_file *model, uint64_t i)
{
	const bool known = model[i].handle || model[i].dirty;
	struct quire_store *store;
	struct inode *inode;
	struct file *handle;

	assert_int_equal(quire_memory_store_create(0, &store), 0);
	assert_int_equal(inode_get(quire, model_dev(i), model_ino(i), "model", store, &inode), 0);
	assert_true(inode->dev == model_dev(i) && inode->ino == model_ino(i));
	assert_int_equal(inode->sequence == model[i].sequence, known);
	model[i].sequence = inode->sequence;
	handle = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	assert_non_null(handle);
	iput(inode);
	if (model[i].handle)
		fput(model[i].handle);
	model[i].handle = handle;
}

static void model_close(struct model_file *model, uint64_t i)
{
	fput(model[i].handle);
	model[i].handle = NULL;
}

static uint64_t count_inodes(const struct quire *quire)
{
	uint64_t count = 0;
	const struct list_head *entry;

	for (entry = quire->inodes.next; entry != &quire->inodes; entry = entry->next)
		count++;
	return count;
}

static void thousands_of_files_agree_with_a_model(void **state)
{
	struct file_fixture *fixture = *state;
	struct model_file *model = calloc(MODEL_FILES, sizeof(*model));
	uint64_t expected = 1, nr_dirty = 0;
	struct prng prng;

	assert_non_null(model);
	prng_seed(&prng, 1);
	for (uint64_t i = 0; i < MODEL_FILES; i++)
		model_open(fixture->quire, model, i);
	assert_int_equal(count_inodes(fixture->quire), 1 + MODEL_FILES);
	for (uint64_t step = 0; step < MODEL_STEPS; step++) {
		const uint64_t i = prng_below(&prng, MODEL_FILES);

		if (!model[i].handle || prng_below(&prng, 4) == 0)
			model_open(fixture->quire, model, i);
		else
			model_close(model, i);
		if (model[i].handle && !model[i].dirty && nr_dirty < MODEL_DIRTY &&
		    prng_below(&prng, 50) == 0) {
			assert_int_equal(filemap_write(model[i].handle, NULL, "x", 1, 0), 1);
			model[i].dirty = true;
			nr_dirty++;
		}
		if (step % 8000 == 0)
			test_instance_check(&fixture->test);
	}
	for (uint64_t i = 0; i < MODEL_FILES; i++)
		expected += model[i].handle || model[i].dirty;
	assert_int_equal(count_inodes(fixture->quire), expected);

	/* Without users and pages they go, a few at each open. */
	for (uint64_t i = 0; i < MODEL_FILES; i++)
		if (model[i].handle)
			model_close(model, i);
	assert_int_equal(count_inodes(fixture->quire), 1 + MODEL_DIRTY);
	assert_int_equal(quire_writeback(fixture->quire), 0);
	assert_true(quire_reclaim(fixture->quire, NULL, MODEL_DIRTY) >= MODEL_DIRTY);
	for (uint64_t i = 0; i < MODEL_DIRTY; i++)
		open_another(fixture, MODEL_FILES + i);
	assert_int_equal(count_inodes(fixture->quire), 1);
	free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(identity_is_device_and_number, setup, teardown),
		cmocka_unit_test_setup_teardown(file_without_pages_goes_with_its_last_user, setup,
						teardown),
		cmocka_unit_test_setup_teardown(file_with_pages_stays_until_they_are_gone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(writable_store_replaces_a_read_only_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(errors_of_opening_leave_the_store_to_the_caller,
						setup, teardown),
		cmocka_unit_test(instance_takes_everything_with_it),
		cmocka_unit_test_setup_teardown(thousands_of_files_agree_with_a_model, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
