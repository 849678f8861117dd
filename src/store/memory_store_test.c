/* SPDX-License-Identifier: MIT */
/*
 * Tests of the store in memory: sparse reading, growing, cutting, discarding, running out of
 * memory, several threads.
 */
#include <quire/memory_store.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "store/store_test.h"

#include <errno.h>
#include <pthread.h>

static unsigned char buffer[64 * 4096], other[64 * 4096];

/* Each test gets an empty store and must leave no memory behind. */
struct fixture {
	uint64_t live;
	struct quire_store *store;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture.live = quire_alloc_live();
	*state = &fixture;
	return quire_memory_store_create(0, &fixture.store);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	fixture->store->ops->close(fixture->store);
	return quire_alloc_live() == fixture->live ? 0 : -1;
}

static struct quire_store *store_of(void **state)
{
	return ((struct fixture *)*state)->store;
}

static void test_write_and_read(void **state)
{
	struct quire_store *store = store_of(state);

	assert_true(store->writable);
	test_fill(buffer, sizeof(buffer), 0);
	assert_int_equal(test_write(store, buffer, sizeof(buffer), 0), sizeof(buffer));
	assert_int_equal(store->ops->size(store), sizeof(buffer));
	assert_int_equal(test_read(store, other, sizeof(other), 0), sizeof(other));
	assert_memory_equal(buffer, other, sizeof(buffer));
	assert_int_equal(store->ops->sync(store), 0);
}

static void test_several_segments(void **state)
{
	struct quire_store *store = store_of(state);
	struct test_transfer transfer;
	struct quire_segment segments[] = {
		{buffer + 8192, 4096}, {buffer, 4096}, {buffer + 4096, 100}};

	test_fill(buffer + 8192, 4096, 4096);
	test_fill(buffer, 4096, 8192);
	test_fill(buffer + 4096, 100, 12288);
	memset(&transfer, 0, sizeof(transfer));
	transfer.request = (struct quire_request){.direction = QUIRE_WRITE,
						  .offset = 4096,
						  .segments = segments,
						  .nr_segments = ARRAY_SIZE(segments),
						  .done = test_transfer_done,
						  .context = &transfer};
	assert_int_equal(store->ops->submit(store, &transfer.request), 0);
	assert_int_equal(test_wait(&transfer), 8292);
	assert_int_equal(test_read(store, other, sizeof(other), 0), 4096 + 8292);
	assert_true(test_is_zero(other, 4096));
	assert_true(test_is_filled(other + 4096, 8292, 4096));
}

static void test_sparse(void **state)
{
	struct quire_store *store = store_of(state);
	uint64_t far = (uint64_t)1 << 40;

	test_fill(buffer, 4096, far);
	assert_int_equal(test_write(store, buffer, 4096, far), 4096);
	assert_int_equal(store->ops->size(store), far + 4096);
	assert_int_equal(quire_memory_store_pages(store), 1);
	memset(other, 0xee, 8192);
	assert_int_equal(test_read(store, other, 8192, far - 4096), 8192);
	assert_true(test_is_zero(other, 4096));
	assert_true(test_is_filled(other + 4096, 4096, far));
	/* Reading made no page. */
	assert_int_equal(quire_memory_store_pages(store), 1);
}

static void test_end_of_store(void **state)
{
	struct quire_store *store = store_of(state);

	test_fill(buffer, 5000, 0);
	assert_int_equal(test_write(store, buffer, 5000, 0), 5000);
	memset(other, 0xee, 8192);
	assert_int_equal(test_read(store, other, 8192, 0), 5000);
	assert_int_equal(other[5000], 0xee);
	assert_int_equal(test_read(store, other, 4096, 8192), 0);
	assert_int_equal(test_read(store, other, 0, 0), 0);
	assert_int_equal(test_write(store, other, 0, 10000), 0);
	assert_int_equal(store->ops->size(store), 5000);
}

static void test_resize(void **state)
{
	struct quire_store *store = store_of(state);

	test_fill(buffer, 12288, 0);
	assert_int_equal(test_write(store, buffer, 12288, 0), 12288);
	assert_int_equal(store->ops->resize(store, 5000), 0);
	assert_int_equal(store->ops->size(store), 5000);
	assert_int_equal(quire_memory_store_pages(store), 2);
	assert_int_equal(store->ops->resize(store, 20000), 0);
	assert_int_equal(test_read(store, other, 20000, 0), 20000);
	assert_true(test_is_filled(other, 5000, 0));
	assert_true(test_is_zero(other + 5000, 15000));
	assert_int_equal(store->ops->resize(store, 0), 0);
	assert_int_equal(quire_memory_store_pages(store), 0);
	assert_int_equal(store->ops->resize(store, UINT64_MAX), -EFBIG);
}

