/* SPDX-License-Identifier: MIT */
/*
 * One file of the host, used by a random sequence of a program's system calls and through its
 * mappings, against a plain array of bytes: whatever reads shows what was written last, by whatever
 * means, and in the end the host's file holds it.
 */
#include <linux/falloc.h>
#include <sys/uio.h>

#include "run/file/fixture_test.h"

#define MAX_PAGES 96
#define MAX_SIZE (MAX_PAGES * PAGE_SIZE)
#define MAX_BYTES (70 * PAGE_SIZE)
#define SOURCE_BYTES (20 * PAGE_SIZE)

struct world {
	struct run_fixture base;
	struct prng prng;
	int fd, append, source;
	int pipe[2];
	uint64_t map; /* of MAX_SIZE bytes, shared */
	uint64_t size;
	uint8_t model[MAX_SIZE + MAX_BYTES];
	uint8_t buffer[MAX_SIZE];
};

static uint64_t below(struct world *world, uint64_t limit)
{
	return limit ? prng_next(&world->prng) % limit : 0;
}

/* A stretch within `limit`, often along pages. */
static uint64_t some_range(struct world *world, uint64_t limit, uint64_t *bytes)
{
	uint64_t offset = below(world, limit);
	const uint64_t most =
		below(world, 3) ? min_u64(3 * PAGE_SIZE, MAX_BYTES) : (uint64_t)MAX_BYTES;

	if (!below(world, 3))
		offset = PAGE_ALIGN_DOWN(offset);
	*bytes = min_u64(below(world, most), limit - offset);
	if (!below(world, 3))
		*bytes = PAGE_ALIGN_DOWN(*bytes);
	return offset;
}

static void fill_buffer(struct world *world, uint64_t bytes)
{
	const uint8_t byte = (uint8_t)prng_next(&world->prng);

	for (uint64_t i = 0; i < bytes; i++)
		world->buffer[i] = (uint8_t)(byte + i * 13);
}

static void model_write(struct world *world, uint64_t offset, const void *data, uint64_t bytes)
{
	if (!bytes)
		return;
	if (offset > world->size)
		memset(world->model + world->size, 0, offset - world->size);
	memmove(world->model + offset, data, bytes);
	world->size = max_u64(world->size, offset + bytes);
}

static void model_resize(struct world *world, uint64_t size)
{
	if (size > world->size)
		memset(world->model + world->size, 0, size - world->size);
	world->size = size;
}

/* Bytes that a read at `offset` finds. */
static uint64_t readable(const struct world *world, uint64_t offset, uint64_t bytes)
{
	return offset < world->size ? min_u64(bytes, world->size - offset) : 0;
}

static uint64_t user(const struct world *world)
{
	return world->base.user + 300;
}

static void by_pwrite(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);

	fill_buffer(world, bytes);
	put(&world->base, user(world), world->buffer, bytes);
	assert_int_equal(
		CALL(&world->base, pwrite64, (uint64_t)world->fd, user(world), bytes, offset),
		bytes);
	model_write(world, offset, world->buffer, bytes);
}

static void by_write(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);

	fill_buffer(world, bytes);
	put(&world->base, user(world), world->buffer, bytes);
	assert_int_equal(CALL(&world->base, lseek, (uint64_t)world->fd, offset, SEEK_SET), offset);
	assert_int_equal(CALL(&world->base, write, (uint64_t)world->fd, user(world), bytes), bytes);
	assert_int_equal(lseek(world->fd, 0, SEEK_CUR), offset + bytes);
	model_write(world, offset, world->buffer, bytes);
}

/* Three pieces with gaps between them, one of them empty, one perhaps large. */
static uint64_t make_vector(struct world *world, uint64_t bytes, struct iovec vector[4])
{
	const uint64_t first = below(world, bytes + 1);
	const uint64_t address = user(world) + 500;

	vector[0] = (struct iovec){(void *)(uintptr_t)address, first};
	vector[1] = (struct iovec){(void *)(uintptr_t)address, 0};
	vector[2] = (struct iovec){(void *)(uintptr_t)(address + first + 77), bytes - first};
	put(&world->base, world->base.user, vector, 3 * sizeof(vector[0]));
	return world->base.user;
}

