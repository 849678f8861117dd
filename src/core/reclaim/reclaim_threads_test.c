/* SPDX-License-Identifier: MIT */
/*
 * Reclaim by many threads at once: groups come and go below one budget, budgets change, address
 * spaces fork and exit, and everybody's memory keeps its contents.
 */
#include "base/prng.h"
#include "core/fault/fault.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/vmscan.h"

#include <quire/memory_store.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <pthread.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)4 << 20)
#define THREADS 4
#define ROUNDS 12
#define STEPS 300
#define PAGES 96
#define FILE_PAGES 128
#define BUDGET 160
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)

struct shared {
	struct test_instance test;
	quire_group *budget;
	quire_file *file;
	_Atomic uint32_t running;
	_Atomic uint32_t failed_line; /* the first one: cmocka asserts in the main thread only */
};

struct worker {
	struct shared *shared;
	uint32_t number;
	struct prng prng;
	quire_group *group;
	quire_mm *mm;
	uint64_t anon, object, file;
	uint8_t values[2][PAGES]; /* of anon and object */
};

static void expect_line(struct worker *worker, bool condition, uint32_t line)
{
	uint32_t none = 0;

	if (!condition)
		atomic_compare_exchange_strong(&worker->shared->failed_line, &none, line);
}
#define expect(worker, condition) expect_line((worker), (condition), __LINE__)

static uint64_t map(struct worker *worker, uint64_t pages, int flags, quire_file *file)
{
	uint64_t address = quire_mmap(worker->mm, 0, pages << PAGE_SHIFT, RW, flags, file, 0);

	expect(worker, address != QUIRE_MAP_FAILED);
	return address;
}

static bool worker_begin(struct worker *worker)
{
	struct shared *shared = worker->shared;
	struct quire *quire = shared->test.quire;

	if (quire_group_create(quire, shared->budget, "worker", 0, &worker->group))
		return false;
	if (quire_mm_create(quire, "worker", worker->group, &worker->mm)) {
		quire_group_put(worker->group);
		return false;
	}
	worker->anon = map(worker, PAGES, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	worker->object = map(worker, PAGES, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL);
	worker->file = map(worker, FILE_PAGES, QUIRE_MAP_SHARED, shared->file);
	for (uint32_t i = 0; i < PAGES; i++)
		worker->values[0][i] = worker->values[1][i] = 0;
	return true;
}

static void access_own(struct worker *worker, quire_mm *mm, uint32_t which, uint32_t page,
		       bool write)
{
	const uint64_t address =
		(which ? worker->object : worker->anon) + ((uint64_t)page << PAGE_SHIFT) + page;
	uint8_t byte = (uint8_t)(1 + prng_below(&worker->prng, 255));

	expect(worker, access_process_vm(mm, address, &byte, 1, write) == 1);
	if (write)
		worker->values[which][page] = byte;
	else
		expect(worker, byte == worker->values[which][page]);
}

/* Each thread has a byte of its own in every page of the file. */
static void access_file(struct worker *worker, uint32_t page)
{
	const uint64_t address = worker->file + ((uint64_t)page << PAGE_SHIFT) + worker->number;
	uint8_t byte = (uint8_t)(page + worker->number);

	expect(worker, access_process_vm(worker->mm, address, &byte, 1, true) == 1);
	byte = 0;
	expect(worker, access_process_vm(worker->mm, address, &byte, 1, false) == 1);
	expect(worker, byte == (uint8_t)(page + worker->number));
}

/* The parent goes on in its child, or the child is only looked at. */
static void fork_and_go_on(struct worker *worker)
{
	quire_mm *child;

	if (quire_fork(worker->mm, "child", &child)) {
		expect(worker, false);
		return;
	}
	for (uint32_t page = 0; page < PAGES; page += 7)
		access_own(worker, child, page % 2, page, false);
	if (prng_below(&worker->prng, 2)) {
		quire_mm_exit(worker->mm);
		worker->mm = child;
	} else {
		quire_mm_exit(child);
	}
}

static void worker_step(struct worker *worker)
{
	const uint32_t page = (uint32_t)prng_below(&worker->prng, PAGES);

	switch (prng_below(&worker->prng, 40)) {
	case 0:
		fork_and_go_on(worker);
		break;
	case 1:
		quire_group_set_budget(worker->group, (20 + prng_below(&worker->prng, 60))
							      << PAGE_SHIFT);
		break;
	case 2:
		quire_madvise(worker->mm, worker->anon, PAGES << PAGE_SHIFT, QUIRE_MADV_PAGEOUT);
		break;
	case 3:
		quire_balance(worker->shared->test.quire);
		break;
	default:
		if (page % 3)
			access_own(worker, worker->mm, page % 2, page,
				   prng_below(&worker->prng, 2));
		else
			access_file(worker, page);
	}
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		if (!worker_begin(worker)) {
			expect(worker, false);
			break;
		}
		for (uint32_t step = 0; step < STEPS; step++)
			worker_step(worker);
		for (uint32_t page = 0; page < PAGES; page++)
			for (uint32_t which = 0; which < 2; which++)
				access_own(worker, worker->mm, which, page, false);
		quire_mm_exit(worker->mm);
		quire_group_put(worker->group);
	}
	return NULL;
}

static void run(const char *policy)
{
	static struct worker workers[THREADS];
	struct shared shared = {0};
	struct quire_store *store;
	pthread_t threads[THREADS];

	test_instance_create(&shared.test,
			     (struct quire_params){.memory = MEMORY, .policy = policy});
	test_instance_add_swap(&shared.test, 8 * THREADS * PAGES);
	assert_int_equal(quire_group_create(shared.test.quire, NULL, "budget", BUDGET << PAGE_SHIFT,
					    &shared.budget),
			 0);
	assert_int_equal(quire_memory_store_create(FILE_PAGES << PAGE_SHIFT, &store), 0);
	assert_int_equal(quire_open(shared.test.quire, "file", 1, 1, store,
				    QUIRE_O_READ | QUIRE_O_WRITE, &shared.file),
			 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.shared = &shared, .number = i};
		prng_seed(&workers[i].prng, i + 1);
		assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);

	assert_int_equal(atomic_load(&shared.failed_line), 0);
	assert_true(atomic_load(&shared.budget->peak) <= BUDGET);
	assert_int_equal(stat_read(&shared.test.quire->events, EVENT_OOM), 0);
	assert_true(stat_read(&shared.test.quire->events, EVENT_SWAP_OUT) > 0);
	assert_int_equal(swap_free_slots(shared.test.quire), 8 * THREADS * PAGES);
	test_instance_check(&shared.test);
	quire_close(shared.file);
	quire_group_put(shared.budget);
	test_instance_destroy(&shared.test);
}

static void threads_share_a_budget_with_two_lists(void **state)
{
	(void)state;
	run("two-list");
}

static void threads_share_a_budget_with_sieve(void **state)
{
	(void)state;
	run("sieve");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_share_a_budget_with_two_lists),
		cmocka_unit_test(threads_share_a_budget_with_sieve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
