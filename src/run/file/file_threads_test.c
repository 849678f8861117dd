/* SPDX-License-Identifier: MIT */
/*
 * Threads of a program at work on one file at once, by system calls and through mappings: each
 * finds in its own part what it put there, while others map and unmap the file, change its size,
 * punch holes, and memory is reclaimed.
 */
#include <linux/falloc.h>
#include <pthread.h>

#include "run/file/fixture_test.h"

#define SLOT ((uint64_t)512)
#define SLOT_PAGES 24
#define SLOTS (SLOT_PAGES * PAGE_SIZE / SLOT)
#define TAIL_PAGES 24
#define FILE_BYTES ((SLOT_PAGES + TAIL_PAGES) * PAGE_SIZE)
#define ROUNDS 400
#define WORKERS 6

struct shared {
	struct run_fixture base;
	int fd;
	uint64_t map;
};

/* Each has a struct thread of its own, as each thread of a program has. */
struct worker {
	struct shared *shared;
	struct run_fixture view; /* of the shared one, with its own thread */
	uint32_t number;
	uint64_t user; /* a page of the program */
	bool wrong;
	void (*work)(struct worker *worker, uint32_t round);
};

#define WORKER_CALL(worker, name, ...) \
	syscall_row(SYS_##name)->function(&(worker)->view.thread, (const uint64_t[6]){__VA_ARGS__})

static void expect(struct worker *worker, bool right)
{
	if (!right)
		worker->wrong = true;
}

static bool user_put(struct worker *worker, uint64_t address, const void *data)
{
	return access_process_vm(worker->shared->base.process.mm, address, (void *)(uintptr_t)data,
				 SLOT, true) == (int64_t)SLOT;
}

static bool user_get(struct worker *worker, uint64_t address, void *data)
{
	return access_process_vm(worker->shared->base.process.mm, address, data, SLOT, false) ==
	       (int64_t)SLOT;
}

/* The slots of worker n are those whose number is n modulo 4. */
static uint64_t own_slot(const struct worker *worker, uint32_t round)
{
	return ((uint64_t)round * 7 % (SLOTS / 4)) * 4 + worker->number;
}

static void fill(uint8_t data[SLOT], const struct worker *worker, uint32_t round)
{
	for (uint64_t i = 0; i < SLOT; i++)
		data[i] = (uint8_t)(i + round * 31 + worker->number * 101);
}

/* Whether the slot, by both ways of reading, holds the data. */
static void check_slot(struct worker *worker, uint64_t at, const uint8_t data[SLOT])
{
	uint8_t got[SLOT];

	expect(worker, WORKER_CALL(worker, pread64, (uint64_t)worker->shared->fd, worker->user,
				   SLOT, at) == (int64_t)SLOT);
	expect(worker, user_get(worker, worker->user, got) && !memcmp(got, data, SLOT));
	expect(worker, user_get(worker, worker->shared->map + at, got) && !memcmp(got, data, SLOT));
}

static void work_by_calls(struct worker *worker, uint32_t round)
{
	const uint64_t at = own_slot(worker, round) * SLOT;
	uint8_t data[SLOT];

	fill(data, worker, round);
	expect(worker, user_put(worker, worker->user, data));
	expect(worker, WORKER_CALL(worker, pwrite64, (uint64_t)worker->shared->fd, worker->user,
				   SLOT, at) == (int64_t)SLOT);
	check_slot(worker, at, data);
}

static void work_by_stores(struct worker *worker, uint32_t round)
{
	const uint64_t at = own_slot(worker, round) * SLOT;
	uint8_t data[SLOT];

	fill(data, worker, round);
	expect(worker, user_put(worker, worker->shared->map + at, data));
	check_slot(worker, at, data);
}

static void work_on_size(struct worker *worker, uint32_t round)
{
	const uint64_t fd = (uint64_t)worker->shared->fd;
	const uint64_t start = SLOT_PAGES * PAGE_SIZE;
	const uint64_t some = (uint64_t)round * 5077 % (TAIL_PAGES * PAGE_SIZE - 1) + 1;
	int64_t result;

	switch (round % 4) {
	case 0:
		expect(worker, WORKER_CALL(worker, ftruncate, fd, start + some) == 0);
		break;
	case 1:
		result = WORKER_CALL(worker, fallocate, fd,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, some);
		expect(worker, !result || result == -EOPNOTSUPP);
		break;
	case 2:
		expect(worker,
		       WORKER_CALL(worker, pwrite64, fd, worker->user, 300, start + some) == 300);
		break;
	default:
		expect(worker, WORKER_CALL(worker, ftruncate, fd, FILE_BYTES) == 0);
	}
}

/* Loads and stores in the part whose size changes may fault, and do nothing worse. */
static void work_on_mappings(struct worker *worker, uint32_t round)
{
	struct shared *shared = worker->shared;
	const uint64_t offset = SLOT_PAGES * PAGE_SIZE + (round % TAIL_PAGES) * PAGE_SIZE;
	int64_t map = WORKER_CALL(worker, mmap, 0, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				  (uint64_t)shared->fd, 0);
	uint8_t byte = 1;

	expect(worker, map > 0);
	if (map <= 0)
		return;
	(void)access_process_vm(shared->base.process.mm, (uint64_t)map + offset, &byte, 1, true);
	if (round % 8 == 0)
		expect(worker, WORKER_CALL(worker, msync, (uint64_t)map, FILE_BYTES, MS_SYNC) == 0);
	if (round % 3 == 0)
		expect(worker,
		       WORKER_CALL(worker, madvise, shared->map, FILE_BYTES, MADV_DONTNEED) == 0);
	if (round % 5 == 0) {
		quire_reclaim(shared->base.run.quire, NULL, 40);
		mapped_evict_idle(&shared->base.run, false);
	}
	expect(worker, WORKER_CALL(worker, munmap, (uint64_t)map, FILE_BYTES) == 0);
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	for (uint32_t round = 1; round <= ROUNDS; round++)
		worker->work(worker, round);
	return NULL;
}

static void everybody_finds_his_own(void **state)
{
	static void (*const jobs[WORKERS])(struct worker * worker, uint32_t round) = {
		work_by_calls,  work_by_stores, work_by_calls,
		work_by_stores, work_on_size,   work_on_mappings,
	};
	struct shared *shared = calloc(1, sizeof(*shared));
	struct worker *workers = calloc(WORKERS, sizeof(*workers));
	pthread_t threads[WORKERS];

	(void)state;
	assert_non_null(shared);
	assert_non_null(workers);
	run_fixture_setup(&shared->base, 4 << 20);
	shared->fd = new_file(FILE_BYTES);
	shared->map =
		map_file(&shared->base, shared->fd, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED);
	for (uint32_t i = 0; i < WORKERS; i++) {
		workers[i].shared = shared;
		workers[i].number = i;
		workers[i].view.thread.process = &shared->base.process;
		workers[i].user = shared->base.user + i * PAGE_SIZE;
		workers[i].work = jobs[i];
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (uint32_t i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(workers[i].wrong);
	}
	close(shared->fd);
	run_fixture_teardown(&shared->base);
	free(workers);
	free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_finds_his_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
