/* SPDX-License-Identifier: MIT */
/*
 * Tests of changes of a store past the cache: a file that is changed and read on the store's side
 * and through a shared mapping in a random sequence shows the same bytes everywhere, as a plain
 * array of bytes has them; and with both sides at work at once no byte is lost.
 */
#include "core/file/bypass.h"

#include "base/prng.h"
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/file/file_test.h"
#include "core/file/writeback.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY (4u << 20)
#define PAGES 40
#define MAX_SIZE (PAGES * PAGE_SIZE)
#define MAX_BYTES (20 * PAGE_SIZE)

struct world {
	struct file_fixture base;
	struct mm_struct *mm;
	uint64_t map; /* PAGES pages of the file, shared */
	struct prng prng;
	uint64_t size;
	uint8_t model[MAX_SIZE];
	uint8_t buffer[MAX_BYTES];
};

static void setup(struct world *world, uint64_t seed)
{
	struct mmap_request request = {
		.length = MAX_SIZE,
		.prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		.flags = QUIRE_MAP_SHARED,
	};
	int64_t address;

	world->size = MAX_SIZE / 2 + 123;
	file_fixture_setup(&world->base, MEMORY, world->size, 4 * PAGE_SIZE);
	for (uint64_t i = 0; i < world->size; i++)
		world->model[i] = test_byte(i);
	prng_seed(&world->prng, seed);
	assert_int_equal(mm_alloc(world->base.quire, "bypass", NULL, &world->mm), 0);
	request.file = world->base.file;
	address = do_mmap(world->mm, &request);
	assert_true(address > 0);
	world->map = (uint64_t)address;
}

static void teardown(struct world *world)
{
	mm_destroy(world->mm);
	file_fixture_teardown(&world->base);
	free(world);
}

static void peek_done(struct quire_request *request, int64_t result)
{
	*(int64_t *)request->context = result;
}

/* On the store, past the cache and past the injected errors. */
static int64_t store_write(struct world *world, uint64_t offset, void *data, uint64_t bytes)
{
	struct quire_segment segment = {data, bytes};
	int64_t result = 0;
	struct quire_request request = {
		.direction = QUIRE_WRITE,
		.offset = offset,
		.segments = &segment,
		.nr_segments = 1,
		.done = peek_done,
		.context = &result,
	};
	struct quire_store *inner = world->base.store->inner;

	assert_int_equal(inner->ops->submit(inner, &request), 0);
	return result;
}

static void store_resize(struct world *world, uint64_t size)
{
	struct quire_store *inner = world->base.store->inner;

	assert_int_equal(inner->ops->resize(inner, size), 0);
}

static uint64_t below(struct world *world, uint64_t limit)
{
	return limit ? prng_next(&world->prng) % limit : 0;
}

/* Often the end of a page or of the file, or near it. */
static uint64_t some_offset(struct world *world, uint64_t limit)
{
	uint64_t offset = below(world, limit);

	if (below(world, 3) == 0)
		offset = PAGE_ALIGN_DOWN(offset);
	return min_u64(offset, limit);
}

static void fill_buffer(struct world *world, uint64_t bytes)
{
	uint8_t byte = (uint8_t)prng_next(&world->prng);

	for (uint64_t i = 0; i < bytes; i++)
		world->buffer[i] = (uint8_t)(byte + i * 7);
}

/* The model grows with zeroes between its old end and `offset`. */
static void model_write(struct world *world, uint64_t offset, uint64_t bytes)
{
	if (offset > world->size)
		memset(world->model + world->size, 0, offset - world->size);
	memcpy(world->model + offset, world->buffer, bytes);
	world->size = max_u64(world->size, offset + bytes);
}

static void write_past_cache(struct world *world)
{
	struct bypass_range range = {
		.inode = world->base.inode,
		.offset = some_offset(world, MAX_SIZE - 1),
	};
	uint64_t done;

	range.bytes = 1 + below(world, min_u64(MAX_BYTES, MAX_SIZE - range.offset));
	/* Sometimes the host writes less, or nothing. */
	done = below(world, 4) ? range.bytes : below(world, range.bytes);
	fill_buffer(world, range.bytes);
	bypass_begin(range.inode);
	bypass_write_begin(&range);
	if (done)
		assert_int_equal(store_write(world, range.offset, world->buffer, done), done);
	bypass_write_end(&range, world->buffer, done);
	bypass_end(range.inode);
	if (done)
		model_write(world, range.offset, done);
}

static void read_past_cache(struct world *world)
{
	struct bypass_range range = {
		.inode = world->base.inode,
		.offset = some_offset(world, MAX_SIZE - 1),
	};
	const uint64_t left = range.offset < world->size ? world->size - range.offset : 0;
	int64_t done;
	bool newer;

	range.bytes = 1 + below(world, min_u64(MAX_BYTES, MAX_SIZE - range.offset));
	newer = bypass_read_begin(&range);
	done = test_store_peek(world->base.store, world->buffer, range.bytes, range.offset);
	assert_int_equal(done, min_u64(left, range.bytes));
	if (newer)
		bypass_read_end(&range, world->buffer, (uint64_t)done);
	assert_memory_equal(world->buffer, world->model + range.offset, (size_t)done);
}

