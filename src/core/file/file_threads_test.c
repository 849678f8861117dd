/* SPDX-License-Identifier: MIT */
/*
 * Several threads on one file at a time: each page has one writer, so every reader can tell whether
 * what it sees is whole; beside them run truncation, writeback and reclaim. Under the thread
 * sanitizer it also shows that the cache itself has no race.
 */
#include "base/prng.h"
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/file/file_test.h"
#include "core/file/internal.h"
#include "core/file/writeback.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY (2u << 20)
#define OWNED ((uint64_t)48) /* pages of each writer */
#define WRITERS 2
#define ROUNDS 400
/* What is behind the writers' pages is cut off and grown again. */
#define END (WRITERS * OWNED)
#define TAIL ((uint64_t)40)

struct shared {
	struct file *file;
	struct quire *quire;
	_Atomic bool failed;
	_Atomic uint32_t running; /* writers */
};

struct writer {
	struct shared *shared;
	uint64_t first; /* page */
	uint64_t seed;
};

static void expect(struct shared *shared, bool condition)
{
	if (!condition)
		atomic_store(&shared->failed, true);
}

/* Writes whole pages of its own, and reads them back. */
static void *write_pages(void *argument)
{
	struct writer *writer = argument;
	struct shared *shared = writer->shared;
	uint8_t last[OWNED] = {0}, page[PAGE_SIZE];
	struct prng prng;

	prng_seed(&prng, writer->seed);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t index = prng_below(&prng, OWNED);
		uint64_t offset = (writer->first + index) << PAGE_SHIFT;

		if (prng_below(&prng, 2)) {
			last[index] = (uint8_t)(1 + round % 250);
			memset(page, last[index], sizeof(page));
			expect(shared, filemap_write(shared->file, NULL, page, PAGE_SIZE, offset) ==
					       (int64_t)PAGE_SIZE);
		} else {
			expect(shared, filemap_read(shared->file, NULL, page, PAGE_SIZE, offset) ==
					       (int64_t)PAGE_SIZE);
			for (uint64_t i = 0; i < PAGE_SIZE; i++)
				expect(shared, page[i] == last[index]);
		}
	}
	atomic_fetch_sub(&shared->running, 1);
	return NULL;
}

/* Cuts and grows the tail; nobody writes there, so it always reads as zero. */
static void *cut_tail(void *argument)
{
	struct shared *shared = argument;
	uint8_t page[PAGE_SIZE];
	struct prng prng;

	prng_seed(&prng, 99);
	while (atomic_load(&shared->running)) {
		uint64_t size = (END << PAGE_SHIFT) + prng_below(&prng, TAIL << PAGE_SHIFT);
		uint64_t offset = (END + prng_below(&prng, TAIL)) << PAGE_SHIFT;
		int64_t bytes;

		if (prng_below(&prng, 2))
			expect(shared, !file_truncate(shared->file, size));
		else
			expect(shared, !file_punch_hole(shared->file, END << PAGE_SHIFT,
							prng_below(&prng, TAIL << PAGE_SHIFT) + 1));
		bytes = filemap_read(shared->file, NULL, page, PAGE_SIZE, offset);
		expect(shared, bytes >= 0);
		for (int64_t i = 0; i < bytes; i++)
			expect(shared, page[i] == 0);
	}
	return NULL;
}

static void *write_back_and_evict(void *argument)
{
	struct shared *shared = argument;

	while (atomic_load(&shared->running)) {
		expect(shared, !vfs_fsync_range(shared->file, 0, UINT64_MAX));
		quire_reclaim(shared->quire, NULL, 64);
	}
	return NULL;
}

static void run_threads(struct shared *shared)
{
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS + 2];

	atomic_store(&shared->running, WRITERS);
	for (uint64_t i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){shared, i * OWNED, i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, write_pages, &writers[i]), 0);
	}
	assert_int_equal(pthread_create(&threads[WRITERS], NULL, cut_tail, shared), 0);
	assert_int_equal(pthread_create(&threads[WRITERS + 1], NULL, write_back_and_evict, shared),
			 0);
	for (int i = 0; i < WRITERS + 2; i++)
		pthread_join(threads[i], NULL);
	assert_false(atomic_load(&shared->failed));
}

static struct file *open_shmem(struct quire *quire)
{
	struct inode *inode;
	struct file *file;

	assert_int_equal(shmem_create(quire, "threads", 0, true, &inode), 0);
	file = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	iput(inode);
	return file;
}

static void writers_see_their_own_pages(void **state)
{
	struct file_fixture fixture;
	struct shared shared = {0};

	(void)state;
	file_fixture_setup(&fixture, MEMORY, 0, 8 * PAGE_SIZE);
	shared.file = fixture.file;
	shared.quire = fixture.quire;
	assert_int_equal(file_truncate(fixture.file, END << PAGE_SHIFT), 0);
	run_threads(&shared);
	file_fixture_teardown(&fixture);
}

static void writers_see_their_own_pages_across_swap(void **state)
{
	struct file_fixture fixture;
	struct shared shared = {0};

	(void)state;
	file_fixture_setup(&fixture, MEMORY, 0, 0);
	test_instance_add_swap(&fixture.test, 1024);
	shared.file = open_shmem(fixture.quire);
	shared.quire = fixture.quire;
	assert_int_equal(file_truncate(shared.file, END << PAGE_SHIFT), 0);
	run_threads(&shared);
	fput(shared.file);
	file_fixture_teardown(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writers_see_their_own_pages),
		cmocka_unit_test(writers_see_their_own_pages_across_swap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