static void by_pwritev(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);
	struct iovec vector[4];
	uint64_t address = make_vector(world, bytes, vector);

	fill_buffer(world, bytes);
	put(&world->base, (uint64_t)(uintptr_t)vector[0].iov_base, world->buffer,
	    vector[0].iov_len);
	put(&world->base, (uint64_t)(uintptr_t)vector[2].iov_base,
	    world->buffer + vector[0].iov_len, vector[2].iov_len);
	assert_int_equal(CALL(&world->base, pwritev, (uint64_t)world->fd, address, 3, offset),
			 bytes);
	model_write(world, offset, world->buffer, bytes);
}

static void by_append(struct world *world)
{
	const uint64_t bytes = min_u64(below(world, 9000), MAX_SIZE - world->size);

	fill_buffer(world, bytes);
	put(&world->base, user(world), world->buffer, bytes);
	assert_int_equal(CALL(&world->base, write, (uint64_t)world->append, user(world), bytes),
			 bytes);
	model_write(world, world->size, world->buffer, bytes);
}

/* The source is the mapped file itself. */
static void by_write_from_mapping(struct world *world)
{
	uint64_t bytes, from = some_range(world, world->size, &bytes);
	const uint64_t offset = below(world, MAX_SIZE - bytes);

	bytes = min_u64(bytes, (uint64_t)60 * PAGE_SIZE);
	assert_int_equal(
		CALL(&world->base, pwrite64, (uint64_t)world->fd, world->map + from, bytes, offset),
		bytes);
	memcpy(world->buffer, world->model + from, bytes);
	model_write(world, offset, world->buffer, bytes);
}

static void by_store(struct world *world)
{
	uint64_t bytes, offset = some_range(world, PAGE_ALIGN(world->size), &bytes);

	fill_buffer(world, bytes);
	put(&world->base, world->map + offset, world->buffer, bytes);
	memcpy(world->model + offset, world->buffer, readable(world, offset, bytes));
}

static void by_pread(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);
	const uint64_t expected = readable(world, offset, bytes);

	assert_int_equal(
		CALL(&world->base, pread64, (uint64_t)world->fd, user(world), bytes, offset),
		expected);
	get(&world->base, user(world), world->buffer, expected);
	assert_memory_equal(world->buffer, world->model + offset, expected);
}

static void by_read(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);
	const uint64_t expected = readable(world, offset, bytes);

	assert_int_equal(CALL(&world->base, lseek, (uint64_t)world->fd, offset, SEEK_SET), offset);
	assert_int_equal(CALL(&world->base, read, (uint64_t)world->fd, user(world), bytes),
			 expected);
	assert_int_equal(lseek(world->fd, 0, SEEK_CUR), offset + expected);
	get(&world->base, user(world), world->buffer, expected);
	assert_memory_equal(world->buffer, world->model + offset, expected);
}

static void by_preadv(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);
	const uint64_t expected = readable(world, offset, bytes);
	struct iovec vector[4];
	uint64_t address = make_vector(world, bytes, vector);
	const uint64_t first = min_u64(expected, vector[0].iov_len);

	assert_int_equal(CALL(&world->base, preadv2, (uint64_t)world->fd, address, 3, offset),
			 expected);
	get(&world->base, (uint64_t)(uintptr_t)vector[0].iov_base, world->buffer, first);
	get(&world->base, (uint64_t)(uintptr_t)vector[2].iov_base, world->buffer + first,
	    expected - first);
	assert_memory_equal(world->buffer, world->model + offset, expected);
}

