/* SPDX-License-Identifier: MIT */
/*
 * The store and the fixture of the tests of core/file; see file_test.h.
 */
#include "core/file/file_test.h"

#include "base/alloc.h"
#include "core/call/call.h"
#include "core/file/internal.h"
#include "core/reclaim/vmscan.h"

#include <quire/memory_store.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct test_store *to_test_store(struct quire_store *store)
{
	return container_of(store, struct test_store, base);
}

static uint64_t request_bytes(const struct quire_request *request)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < request->nr_segments; i++)
		bytes += request->segments[i].bytes;
	return bytes;
}

static bool is_hit(const struct test_store *store, const struct quire_request *request)
{
	return store->error_offset == UINT64_MAX ||
	       (store->error_offset >= request->offset &&
		store->error_offset - request->offset < request_bytes(request));
}

static void log_request(struct test_store *store, const struct quire_request *request)
{
	pthread_mutex_lock(&store->lock);
	if (store->nr_log < TEST_LOG_MAX)
		store->log[store->nr_log++] = (struct test_log_entry){
			.direction = request->direction,
			.offset = request->offset,
			.bytes = request_bytes(request),
			.nr_segments = request->nr_segments,
		};
	pthread_mutex_unlock(&store->lock);
}

static void hold_request(struct test_store *store, struct quire_request *request)
{
	pthread_mutex_lock(&store->lock);
	assert_true(store->nr_held < TEST_HELD_MAX);
	store->held[store->nr_held++] = request;
	pthread_mutex_unlock(&store->lock);
}

static int test_submit(struct quire_store *base, struct quire_request *request)
{
	struct test_store *store = to_test_store(base);
	int error = request->direction == QUIRE_READ ? store->read_error : store->write_error;

	log_request(store, request);
	if (store->submit_error && is_hit(store, request))
		return store->submit_error;
	if (error && is_hit(store, request)) {
		request->done(request, error);
		return 0;
	}
	if (store->hold) {
		hold_request(store, request);
		return 0;
	}
	return store->inner->ops->submit(store->inner, request);
}

void test_store_release(struct test_store *store)
{
	const uint32_t count = store->nr_held;

	store->hold = false;
	store->nr_held = 0;
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(store->inner->ops->submit(store->inner, store->held[i]), 0);
}

static int64_t test_size(struct quire_store *base)
{
	struct test_store *store = to_test_store(base);

	return store->size_error ? store->size_error : store->inner->ops->size(store->inner);
}

static int test_resize(struct quire_store *base, uint64_t bytes)
{
	struct test_store *store = to_test_store(base);

	return store->resize_error ? store->resize_error
				   : store->inner->ops->resize(store->inner, bytes);
}

static int test_discard(struct quire_store *base, uint64_t offset, uint64_t bytes)
{
	struct test_store *store = to_test_store(base);

	atomic_fetch_add(&store->nr_discard, 1);
	return store->discard_error ? store->discard_error
				    : store->inner->ops->discard(store->inner, offset, bytes);
}

static int test_sync(struct quire_store *base)
{
	struct test_store *store = to_test_store(base);

	atomic_fetch_add(&store->nr_sync, 1);
	return store->sync_error;
}

static void test_close(struct quire_store *base)
{
	struct test_store *store = to_test_store(base);

	if (store->closed)
		*store->closed = true;
	store->inner->ops->close(store->inner);
	pthread_mutex_destroy(&store->lock);
	quire_free(store);
}

static const struct quire_store_ops test_store_ops = {
	.name = "test",
	.submit = test_submit,
	.size = test_size,
	.resize = test_resize,
	.discard = test_discard,
	.sync = test_sync,
	.close = test_close,
};

uint8_t test_byte(uint64_t offset)
{
	return (uint8_t)(1 + (offset ^ (offset >> 8) * 37 ^ (offset >> 16) * 101) % 255);
}

uint8_t zero_byte(uint64_t offset)
{
	(void)offset;
	return 0;
}

struct peek {
	struct quire_request request;
	struct quire_segment segment;
	int64_t result;
};

/* The memory store is done before submit() returns. */
static void peek_done(struct quire_request *request, int64_t result)
{
	struct peek *peek = request->context;

	peek->result = result;
}

