/* SPDX-License-Identifier: MIT */
/*
 * Property test: a regular file and a shmem object, used at random by calls and by a mapping, under
 * memory pressure, with writeback, eviction and failing writes, against a plain array of bytes.
 */
#include "base/prng.h"
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/file/file_test.h"
#include "core/file/internal.h"
#include "core/file/writeback.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY (1u << 20)
#define MAX_SIZE ((uint64_t)160 * PAGE_SIZE)
#define STEPS 1500
#define SEEDS 6

struct model {
	struct file_fixture fixture;
	struct file *file;
	struct prng prng;
	struct mm_struct *mm;
	uint64_t map;    /* MAX_SIZE of the file, shared */
	uint64_t anon;   /* a buffer of MAX_SIZE */
	uint64_t size;   /* the model's */
	uint8_t *bytes;  /* zero beyond the size */
	uint8_t *buffer; /* scratch */
};

static uint64_t pick(struct model *model, uint64_t n)
{
	return prng_below(&model->prng, n);
}

/* Small, a few pages, or large; often on a page boundary. */
static uint64_t pick_length(struct model *model)
{
	switch (pick(model, 4)) {
	case 0:
		return 1 + pick(model, 100);
	case 1:
		return PAGE_SIZE << pick(model, 3);
	case 2:
		return 1 + pick(model, 4 * PAGE_SIZE);
	default:
		return 1 + pick(model, 40 * PAGE_SIZE);
	}
}

static uint64_t pick_offset(struct model *model, uint64_t limit)
{
	uint64_t offset = pick(model, limit);

	return pick(model, 2) ? offset : PAGE_ALIGN_DOWN(offset);
}

static void model_read(struct model *model)
{
	const uint64_t offset = pick_offset(model, MAX_SIZE);
	const uint64_t length = min_u64(pick_length(model), MAX_SIZE - offset);
	const uint64_t expected = offset < model->size ? min_u64(length, model->size - offset) : 0;
	int64_t result;

	if (pick(model, 2)) {
		result = filemap_read(model->file, NULL, model->buffer, length, offset);
	} else {
		const uint64_t at = model->anon + pick(model, MAX_SIZE - length + 1);

		result = filemap_read_user(model->file, model->mm, at, length, offset);
		if (expected)
			assert_int_equal(
				access_process_vm(model->mm, at, model->buffer, expected, false),
				expected);
	}
	assert_int_equal(result, expected);
	assert_memory_equal(model->buffer, model->bytes + offset, expected);
}

static void model_write(struct model *model)
{
	const uint64_t offset = pick_offset(model, MAX_SIZE);
	const uint64_t length = min_u64(pick_length(model), MAX_SIZE - offset);
	const uint64_t seed = prng_next(&model->prng);
	int64_t result;

	for (uint64_t i = 0; i < length; i++)
		model->buffer[i] = (uint8_t)(seed >> (i % 56)) ^ (uint8_t)i;
	if (pick(model, 2)) {
		result = filemap_write(model->file, NULL, model->buffer, length, offset);
	} else {
		const uint64_t at = model->anon + pick(model, MAX_SIZE - length + 1);

		assert_int_equal(access_process_vm(model->mm, at, model->buffer, length, true),
				 length);
		result = filemap_write_user(model->file, model->mm, at, length, offset);
	}
	assert_int_equal(result, length);
	memcpy(model->bytes + offset, model->buffer, length);
	model->size = max_u64(model->size, offset + length);
}

static void model_truncate(struct model *model)
{
	const uint64_t size = pick_offset(model, MAX_SIZE);

	assert_int_equal(file_truncate(model->file, size), 0);
	if (size < model->size)
		memset(model->bytes + size, 0, model->size - size);
	model->size = size;
}

static void model_punch(struct model *model)
{
	const uint64_t offset = pick_offset(model, MAX_SIZE);
	const uint64_t length = min_u64(pick_length(model), MAX_SIZE - offset);

	model->fixture.store->discard_error = pick(model, 2) ? -EOPNOTSUPP : 0;
	assert_int_equal(file_punch_hole(model->file, offset, length), 0);
	if (offset < model->size)
		memset(model->bytes + offset, 0, min_u64(length, model->size - offset));
}

static void model_load(struct model *model)
{
	const uint64_t offset = pick(model, MAX_SIZE);
	uint32_t error = 0;
	uint8_t byte = test_load(model->mm, model->map + offset, &error);

	if (offset < PAGE_ALIGN(model->size)) {
		assert_int_equal(error, 0);
		if (offset < model->size)
			assert_int_equal(byte, model->bytes[offset]);
	} else {
		assert_int_equal(error, VM_FAULT_SIGBUS);
	}
}