/* The target is the mapped file itself. */
static void by_read_into_mapping(struct world *world)
{
	uint64_t bytes, offset = some_range(world, world->size, &bytes);
	const uint64_t to = below(world, world->size - bytes + 1);

	bytes = min_u64(bytes, (uint64_t)15 * 1024);
	assert_int_equal(
		CALL(&world->base, pread64, (uint64_t)world->fd, world->map + to, bytes, offset),
		bytes);
	memcpy(world->buffer, world->model + offset, bytes);
	model_write(world, to, world->buffer, bytes);
}

static void by_load(struct world *world)
{
	uint64_t bytes, offset = some_range(world, world->size, &bytes);

	get(&world->base, world->map + offset, world->buffer, bytes);
	assert_memory_equal(world->buffer, world->model + offset, bytes);
}

static void by_ftruncate(struct world *world)
{
	uint64_t bytes, size = some_range(world, MAX_SIZE, &bytes);

	assert_int_equal(CALL(&world->base, ftruncate, (uint64_t)world->fd, size), 0);
	model_resize(world, size);
}

static void by_truncate(struct world *world)
{
	uint64_t bytes, size = some_range(world, MAX_SIZE, &bytes);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", world->fd);
	put(&world->base, world->base.user, path, sizeof(path));
	assert_int_equal(CALL(&world->base, truncate, world->base.user, size), 0);
	model_resize(world, size);
}

static bool fallocate_call(struct world *world, int mode, uint64_t offset, uint64_t bytes)
{
	int64_t result =
		CALL(&world->base, fallocate, (uint64_t)world->fd, (uint64_t)mode, offset, bytes);

	/* Not every file system has all of it. */
	assert_true(!result || result == -EOPNOTSUPP);
	return !result;
}

static void by_punch(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);

	if (bytes &&
	    fallocate_call(world, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes))
		memset(world->model + offset, 0, readable(world, offset, bytes));
}

static void by_zero_range(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);

	if (!bytes || !fallocate_call(world, FALLOC_FL_ZERO_RANGE, offset, bytes))
		return;
	model_resize(world, max_u64(world->size, offset + bytes));
	memset(world->model + offset, 0, bytes);
}

static void by_allocate(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);

	if (bytes && fallocate_call(world, 0, offset, bytes))
		model_resize(world, max_u64(world->size, offset + bytes));
}

static void by_collapse(struct world *world)
{
	const uint64_t offset = PAGE_ALIGN_DOWN(below(world, world->size));
	const uint64_t bytes = (1 + below(world, 4)) << PAGE_SHIFT;

	if (offset + bytes >= world->size ||
	    !fallocate_call(world, FALLOC_FL_COLLAPSE_RANGE, offset, bytes))
		return;
	memmove(world->model + offset, world->model + offset + bytes, world->size - offset - bytes);
	world->size -= bytes;
}

static void by_insert(struct world *world)
{
	const uint64_t offset = PAGE_ALIGN_DOWN(below(world, world->size));
	const uint64_t bytes = (1 + below(world, 4)) << PAGE_SHIFT;

	if (offset >= world->size || world->size + bytes > MAX_SIZE ||
	    !fallocate_call(world, FALLOC_FL_INSERT_RANGE, offset, bytes))
		return;
	memmove(world->model + offset + bytes, world->model + offset, world->size - offset);
	memset(world->model + offset, 0, bytes);
	world->size += bytes;
}

/* From another file, and back. */
static void by_copy_file_range(struct world *world)
{
	const uint64_t bytes = 1 + below(world, SOURCE_BYTES);
	uint64_t offsets[2] = {0, below(world, MAX_SIZE - bytes)};
	int64_t done;

	put(&world->base, world->base.user, offsets, sizeof(offsets));
	done = CALL(&world->base, copy_file_range, (uint64_t)world->source, world->base.user,
		    (uint64_t)world->fd, world->base.user + 8, bytes, 0);
	assert_true(done > 0);
	assert_int_equal(pread(world->source, world->buffer, (size_t)done, 0), done);
	model_write(world, offsets[1], world->buffer, (uint64_t)done);
}