static void test_discard(void **state)
{
	struct quire_store *store = store_of(state);

	test_fill(buffer, 5 * 4096 + 10, 0);
	assert_int_equal(test_write(store, buffer, 5 * 4096 + 10, 0), 5 * 4096 + 10);
	assert_int_equal(store->ops->discard(store, 4000, 4096 + 200), 0);
	assert_int_equal(quire_memory_store_pages(store), 5);
	assert_int_equal(test_read(store, other, 5 * 4096, 0), 5 * 4096);
	assert_true(test_is_filled(other, 4000, 0));
	assert_true(test_is_zero(other + 4000, 4296));
	assert_true(test_is_filled(other + 8296, 5 * 4096 - 8296, 8296));
	/* Up to the end: the last page goes as well. */
	assert_int_equal(store->ops->discard(store, 3 * 4096, 2 * 4096 + 10), 0);
	assert_int_equal(quire_memory_store_pages(store), 2);
	assert_int_equal(store->ops->discard(store, 0, UINT64_MAX), 0);
	assert_int_equal(store->ops->discard(store, 1 << 20, 4096), 0);
	assert_int_equal(store->ops->discard(store, 0, 0), 0);
	assert_int_equal(quire_memory_store_pages(store), 0);
	assert_int_equal(store->ops->size(store), 5 * 4096 + 10);
	assert_int_equal(store->ops->discard(store, UINT64_MAX, 1), -EINVAL);
}

static void test_bad_ranges(void **state)
{
	struct quire_store *store = store_of(state);

	assert_int_equal(test_write(store, buffer, 4096, INT64_MAX - 100), -EFBIG);
	assert_int_equal(test_read(store, buffer, 4096, UINT64_MAX - 100), -EINVAL);
	assert_int_equal(store->ops->size(store), 0);
}

static void test_out_of_memory(void **state)
{
	struct quire_store *store = store_of(state);
	uint64_t nth = 1;
	int64_t result;

	do {
		quire_fail_arm(FAIL_ALLOC, nth++, true);
		result = test_write(store, buffer, 10 * 4096, 0);
		assert_int_equal(result, quire_fail_disarm() ? -ENOMEM : 10 * 4096);
		assert_int_equal(store->ops->size(store), result < 0 ? 0 : 10 * 4096);
		if (result < 0)
			assert_int_equal(store->ops->resize(store, 0), 0);
	} while (result < 0);
	assert_true(nth > 4);

	struct quire_store *none;

	quire_fail_arm(FAIL_ALLOC, 1, false);
	assert_int_equal(quire_memory_store_create(0, &none), -ENOMEM);
	quire_fail_disarm();
}

struct worker {
	struct quire_store *store;
	uint64_t number;
	bool wrong;
};

/* Each thread has every fourth page: they share nodes of the tree, not pages. */
static void *work(void *argument)
{
	struct worker *worker = argument;
	unsigned char page[4096], back[4096];

	for (uint64_t round = 0; round < 200; round++) {
		uint64_t offset = (round * 4 + worker->number) * 4096;

		test_fill(page, sizeof(page), offset);
		if (test_write(worker->store, page, 4096, offset) != 4096 ||
		    test_read(worker->store, back, 4096, offset) != 4096 ||
		    memcmp(page, back, 4096) != 0)
			worker->wrong = true;
		if (round % 3 == 0 && worker->store->ops->discard(worker->store, offset, 4096))
			worker->wrong = true;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct worker workers[4];
	pthread_t threads[4];

	for (uint64_t i = 0; i < 4; i++) {
		workers[i] = (struct worker){store_of(state), i, false};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_false(workers[i].wrong);
	}
	assert_int_equal(quire_memory_store_pages(store_of(state)), 4 * (200 - 67));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_write_and_read), TEST(test_several_segments), TEST(test_sparse),
		TEST(test_end_of_store),   TEST(test_resize),           TEST(test_discard),
		TEST(test_bad_ranges),     TEST(test_out_of_memory),    TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