static void truncate_past_cache(struct world *world)
{
	struct inode *inode = world->base.inode;
	const uint64_t size = some_offset(world, MAX_SIZE);
	const bool refused = below(world, 4) == 0;
	uint64_t previous;

	bypass_begin(inode);
	previous = bypass_truncate_begin(inode, size);
	assert_int_equal(previous, world->size);
	if (!refused)
		store_resize(world, size);
	bypass_truncate_end(inode, previous, refused ? previous : size);
	bypass_end(inode);
	if (refused)
		return;
	if (size > world->size)
		memset(world->model + world->size, 0, size - world->size);
	world->size = size;
}

/* Contents that the cache is not told: its pages are dropped first. */
static void rewrite_past_cache(struct world *world)
{
	struct inode *inode = world->base.inode;
	const uint64_t offset = some_offset(world, MAX_SIZE - 1);
	const uint64_t bytes = 1 + below(world, min_u64(MAX_BYTES, MAX_SIZE - offset));
	int error;

	fill_buffer(world, bytes);
	bypass_begin(inode);
	error = bypass_drop(inode, offset >> PAGE_SHIFT, (offset + bytes - 1) >> PAGE_SHIFT);
	if (!error) {
		assert_int_equal(store_write(world, offset, world->buffer, bytes), bytes);
		bypass_size_changed(inode);
		model_write(world, offset, bytes);
	} else {
		assert_int_equal(error, world->base.store->write_error);
	}
	bypass_end(inode);
}

/* Somebody else's change, found out later; nothing of ours is newer. */
static void change_behind_back(struct world *world)
{
	struct inode *inode = world->base.inode;
	const uint64_t offset = some_offset(world, MAX_SIZE - 1);
	const uint64_t bytes = 1 + below(world, min_u64(MAX_BYTES, MAX_SIZE - offset));

	if (bypass_newer_than_store(inode))
		return;
	fill_buffer(world, bytes);
	assert_int_equal(store_write(world, offset, world->buffer, bytes), bytes);
	model_write(world, offset, bytes);
	bypass_begin(inode);
	bypass_size_changed(inode);
	bypass_drop_clean(inode);
	bypass_end(inode);
}

static void zero_past_cache(struct world *world)
{
	struct bypass_range range = {
		.inode = world->base.inode,
		.offset = some_offset(world, world->size),
	};

	range.bytes = below(world, min_u64(MAX_BYTES, world->size - range.offset));
	memset(world->buffer, 0, range.bytes);
	bypass_begin(range.inode);
	bypass_write_begin(&range);
	if (range.bytes)
		assert_int_equal(store_write(world, range.offset, world->buffer, range.bytes),
				 range.bytes);
	bypass_write_end(&range, NULL, range.bytes);
	bypass_end(range.inode);
	memset(world->model + range.offset, 0, range.bytes);
}

/* Bytes of the mapping that lie within the file's pages. */
static uint64_t mapped_bytes(const struct world *world)
{
	return PAGE_ALIGN(world->size);
}

/* Also behind the end, in its page: that is nobody's, and never gets into the file. */
static void store_mapped(struct world *world)
{
	const uint64_t limit = mapped_bytes(world);
	const uint64_t offset = some_offset(world, limit);
	const uint64_t bytes = below(world, min_u64(MAX_BYTES, limit - offset));
	const uint64_t inside = offset < world->size ? min_u64(bytes, world->size - offset) : 0;

	fill_buffer(world, bytes);
	if (!bytes)
		return;
	assert_int_equal(
		access_process_vm(world->mm, world->map + offset, world->buffer, bytes, true),
		bytes);
	memcpy(world->model + offset, world->buffer, inside);
}

static void load_mapped(struct world *world)
{
	const uint64_t offset = some_offset(world, world->size);
	const uint64_t bytes = below(world, min_u64(MAX_BYTES, world->size - offset));

	if (!bytes)
		return;
	assert_int_equal(
		access_process_vm(world->mm, world->map + offset, world->buffer, bytes, false),
		bytes);
	assert_memory_equal(world->buffer, world->model + offset, bytes);
}

static void load_behind_the_end(struct world *world)
{
	const uint64_t limit = mapped_bytes(world);
	uint8_t byte;

	if (limit < MAX_SIZE)
		assert_int_equal(access_process_vm(world->mm, world->map + limit, &byte, 1, false),
				 -EFAULT);
}

static void write_back(struct world *world)
{
	struct writeback_control control = {
		.end = UINT64_MAX,
		.nr_to_write = 1 + below(world, PAGES),
		.sync = below(world, 2),
	};
	int error = writeback_mapping(world->base.mapping, &control);

	assert_true(!error || error == world->base.store->write_error);
}