static void by_sendfile_out(struct world *world)
{
	uint64_t bytes, offset = some_range(world, world->size, &bytes);
	int64_t done;

	bytes = min_u64(bytes, 40000);
	put(&world->base, world->base.user, &offset, 8);
	done = CALL(&world->base, sendfile, (uint64_t)world->pipe[1], (uint64_t)world->fd,
		    world->base.user, bytes);
	assert_int_equal(done, bytes);
	if (!bytes)
		return;
	assert_int_equal(read(world->pipe[0], world->buffer, sizeof(world->buffer)), done);
	assert_memory_equal(world->buffer, world->model + offset, (size_t)done);
}

static void by_splice_in(struct world *world)
{
	uint64_t bytes, offset = some_range(world, MAX_SIZE, &bytes);
	int64_t done;

	bytes = min_u64(bytes, 40000);
	if (!bytes)
		return;
	fill_buffer(world, bytes);
	assert_int_equal(write(world->pipe[1], world->buffer, bytes), bytes);
	put(&world->base, world->base.user, &offset, 8);
	done = CALL(&world->base, splice, (uint64_t)world->pipe[0], 0, (uint64_t)world->fd,
		    world->base.user, bytes, 0);
	assert_int_equal(done, bytes);
	model_write(world, offset, world->buffer, bytes);
}

static void by_mapping_anew(struct world *world)
{
	assert_int_equal(CALL(&world->base, munmap, world->map, MAX_SIZE), 0);
	world->map =
		map_file(&world->base, world->fd, MAX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void by_msync(struct world *world)
{
	assert_int_equal(CALL(&world->base, msync, world->map, MAX_SIZE, MS_SYNC), 0);
}

static void by_dontneed(struct world *world)
{
	assert_int_equal(CALL(&world->base, madvise, world->map, MAX_SIZE, MADV_DONTNEED), 0);
}

static void by_reclaim(struct world *world)
{
	quire_reclaim(world->base.run.quire, NULL, below(world, 200));
}

typedef void step(struct world *world);

static step *const steps[] = {
	by_pwrite,
	by_pwrite,
	by_write,
	by_pwritev,
	by_append,
	by_write_from_mapping,
	by_store,
	by_store,
	by_store,
	by_pread,
	by_pread,
	by_read,
	by_preadv,
	by_read_into_mapping,
	by_load,
	by_load,
	by_load,
	by_ftruncate,
	by_truncate,
	by_punch,
	by_zero_range,
	by_allocate,
	by_collapse,
	by_insert,
	by_copy_file_range,
	by_sendfile_out,
	by_splice_in,
	by_mapping_anew,
	by_msync,
	by_dontneed,
	by_reclaim,
};

static struct world *world_setup(uint64_t seed)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	run_fixture_setup(&world->base, 8 << 20);
	prng_seed(&world->prng, seed);
	world->size = 10 * PAGE_SIZE + 999;
	world->fd = new_file(world->size);
	for (uint64_t i = 0; i < world->size; i++)
		world->model[i] = (uint8_t)(i * 7);
	world->append = open_again(world->fd, O_RDWR | O_APPEND);
	world->source = new_file(SOURCE_BYTES);
	assert_int_equal(pipe(world->pipe), 0);
	world->map =
		map_file(&world->base, world->fd, MAX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	return world;
}

static void world_teardown(struct world *world)
{
	assert_int_equal(CALL(&world->base, fsync, (uint64_t)world->fd), 0);
	assert_int_equal(pread(world->fd, world->buffer, MAX_SIZE, 0), world->size);
	assert_memory_equal(world->buffer, world->model, world->size);
	close(world->fd);
	close(world->append);
	close(world->source);
	close(world->pipe[0]);
	close(world->pipe[1]);
	run_fixture_teardown(&world->base);
	free(world);
}

static void agrees_with_a_plain_array(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct world *world = world_setup(seed);

		for (int i = 0; i < 500; i++)
			steps[below(world, ARRAY_SIZE(steps))](world);
		world_teardown(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_plain_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