static void model_store(struct model *model)
{
	const uint64_t offset = pick(model, MAX_SIZE);
	const uint8_t byte = (uint8_t)prng_next(&model->prng);
	uint32_t error = 0;

	/* shmem, as on Linux, keeps what is stored in its last page beyond the end. */
	if (offset >= model->size && offset < PAGE_ALIGN(model->size) &&
	    mapping_is_shmem(model->file->f_mapping))
		return;
	test_store(model->mm, model->map + offset, byte, &error);
	assert_int_equal(error, offset < PAGE_ALIGN(model->size) ? 0 : VM_FAULT_SIGBUS);
	if (offset < model->size)
		model->bytes[offset] = byte;
}

static void model_writeback(struct model *model)
{
	struct test_store *store = model->fixture.store;
	struct writeback_control control = {
		.start = pick(model, MAX_SIZE),
		.end = UINT64_MAX,
		.nr_to_write = 1 + pick(model, 100),
		.sync = pick(model, 2),
	};
	int error;

	store->write_error = pick(model, 4) ? 0 : -EIO;
	store->error_offset = pick(model, MAX_SIZE);
	error = writeback_mapping(model->file->f_mapping, &control);
	assert_true(!error || error == store->write_error);
	store->write_error = 0;
	store->error_offset = UINT64_MAX;
}

static void model_step(struct model *model)
{
	switch (pick(model, 16)) {
	case 0:
		model_truncate(model);
		break;
	case 1:
		model_punch(model);
		break;
	case 2:
	case 3:
		model_writeback(model);
		break;
	case 4:
		quire_reclaim(model->fixture.quire, NULL, 1 + pick(model, 100));
		break;
	case 5:
	case 6:
	case 7:
		model_write(model);
		break;
	case 8:
	case 9:
	case 10:
		model_store(model);
		break;
	case 11:
	case 12:
		model_load(model);
		break;
	default:
		model_read(model);
	}
	assert_int_equal(i_size_read(model->file->f_inode), model->size);
}

/* What the store holds after everything was written. */
static void check_store(struct model *model)
{
	struct test_store *store = model->fixture.store;

	assert_int_equal(vfs_fsync_range(model->fixture.file, 0, UINT64_MAX) == 0 ||
				 vfs_fsync_range(model->fixture.file, 0, UINT64_MAX) == 0,
			 true);
	if (mapping_is_shmem(model->file->f_mapping))
		return;
	assert_int_equal(store->inner->ops->size(store->inner), model->size);
	assert_int_equal(test_store_peek(store, model->buffer, MAX_SIZE, 0), model->size);
	assert_memory_equal(model->buffer, model->bytes, model->size);
}

static void check_model(struct model *model)
{
	struct check_report report = {0};

	address_space_validate(model->file->f_mapping, &report);
	if (report.violations)
		fail_msg("%s", report.first);
}

static struct file *open_shmem(struct quire *quire)
{
	struct inode *inode;
	struct file *file;

	assert_int_equal(shmem_create(quire, "model", 0, true, &inode), 0);
	file = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	iput(inode);
	return file;
}

static void run_model(uint64_t seed, bool shmem)
{
	struct model model = {.bytes = calloc(1, MAX_SIZE), .buffer = calloc(1, MAX_SIZE)};

	prng_seed(&model.prng, seed);
	file_fixture_setup(&model.fixture, MEMORY, 0, seed % 2 ? 8 * PAGE_SIZE : 0);
	test_instance_add_swap(&model.fixture.test, 1024);
	model.file = shmem ? open_shmem(model.fixture.quire) : model.fixture.file;
	assert_int_equal(mm_alloc(model.fixture.quire, "model", NULL, &model.mm), 0);
	model.map = map_anywhere(model.mm, MAX_SIZE, QUIRE_MAP_SHARED, model.file);
	model.anon =
		map_anywhere(model.mm, MAX_SIZE, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	for (int step = 0; step < STEPS; step++) {
		model_step(&model);
		check_model(&model);
	}
	test_instance_check(&model.fixture.test);
	check_store(&model);
	mm_destroy(model.mm);
	if (shmem)
		fput(model.file);
	file_fixture_teardown(&model.fixture);
	free(model.bytes);
	free(model.buffer);
}

static void regular_file_is_an_array_of_bytes(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++)
		run_model(seed, false);
}

static void shmem_object_is_an_array_of_bytes(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++)
		run_model(seed, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regular_file_is_an_array_of_bytes),
		cmocka_unit_test(shmem_object_is_an_array_of_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
