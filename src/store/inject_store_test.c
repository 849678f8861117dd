/* SPDX-License-Identifier: MIT */
/*
 * Tests of the injecting store: which call is hit, errors at submission and completion, cut and
 * delayed transfers, counts.
 */
#include <quire/inject_store.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "store/store_test.h"

#include <quire/memory_store.h>

#include <errno.h>

static unsigned char buffer[8 * 4096], other[8 * 4096];

/* Each test gets a store around one in memory that holds eight recognisable pages. */
struct fixture {
	uint64_t live;
	struct quire_store *store;
	bool closed;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct quire_store *inner;

	fixture.live = quire_alloc_live();
	fixture.closed = false;
	*state = &fixture;
	test_fill(buffer, sizeof(buffer), 0);
	memset(other, 0xee, sizeof(other));
	if (quire_memory_store_create(0, &inner))
		return -1;
	if (test_write(inner, buffer, sizeof(buffer), 0) != sizeof(buffer))
		return -1;
	return quire_inject_store_create(inner, &fixture.store);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (!fixture->closed)
		fixture->store->ops->close(fixture->store);
	return quire_alloc_live() == fixture->live ? 0 : -1;
}

static struct quire_store *store_of(void **state)
{
	return ((struct fixture *)*state)->store;
}

static void test_passes_on(void **state)
{
	struct quire_store *store = store_of(state);

	assert_true(store->writable);
	assert_int_equal(store->ops->size(store), sizeof(buffer));
	assert_int_equal(test_read(store, other, sizeof(other), 0), sizeof(other));
	assert_memory_equal(buffer, other, sizeof(other));
	assert_int_equal(store->ops->discard(store, 0, 4096), 0);
	assert_int_equal(store->ops->resize(store, 8192), 0);
	assert_int_equal(test_write(store, buffer, 4096, 8192), 4096);
	assert_int_equal(store->ops->sync(store), 0);
	assert_int_equal(test_read(store, other, sizeof(other), 0), 12288);
	assert_true(test_is_zero(other, 4096));
	assert_int_equal(quire_inject_calls(store, QUIRE_INJECT_READ), 2);
	for (int kind = QUIRE_INJECT_WRITE; kind < QUIRE_INJECT_KINDS; kind++)
		assert_int_equal(quire_inject_calls(store, kind), 1);
}

static void test_nth_transfer_fails(void **state)
{
	struct quire_store *store = store_of(state);
	struct quire_inject_rule rule = {.nth = 2, .error = -EIO};

	for (int at_submit = 0; at_submit <= 1; at_submit++) {
		struct test_transfer transfer;

		rule.at_submit = at_submit;
		quire_inject_set(store, QUIRE_INJECT_READ, &rule);
		assert_int_equal(test_read(store, other, 4096, 0), 4096);
		assert_int_equal(test_submit(store, &transfer, QUIRE_READ, other, 4096, 0),
				 at_submit ? -EIO : 0);
		if (at_submit)
			assert_int_equal(transfer.finished, 0);
		else
			assert_int_equal(test_wait(&transfer), -EIO);
		assert_int_equal(test_read(store, other, 4096, 0), 4096);
		assert_int_equal(test_write(store, buffer, 4096, 0), 4096);
	}
	assert_int_equal(quire_inject_calls(store, QUIRE_INJECT_READ), 6);
}

static void test_from_then_on_until_removed(void **state)
{
	struct quire_store *store = store_of(state);
	struct quire_inject_rule rule = {.nth = 1, .from_then_on = true, .error = -ENOSPC};

	quire_inject_set(store, QUIRE_INJECT_WRITE, &rule);
	for (int i = 0; i < 3; i++)
		assert_int_equal(test_write(store, buffer, 4096, 0), -ENOSPC);
	quire_inject_set(store, QUIRE_INJECT_WRITE, NULL);
	assert_int_equal(test_write(store, buffer, 4096, 0), 4096);
}