static int64_t transfer(struct quire_store *store, enum quire_direction direction, void *buffer,
			uint64_t bytes, uint64_t offset)
{
	struct peek peek = {.segment = {buffer, bytes}};

	peek.request = (struct quire_request){
		.direction = direction,
		.offset = offset,
		.segments = &peek.segment,
		.nr_segments = 1,
		.done = peek_done,
		.context = &peek,
	};
	assert_int_equal(store->ops->submit(store, &peek.request), 0);
	return peek.result;
}

int64_t test_store_peek(struct test_store *store, void *buffer, uint64_t bytes, uint64_t offset)
{
	return transfer(store->inner, QUIRE_READ, buffer, bytes, offset);
}

struct test_store *test_store_create(uint64_t bytes)
{
	struct test_store *store = quire_zalloc(sizeof(*store));
	uint8_t page[PAGE_SIZE];

	assert_non_null(store);
	store->base.ops = &test_store_ops;
	store->base.writable = true;
	store->error_offset = UINT64_MAX;
	pthread_mutex_init(&store->lock, NULL);
	assert_int_equal(quire_memory_store_create(0, &store->inner), 0);
	for (uint64_t offset = 0; offset < bytes; offset += PAGE_SIZE) {
		uint64_t count = min_u64(PAGE_SIZE, bytes - offset);

		for (uint64_t i = 0; i < count; i++)
			page[i] = test_byte(offset + i);
		assert_int_equal(transfer(store->inner, QUIRE_WRITE, page, count, offset), count);
	}
	return store;
}

void test_store_clear_log(struct test_store *store)
{
	store->nr_log = 0;
}

struct file *file_fixture_open(struct file_fixture *fixture, uint64_t ino,
			       struct quire_store *store, uint32_t mode)
{
	struct inode *inode;
	struct file *file;

	assert_int_equal(inode_get(fixture->quire, 1, ino, "file", store, &inode), 0);
	file = file_alloc(inode, mode);
	assert_non_null(file);
	iput(inode);
	return file;
}

void file_fixture_setup(struct file_fixture *fixture, uint64_t memory, uint64_t bytes,
			uint32_t readahead)
{
	const struct quire_params params = {
		.memory = memory,
		.readahead = readahead ? readahead : UINT32_MAX,
	};

	test_instance_create(&fixture->test, params);
	fixture->quire = fixture->test.quire;
	fixture->store = test_store_create(bytes);
	fixture->file =
		file_fixture_open(fixture, 1, &fixture->store->base, FMODE_READ | FMODE_WRITE);
	fixture->inode = fixture->file->f_inode;
	fixture->mapping = fixture->file->f_mapping;
}

void file_fixture_check(struct file_fixture *fixture)
{
	test_instance_check(&fixture->test);
}

void file_fixture_teardown(struct file_fixture *fixture)
{
	if (fixture->file)
		fput(fixture->file);
	test_instance_destroy(&fixture->test);
}

void file_fixture_evict(struct file_fixture *fixture)
{
	struct page *pages[PAGEVEC_SIZE];
	pgoff_t index = 0;
	uint32_t count;

	lru_add_drain_all(fixture->quire);
	while ((count = filemap_get_batch(fixture->mapping, &index, UINT64_MAX, XA_PRESENT,
					  pages))) {
		for (uint32_t i = 0; i < count; i++) {
			if (trylock_page(pages[i])) {
				filemap_remove_if_unused(pages[i], NULL);
				unlock_page(pages[i]);
			}
			put_page(fixture->quire, pages[i]);
		}
	}
}

uint64_t map_anywhere(struct mm_struct *mm, uint64_t bytes, uint32_t flags, struct file *file)
{
	const struct mmap_request request = {
		.length = bytes,
		.prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		.flags = flags,
		.file = file,
	};
	int64_t address = do_mmap(mm, &request);

	assert_true(address > 0);
	return (uint64_t)address;
}

void assert_file_bytes(struct file *file, uint64_t offset, uint64_t bytes,
		       uint8_t (*expected)(uint64_t offset))
{
	uint8_t buffer[PAGE_SIZE];

	for (uint64_t done = 0; done < bytes;) {
		uint64_t count = min_u64(sizeof(buffer), bytes - done);

		assert_int_equal(filemap_read(file, NULL, buffer, count, offset + done), count);
		for (uint64_t i = 0; i < count; i++)
			if (buffer[i] != expected(offset + done + i))
				fail_msg("byte %llu is %u, not %u",
					 (unsigned long long)(offset + done + i), buffer[i],
					 expected(offset + done + i));
		done += count;
	}
}
