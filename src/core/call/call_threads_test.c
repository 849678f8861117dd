/* SPDX-License-Identifier: MIT */
/*
 * The calls against each other: threads that store and check, fork and look at what the child got,
 * move a range to and fro, advise, lock and evict, look at everything, all in one mm. For the
 * thread sanitizer, and for the one property each thread can check alone: its own bytes stay what
 * it last stored.
 */
#include "core/call/fixture_test.h"
#include "core/call/proc_view.h"

#include <pthread.h>

#define WRITERS 2
#define PAGES_EACH 24
#define MOVED_PAGES 8
#define HOME 600 /* the moved range, on both sides of a table's end */
#define AWAY 1020
#define WRITER_STEPS 40000
#define OTHER_STEPS 3000

struct shared {
	quire_mm *mm;
	struct quire *quire;
	/* Fork copies a pinned page while its owner may still fill it; the test keeps them apart so
	 * that each byte of a child has one right value. */
	pthread_rwlock_t fork_lock;
	_Atomic uint32_t writers_left;
	_Atomic uint8_t published[WRITERS * PAGES_EACH];
	_Atomic uint32_t failures;
};

struct worker {
	struct shared *shared;
	uint32_t number;
	struct prng prng;
};

/* Threads cannot use cmocka's assertions. */
static void expect(struct shared *shared, bool condition)
{
	if (!condition)
		atomic_fetch_add(&shared->failures, 1);
}

static uint8_t read_byte(struct shared *shared, quire_mm *mm, uint64_t page)
{
	uint8_t byte = 0;

	expect(shared, quire_read_memory(mm, AT(page), &byte, 1) == 1);
	return byte;
}

static void *writer(void *argument)
{
	struct worker *worker = argument;
	struct shared *shared = worker->shared;
	uint8_t bytes[PAGES_EACH] = {0};

	for (int step = 0; step < WRITER_STEPS; step++) {
		const uint64_t i = prng_below(&worker->prng, PAGES_EACH);
		const uint64_t page = worker->number * PAGES_EACH + i;

		if (prng_below(&worker->prng, 2)) {
			expect(shared, read_byte(shared, shared->mm, page) == bytes[i]);
			continue;
		}
		bytes[i] = (uint8_t)prng_next(&worker->prng);
		pthread_rwlock_rdlock(&shared->fork_lock);
		expect(shared, quire_write_memory(shared->mm, AT(page), &bytes[i], 1) == 1);
		atomic_store(&shared->published[page], bytes[i]);
		pthread_rwlock_unlock(&shared->fork_lock);
	}
	atomic_fetch_sub(&shared->writers_left, 1);
	return NULL;
}

static void *forker(void *argument)
{
	struct worker *worker = argument;
	struct shared *shared = worker->shared;

	while (atomic_load(&shared->writers_left)) {
		uint8_t bytes[WRITERS * PAGES_EACH];
		quire_mm *child;
		int error;

		pthread_rwlock_wrlock(&shared->fork_lock);
		error = quire_fork(shared->mm, "child", &child);
		for (uint64_t i = 0; i < ARRAY_SIZE(bytes); i++)
			bytes[i] = atomic_load(&shared->published[i]);
		pthread_rwlock_unlock(&shared->fork_lock);
		expect(shared, !error);
		if (error)
			break;
		for (uint64_t i = 0; i < ARRAY_SIZE(bytes); i += 5) {
			expect(shared, read_byte(shared, child, i) == bytes[i]);
			expect(shared, quire_write_memory(child, AT(i), "x", 1) == 1);
		}
		quire_mm_exit(child);
	}
	return NULL;
}

static void *mover(void *argument)
{
	struct worker *worker = argument;
	struct shared *shared = worker->shared;
	const int flags = QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED;
	uint64_t from = HOME, to = AWAY;

	for (int step = 0; step < OTHER_STEPS; step++) {
		const uint64_t other = from;

		expect(shared, quire_mremap(shared->mm, AT(from), PAGES(MOVED_PAGES),
					    PAGES(MOVED_PAGES), flags, AT(to)) == AT(to));
		from = to;
		to = other;
		for (uint64_t i = 0; i < MOVED_PAGES; i++)
			expect(shared, read_byte(shared, shared->mm, from + i) == i + 1);
	}
	return NULL;
}