static void test_other_operations_fail(void **state)
{
	struct quire_store *store = store_of(state);
	struct quire_inject_rule rule = {.nth = 1, .error = -EDQUOT};

	for (int kind = QUIRE_INJECT_SIZE; kind < QUIRE_INJECT_KINDS; kind++)
		quire_inject_set(store, kind, &rule);
	assert_int_equal(store->ops->size(store), -EDQUOT);
	assert_int_equal(store->ops->resize(store, 0), -EDQUOT);
	assert_int_equal(store->ops->discard(store, 0, 4096), -EDQUOT);
	assert_int_equal(store->ops->sync(store), -EDQUOT);
	assert_int_equal(store->ops->size(store), sizeof(buffer));
	assert_int_equal(test_read(store, other, 4096, 0), 4096);
	assert_true(test_is_filled(other, 4096, 0));
}

static void test_cut_read(void **state)
{
	struct quire_store *store = store_of(state);
	struct quire_inject_rule rule = {.nth = 1, .cut = true, .bytes = 5000};

	quire_inject_set(store, QUIRE_INJECT_READ, &rule);
	assert_int_equal(test_read(store, other, 8192, 4096), 5000);
	assert_true(test_is_filled(other, 5000, 4096));
	assert_int_equal(other[5000], 0xee);
	rule.bytes = 0;
	quire_inject_set(store, QUIRE_INJECT_READ, &rule);
	assert_int_equal(test_read(store, other, 8192, 4096), 0);
	rule.bytes = 100;
	rule.error = -EIO;
	quire_inject_set(store, QUIRE_INJECT_READ, &rule);
	assert_int_equal(test_read(store, other, 8192, 4096), -EIO);
}

static void test_cut_write(void **state)
{
	struct quire_store *store = store_of(state);
	struct quire_inject_rule rule = {.nth = 1, .cut = true, .bytes = 4196};
	static unsigned char zeroes[8192];

	quire_inject_set(store, QUIRE_INJECT_WRITE, &rule);
	assert_int_equal(test_write(store, zeroes, 8192, 0), -ENOSPC);
	assert_int_equal(test_read(store, other, 8192, 0), 8192);
	assert_true(test_is_zero(other, 4196));
	assert_true(test_is_filled(other + 4196, 8192 - 4196, 4196));
}

/* The rule cuts in the second of three segments. */
static void test_cut_between_segments(void **state)
{
	struct quire_store *store = store_of(state);
	struct quire_inject_rule rule = {.nth = 1, .cut = true, .bytes = 4096 + 7};
	struct quire_segment segments[] = {
		{other, 4096}, {other + 4096, 4096}, {other + 8192, 4096}};
	struct test_transfer transfer;

	memset(&transfer, 0, sizeof(transfer));
	transfer.request = (struct quire_request){.direction = QUIRE_READ,
						  .segments = segments,
						  .nr_segments = ARRAY_SIZE(segments),
						  .done = test_transfer_done,
						  .context = &transfer};
	quire_inject_set(store, QUIRE_INJECT_READ, &rule);
	assert_int_equal(store->ops->submit(store, &transfer.request), 0);
	assert_int_equal(test_wait(&transfer), 4096 + 7);
	assert_true(test_is_filled(other, 4096 + 7, 0));
	assert_int_equal(other[4096 + 7], 0xee);
	assert_int_equal(segments[1].bytes, 4096);
}

