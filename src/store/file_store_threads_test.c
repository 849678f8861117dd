/* SPDX-License-Identifier: MIT */
/*
 * Tests of many transfers at a time of a store of a host file: from several threads, from threads
 * that exit, and up to the store's end.
 */
#include "store/file_store_fixture_test.h"

#include <pthread.h>

#define TRANSFERS 700
#define WORKERS 3

struct worker {
	struct quire_store *store;
	uint64_t number;
	struct test_transfer transfers[TRANSFERS];
};

static struct worker workers[WORKERS];

static unsigned char *page_of(const struct worker *worker, size_t i)
{
	return buffer + (worker->number * TRANSFERS + i) * 4096;
}

/* Each page's offset in the file; a worker's pages do not lie side by side. */
static uint64_t offset_of(const struct worker *worker, size_t i)
{
	return (i * WORKERS + worker->number) * 4096;
}

static int start_all(struct worker *worker, enum quire_direction direction)
{
	for (size_t i = 0; i < TRANSFERS; i++)
		if (test_submit(worker->store, &worker->transfers[i], direction, page_of(worker, i),
				4096, offset_of(worker, i)))
			return -1;
	return 0;
}

static int wait_for_all(struct worker *worker)
{
	for (size_t i = 0; i < TRANSFERS; i++)
		if (test_wait(&worker->transfers[i]) != 4096)
			return -1;
	return 0;
}

static void *write_then_read(void *argument)
{
	struct worker *worker = argument;

	for (size_t i = 0; i < TRANSFERS; i++)
		test_fill(page_of(worker, i), 4096, offset_of(worker, i));
	if (start_all(worker, QUIRE_WRITE) || wait_for_all(worker))
		return worker;
	memset(page_of(worker, 0), 0xee, TRANSFERS * 4096);
	if (start_all(worker, QUIRE_READ) || wait_for_all(worker))
		return worker;
	for (size_t i = 0; i < TRANSFERS; i++)
		if (!test_is_filled(page_of(worker, i), 4096, offset_of(worker, i)))
			return worker;
	return NULL;
}

/* More transfers at a time than the ring has room for, from several threads. */
static void check_concurrent(struct quire_store *store)
{
	pthread_t threads[WORKERS];

	for (size_t i = 0; i < WORKERS; i++) {
		workers[i].store = store;
		workers[i].number = i;
		assert_int_equal(pthread_create(&threads[i], NULL, write_then_read, &workers[i]),
				 0);
	}
	for (size_t i = 0; i < WORKERS; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

static void test_concurrent(void **state)
{
	(void)state;
	check_concurrent(the_store());
}

/* The same without the host's page cache, where transfers really take a while. */
static void test_concurrent_direct(void **state)
{
	(void)state;
	struct quire_store *store = the_store(), *direct;
	int fd = reopen(fixture.fd, O_RDWR | O_DIRECT);

	if (fd < 0)
		skip();
	assert_int_equal(quire_file_store_create(fd, true,
						 quire_file_store_uses_ring(store)
							 ? QUIRE_FILE_IO_RING
							 : QUIRE_FILE_IO_PLAIN,
						 &direct),
			 0);
	check_concurrent(direct);
	direct->ops->close(direct);
}

static void *start_writes_and_exit(void *argument)
{
	return start_all(argument, QUIRE_WRITE) ? argument : NULL;
}

static void *start_reads_and_exit(void *argument)
{
	return start_all(argument, QUIRE_READ) ? argument : NULL;
}

static void check_submitter_exits(void *(*start)(void *))
{
	pthread_t thread;
	void *wrong;

	assert_int_equal(pthread_create(&thread, NULL, start, &workers[0]), 0);
	pthread_join(thread, &wrong);
	assert_null(wrong);
	assert_int_equal(wait_for_all(&workers[0]), 0);
}

/*
 * The kernel may give up what a thread has under way in a ring when the thread exits; the store
 * must not let that show. The file's pages are dropped from the host's cache before the reads, so
 * that these cannot be over at once.
 */
static void test_submitter_exits(void **state)
{
	(void)state;
	struct quire_store *store = the_store();

	workers[0].store = store;
	workers[0].number = 0;
	for (size_t i = 0; i < TRANSFERS; i++)
		test_fill(page_of(&workers[0], i), 4096, offset_of(&workers[0], i));
	check_submitter_exits(start_writes_and_exit);
	for (int round = 0; round < 5; round++) {
		memset(page_of(&workers[0], 0), 0xee, TRANSFERS * 4096);
		assert_int_equal(store->ops->sync(store), 0);
		posix_fadvise(fixture.fd, 0, 0, POSIX_FADV_DONTNEED);
		check_submitter_exits(start_reads_and_exit);
		for (size_t i = 0; i < TRANSFERS; i++)
			assert_true(test_is_filled(page_of(&workers[0], i), 4096,
						   offset_of(&workers[0], i)));
	}
}

static void test_close_waits(void **state)
{
	(void)state;

	workers[0].store = the_store();
	workers[0].number = 0;
	assert_int_equal(start_all(&workers[0], QUIRE_WRITE), 0);
	fixture.store->ops->close(fixture.store);
	fixture.store = NULL;
	for (size_t i = 0; i < TRANSFERS; i++) {
		assert_int_equal(workers[0].transfers[i].finished, 1);
		assert_int_equal(workers[0].transfers[i].result, 4096);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_concurrent),
		EACH(test_concurrent_direct),
		EACH(test_submitter_exits),
		EACH(test_close_waits),
	};

	return exit_status(cmocka_run_group_tests(tests, NULL, NULL));
}