static void *adviser(void *argument)
{
	static const int advices[] = {QUIRE_MADV_COLD, QUIRE_MADV_PAGEOUT, QUIRE_MADV_WILLNEED,
				      QUIRE_MADV_RANDOM, QUIRE_MADV_NORMAL};
	struct worker *worker = argument;
	struct shared *shared = worker->shared;
	unsigned char vector[WRITERS * PAGES_EACH];

	for (int step = 0; step < OTHER_STEPS; step++) {
		const uint64_t page = prng_below(&worker->prng, WRITERS * PAGES_EACH - 4);
		const int advice = advices[prng_below(&worker->prng, ARRAY_SIZE(advices))];

		/* What this thread locked a moment ago may not be paged out. */
		if (quire_madvise(shared->mm, AT(page), PAGES(4), advice))
			expect(shared, errno == EINVAL && step % 8 == 1);
		expect(shared,
		       !quire_mincore(shared->mm, AT(0), PAGES(ARRAY_SIZE(vector)), vector));
		if (step % 8 == 0)
			expect(shared, !quire_mlock(shared->mm, AT(page), PAGES(2)));
		else
			expect(shared, !quire_munlockall(shared->mm));
		quire_reclaim(shared->quire, NULL, prng_below(&worker->prng, 16));
	}
	expect(shared, !quire_munlockall(shared->mm));
	return NULL;
}

static int sum_resident(void *context, const struct mapping_report *report)
{
	*(uint64_t *)context += report->resident;
	return 0;
}

/* Looks at everything, as /proc and a report do, and forgets what was accessed. */
static void *observer(void *argument)
{
	struct worker *worker = argument;
	struct shared *shared = worker->shared;

	while (atomic_load(&shared->writers_left)) {
		struct smaps_view smaps = {0};
		uint64_t words[WRITERS * PAGES_EACH];
		uint64_t resident = 0;
		struct vma_view view;
		struct mm_view whole;

		for (uint64_t at = 0; mm_view_next(shared->mm, at, &view, &smaps); at = view.end)
			expect(shared, view.start < view.end);
		expect(shared, smaps.rss == smaps.shared_clean + smaps.shared_dirty +
						    smaps.private_clean + smaps.private_dirty);
		mm_pagemap(shared->mm, AT(0), ARRAY_SIZE(words), words);
		mm_view(shared->mm, &whole);
		expect(shared, whole.hiwater_vm >= whole.total_vm);
		expect(shared, !mm_clear_refs(shared->mm, CLEAR_REFS_ALL));
		expect(shared, !mapping_report(shared->quire, sum_resident, &resident));
		expect(shared, !quire_set_anon_name(shared->mm, AT(prng_below(&worker->prng, 8)),
						    PAGES(2), resident % 2 ? "odd" : NULL));
	}
	expect(shared, !quire_set_anon_name(shared->mm, AT(0), PAGES(10), NULL));
	return NULL;
}

static void test_threads(void **state)
{
	struct fixture *f = *state;
	struct shared shared = {.mm = f->mm, .quire = f->quire, .writers_left = WRITERS};
	void *(*const roles[])(void *) = {writer, writer, forker, mover, adviser, observer};
	struct worker workers[ARRAY_SIZE(roles)];
	pthread_t threads[ARRAY_SIZE(roles)];

	pthread_rwlock_init(&shared.fork_lock, NULL);
	map_anon(f, 0, WRITERS * PAGES_EACH);
	map_anon(f, HOME, MOVED_PAGES);
	store_pages(f, HOME, MOVED_PAGES, 1);
	for (uint32_t i = 0; i < ARRAY_SIZE(roles); i++) {
		workers[i] = (struct worker){.shared = &shared, .number = i, .prng = {i + 1}};
		assert_int_equal(pthread_create(&threads[i], NULL, roles[i], &workers[i]), 0);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(roles); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	pthread_rwlock_destroy(&shared.fork_lock);
	assert_int_equal(atomic_load(&shared.failures), 0);
	for (uint64_t i = 0; i < ARRAY_SIZE(shared.published); i++)
		assert_int_equal(load(f, i), atomic_load(&shared.published[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