static void test_delay(void **state)
{
	struct quire_store *store = store_of(state);
	struct quire_inject_rule rule = {.nth = 1, .delay = 3};
	struct test_transfer slow, failing;

	quire_inject_set(store, QUIRE_INJECT_READ, &rule);
	rule.delay = 1;
	rule.error = -EIO;
	quire_inject_set(store, QUIRE_INJECT_WRITE, &rule);
	assert_int_equal(test_submit(store, &slow, QUIRE_READ, other, 4096, 0), 0);
	assert_int_equal(test_submit(store, &failing, QUIRE_WRITE, buffer, 4096, 4096), 0);
	/* A transfer that no rule hits overtakes both. */
	assert_int_equal(test_read(store, other + 4096, 4096, 8192), 4096);
	assert_int_equal(quire_inject_step(store), 1);
	assert_int_equal(test_wait(&failing), -EIO);
	assert_int_equal(quire_inject_step(store), 1);
	assert_int_equal(slow.finished, 0);
	assert_int_equal(other[0], 0xee);
	assert_int_equal(quire_inject_step(store), 0);
	assert_int_equal(test_wait(&slow), 4096);
	assert_true(test_is_filled(other, 4096, 0));
	assert_int_equal(quire_inject_step(store), 0);
}

static void test_close_lets_held_ones_go(void **state)
{
	struct fixture *fixture = *state;
	struct quire_inject_rule rule = {.nth = 1, .from_then_on = true, .delay = 5};
	struct test_transfer transfers[3];

	quire_inject_set(fixture->store, QUIRE_INJECT_READ, &rule);
	for (size_t i = 0; i < ARRAY_SIZE(transfers); i++)
		assert_int_equal(test_submit(fixture->store, &transfers[i], QUIRE_READ,
					     other + i * 4096, 4096, i * 4096),
				 0);
	fixture->store->ops->close(fixture->store);
	fixture->closed = true;
	for (size_t i = 0; i < ARRAY_SIZE(transfers); i++) {
		assert_int_equal(transfers[i].finished, 1);
		assert_int_equal(transfers[i].result, 4096);
	}
	assert_true(test_is_filled(other, 3 * 4096, 0));
}

/* FAIL_STORE hits each kind of call in turn, and nothing has happened then. */
static void test_fail_store(void **state)
{
	struct quire_store *store = store_of(state);
	static unsigned char zeroes[4096];

	for (uint64_t nth = 1; nth <= 6; nth++) {
		quire_fail_arm(FAIL_STORE, nth, false);
		assert_int_equal(test_read(store, other, 4096, 4096), nth == 1 ? -EIO : 4096);
		assert_int_equal(test_write(store, nth == 2 ? zeroes : buffer, 4096, 0),
				 nth == 2 ? -EIO : 4096);
		assert_int_equal(store->ops->size(store), nth == 3 ? -EIO : 8 * 4096);
		assert_int_equal(store->ops->resize(store, nth == 4 ? 0 : 8 * 4096),
				 nth == 4 ? -EIO : 0);
		assert_int_equal(store->ops->discard(store, 4096, nth == 5 ? 4096 : 0),
				 nth == 5 ? -EIO : 0);
		assert_int_equal(store->ops->sync(store), nth == 6 ? -EIO : 0);
		assert_true(quire_fail_disarm());
		assert_int_equal(test_read(store, other, sizeof(other), 0), sizeof(other));
		assert_true(test_is_filled(other, sizeof(other), 0));
	}
}

static void test_out_of_memory(void **state)
{
	struct quire_store *store = store_of(state);
	struct quire_inject_rule rule = {.nth = 1, .error = -EIO};
	struct quire_store *none;

	quire_inject_set(store, QUIRE_INJECT_READ, &rule);
	quire_fail_arm(FAIL_ALLOC, 1, true);
	assert_int_equal(quire_inject_store_create(store, &none), -ENOMEM);
	assert_int_equal(test_read(store, other, 4096, 0), -ENOMEM);
	assert_true(quire_fail_disarm());
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_passes_on),
		TEST(test_nth_transfer_fails),
		TEST(test_from_then_on_until_removed),
		TEST(test_other_operations_fail),
		TEST(test_cut_read),
		TEST(test_cut_write),
		TEST(test_cut_between_segments),
		TEST(test_delay),
		TEST(test_close_lets_held_ones_go),
		TEST(test_fail_store),
		TEST(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