static void evict(struct world *world)
{
	file_fixture_evict(&world->base);
}

static void toggle_errors(struct world *world)
{
	world->base.store->write_error = below(world, 3) ? 0 : -ENOSPC;
}

typedef void step(struct world *world);

static step *const steps[] = {
	write_past_cache,    write_past_cache,    read_past_cache,
	read_past_cache,     store_mapped,        store_mapped,
	load_mapped,         load_mapped,         write_back,
	truncate_past_cache, rewrite_past_cache,  change_behind_back,
	zero_past_cache,     load_behind_the_end, evict,
	toggle_errors,
};

static void agrees_with_a_plain_array(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world *world = calloc(1, sizeof(*world));

		assert_non_null(world);
		setup(world, seed);
		for (int i = 0; i < 400; i++)
			steps[below(world, ARRAY_SIZE(steps))](world);
		world->base.store->write_error = 0;
		load_mapped(world);
		assert_int_equal(vfs_fsync_range(world->base.file, 0, UINT64_MAX),
				 atomic_load(&world->base.mapping->wb_failures) ? -ENOSPC : 0);
		for (uint64_t at = 0; at < world->size; at += PAGE_SIZE) {
			const uint64_t bytes = min_u64(PAGE_SIZE, world->size - at);

			assert_int_equal(
				test_store_peek(world->base.store, world->buffer, bytes, at),
				bytes);
			assert_memory_equal(world->buffer, world->model + at, bytes);
		}
		teardown(world);
	}
}

#define SLOT 64
#define THREAD_PAGES 16
#define ROUNDS 300

/* Slots of the file in turn: one side writes the even ones, the other stores to the odd ones. */
struct side {
	struct world *world;
	bool mapped;
	bool wrong;
};

static void write_slot(struct world *world, uint64_t offset, uint8_t *data)
{
	struct bypass_range range = {.inode = world->base.inode, .offset = offset, .bytes = SLOT};

	bypass_begin(range.inode);
	bypass_write_begin(&range);
	(void)store_write(world, offset, data, SLOT);
	bypass_write_end(&range, data, SLOT);
	bypass_end(range.inode);
}

static void *use_side(void *argument)
{
	struct side *side = argument;
	struct world *world = side->world;
	uint8_t data[SLOT];

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		const uint64_t slots = THREAD_PAGES * PAGE_SIZE / SLOT;
		const uint64_t slot = ((uint64_t)round * 37 % (slots / 2)) * 2 + side->mapped;

		memset(data, (int)round, SLOT);
		if (!side->mapped)
			write_slot(world, slot * SLOT, data);
		else if (access_process_vm(world->mm, world->map + slot * SLOT, data, SLOT, true) !=
			 SLOT)
			side->wrong = true;
	}
	return NULL;
}

static void *disturb(void *argument)
{
	struct world *world = argument;

	for (int round = 0; round < ROUNDS / 4; round++) {
		struct writeback_control control = {.end = UINT64_MAX, .nr_to_write = 5};

		(void)!writeback_mapping(world->base.mapping, &control);
		file_fixture_evict(&world->base);
	}
	return NULL;
}

static void nothing_is_lost_between_two_sides(void **state)
{
	(void)state;
	struct world *world = calloc(1, sizeof(*world));
	struct side sides[2] = {{.world = world}, {.world = world, .mapped = true}};
	pthread_t threads[3];

	assert_non_null(world);
	setup(world, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_side, &sides[i]), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, disturb, world), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t round = 1; round <= ROUNDS; round++)
		for (int mapped = 0; mapped < 2; mapped++) {
			const uint64_t slots = THREAD_PAGES * PAGE_SIZE / SLOT;
			const uint64_t at =
				(((uint64_t)round * 37 % (slots / 2)) * 2 + (uint64_t)mapped) *
				SLOT;

			memset(world->model + at, (int)round, SLOT);
		}
	assert_false(sides[1].wrong);
	assert_int_equal(access_process_vm(world->mm, world->map, world->buffer,
					   THREAD_PAGES * PAGE_SIZE, false),
			 THREAD_PAGES * PAGE_SIZE);
	assert_memory_equal(world->buffer, world->model, THREAD_PAGES * PAGE_SIZE);
	/* And so it is on the store, once everything is written. */
	assert_int_equal(vfs_fsync_range(world->base.file, 0, UINT64_MAX), 0);
	assert_int_equal(
		test_store_peek(world->base.store, world->buffer, THREAD_PAGES * PAGE_SIZE, 0),
		THREAD_PAGES * PAGE_SIZE);
	assert_memory_equal(world->buffer, world->model, THREAD_PAGES * PAGE_SIZE);
	teardown(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_plain_array),
		cmocka_unit_test(nothing_is_lost_between_two_sides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
