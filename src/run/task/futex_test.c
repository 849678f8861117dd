/* SPDX-License-Identifier: MIT */
/*
 * Tests of futexes: what a word is known by, waking and moving waiters, the operations with real
 * waiting threads, and the list of locks of a thread that ends.
 */
#include "core/call/fixture_test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

#include "run/task/futex.h"
#include "run/task/futex_key.h"
#include "run/user/user.h"

#define WORD AT(0)
#define OTHER (AT(0) + 64)

static struct futex_key key_of(struct fixture *f, uint64_t address, bool is_private)
{
	struct futex_key key;

	assert_ok(futex_key_get(f->mm, address, is_private, &key));
	return key;
}

static void test_keys(void **state)
{
	struct fixture *f = *state;
	struct futex_key key, other;

	map_anon(f, 0, 1);
	assert_int_equal(futex_key_get(f->mm, WORD + 2, true, &key), -EINVAL);
	assert_int_equal(futex_key_get(f->mm, TASK_SIZE_MAX, true, &key), -EFAULT);
	assert_int_equal(futex_key_get(f->mm, AT(9), false, &key), -EFAULT);
	assert_ok(futex_key_get(f->mm, AT(9), true, &key));
	key = key_of(f, WORD, true);
	other = key_of(f, WORD, false);
	/* As on Linux, the two kinds do not meet. */
	assert_false(futex_key_equal(&key, &other));
	other = key_of(f, WORD, true);
	assert_true(futex_key_equal(&key, &other));
	assert_ptr_equal(futex_bucket_of(&key), futex_bucket_of(&other));
	other = key_of(f, WORD + 4, true);
	assert_false(futex_key_equal(&key, &other));
}

/* A shared page is one object wherever it is mapped. */
static void test_keys_of_shared_memory(void **state)
{
	struct fixture *f = *state;
	struct mmap_request request = {
		.address = AT(0),
		.length = 2 * PAGE_SIZE,
		.prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		.flags = QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
	};
	struct futex_key low, high, copy;
	int64_t again;

	assert_int_equal(do_mmap(f->mm, &request), AT(0));
	/* The second page once more, elsewhere. */
	again = do_mremap(f->mm, AT(1), 0, PAGE_SIZE, QUIRE_MREMAP_MAYMOVE, 0);
	assert_true(again > 0);
	low = key_of(f, AT(0) + 8, false);
	high = key_of(f, AT(1) + 8, false);
	copy = key_of(f, (uint64_t)again + 8, false);
	assert_int_equal(low.kind, FUTEX_KIND_OBJECT);
	assert_int_equal(low.offset + PAGE_SIZE, high.offset);
	assert_true(futex_key_equal(&high, &copy));
}

static void test_wake_in_order(void **state)
{
	struct fixture *f = *state;
	struct futex_waiter waiters[4];
	struct futex_key key;
	struct futex_bucket *bucket;

	map_anon(f, 0, 1);
	key = key_of(f, WORD, true);
	bucket = futex_bucket_of(&key);
	mutex_lock(&bucket->lock);
	for (uint32_t i = 0; i < 4; i++) {
		waiters[i] = (struct futex_waiter){.key = key, .bitset = 1u << i};
		futex_queue(bucket, &waiters[i]);
	}
	assert_int_equal(futex_wake_key(bucket, &key, 9, 0x10), 0);
	assert_int_equal(futex_wake_key(bucket, &key, 9, 4), 1);
	assert_int_equal(waiters[2].woken, 1);
	assert_int_equal(futex_wake_key(bucket, &key, 2, UINT32_MAX), 2);
	assert_true(waiters[0].woken && waiters[1].woken && !waiters[3].woken);
	mutex_unlock(&bucket->lock);
	assert_false(futex_unqueue(&waiters[0]));
	assert_true(futex_unqueue(&waiters[3]));
	assert_true(list_empty(&bucket->waiters));
}

static void test_requeue_keeps_order(void **state)
{
	struct fixture *f = *state;
	struct futex_waiter waiters[4];
	struct futex_key key, to_key;
	struct futex_bucket *from, *to;

	map_anon(f, 0, 1);
	key = key_of(f, WORD, true);
	to_key = key_of(f, OTHER, true);
	from = futex_bucket_of(&key);
	to = futex_bucket_of(&to_key);
	futex_lock_two(from, to);
	for (uint32_t i = 0; i < 4; i++) {
		waiters[i] = (struct futex_waiter){.key = key, .bitset = UINT32_MAX};
		futex_queue(from, &waiters[i]);
	}
	assert_int_equal(futex_requeue_key(from, &key, to, &to_key, 3), 3);
	assert_int_equal(futex_wake_key(from, &key, 9, UINT32_MAX), 1);
	assert_int_equal(waiters[3].woken, 1);
	assert_int_equal(futex_wake_key(to, &to_key, 1, UINT32_MAX), 1);
	assert_int_equal(waiters[0].woken, 1);
	futex_unlock_two(from, to);
	/* One that was moved is found where it is now. */
	assert_true(futex_unqueue(&waiters[1]));
	assert_true(futex_unqueue(&waiters[2]));
	assert_true(list_empty(&from->waiters) && list_empty(&to->waiters));
}

static void make_thread(struct process *process, struct thread *thread)
{
	memset(thread, 0, sizeof(*thread));
	thread->process = process;
	thread->tid = 1234;
}

/* A process and the thread that calls. */
static void make_process(struct fixture *f, struct process *process, struct thread *thread)
{
	memset(process, 0, sizeof(*process));
	process->mm = f->mm;
	make_thread(process, thread);
}

static void set_word(struct fixture *f, uint64_t address, uint32_t value)
{
	assert_ok(copy_to_user(f->mm, address, &value, sizeof(value)));
}

static uint32_t word(struct fixture *f, uint64_t address)
{
	uint32_t value;

	assert_ok(copy_from_user(f->mm, &value, address, sizeof(value)));
	return value;
}

static int64_t futex(struct thread *thread, uint64_t address, int operation, uint32_t value,
		     uint64_t timeout)
{
	const uint64_t args[6] = {address, (uint64_t)operation, value, timeout, 0, UINT32_MAX};

	return do_futex(thread, args);
}

static void test_wait_that_does_not_sleep(void **state)
{
	struct fixture *f = *state;
	struct process process;
	struct thread thread;
	struct timespec time = {.tv_nsec = 1000000000};

	make_process(f, &process, &thread);
	map_anon(f, 0, 1);
	set_word(f, WORD, 5);
	assert_int_equal(futex(&thread, WORD, FUTEX_WAIT, 4, 0), -EAGAIN);
	assert_int_equal(futex(&thread, WORD + 1, FUTEX_WAIT, 5, 0), -EINVAL);
	assert_int_equal(futex(&thread, AT(7), FUTEX_WAIT_PRIVATE, 5, 0), -EFAULT);
	assert_int_equal(futex(&thread, WORD, FUTEX_WAIT, 5, 1), -EFAULT);
	assert_ok(copy_to_user(f->mm, OTHER, &time, sizeof(time)));
	assert_int_equal(futex(&thread, WORD, FUTEX_WAIT, 5, OTHER), -EINVAL);
	time.tv_nsec = 0;
	assert_ok(copy_to_user(f->mm, OTHER, &time, sizeof(time)));
	assert_int_equal(futex(&thread, WORD, FUTEX_WAIT, 5, OTHER), -ETIMEDOUT);
	/* The first second of the clocks is over. */
	time.tv_sec = 1;
	assert_ok(copy_to_user(f->mm, OTHER, &time, sizeof(time)));
	assert_int_equal(futex(&thread, WORD, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, OTHER),
			 -ETIMEDOUT);
	assert_int_equal(futex(&thread, WORD, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 5, OTHER),
			 -ENOSYS);
	assert_int_equal(futex(&thread, WORD, FUTEX_LOCK_PI, 0, 0), -ENOSYS);
	assert_int_equal(futex(&thread, AT(7), FUTEX_WAKE_PRIVATE, 1, 0), 0);
	assert_int_equal(futex(&thread, AT(7), FUTEX_WAKE, 1, 0), -EFAULT);
}

/* A wait that a signal ends goes on with what is left of its time. */
static void test_interrupted_wait(void **state)
{
	struct fixture *f = *state;
	struct process process;
	struct thread thread;
	const struct timespec hour = {.tv_sec = 3600};
	struct timespec before, deadline;

	make_process(f, &process, &thread);
	map_anon(f, 0, 1);
	set_word(f, WORD, 5);
	thread.signals.caught = 1;
	assert_int_equal(futex(&thread, WORD, FUTEX_WAIT, 5, 0), -EINTR);
	assert_null(thread.restart);
	assert_ok(copy_to_user(f->mm, OTHER, &hour, sizeof(hour)));
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(futex(&thread, WORD, FUTEX_WAIT, 5, OTHER), -EINTR);
	assert_non_null(thread.restart);
	deadline = thread.restart_futex.deadline;
	assert_true(deadline.tv_sec >= before.tv_sec + 3600);
	assert_int_equal(thread.restart(&thread), -EINTR);
	assert_memory_equal(&deadline, &thread.restart_futex.deadline, sizeof(deadline));
	set_word(f, WORD, 6);
	assert_int_equal(thread.restart(&thread), -EAGAIN);
}

struct sleeper {
	struct thread thread;
	uint64_t address;
	uint32_t value;
	int64_t result;
};

static void *sleep_on_word(void *argument)
{
	struct sleeper *sleeper = argument;

	sleeper->result =
		futex(&sleeper->thread, sleeper->address, FUTEX_WAIT_PRIVATE, sleeper->value, 0);
	return NULL;
}

static void start_sleepers(struct process *process, struct sleeper *sleepers, pthread_t *threads,
			   uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		make_thread(process, &sleepers[i].thread);
		sleepers[i].address = WORD;
		sleepers[i].value = 5;
		assert_int_equal(pthread_create(&threads[i], NULL, sleep_on_word, &sleepers[i]), 0);
	}
}

static void test_sleepers_are_woken(void **state)
{
	struct fixture *f = *state;
	struct process process;
	struct thread thread;
	struct sleeper sleepers[8];
	pthread_t threads[8];
	uint32_t woken = 0;

	make_process(f, &process, &thread);
	map_anon(f, 0, 1);
	set_word(f, WORD, 5);
	start_sleepers(&process, sleepers, threads, 8);
	while (woken < 8) {
		const int64_t more = futex(&thread, WORD, FUTEX_WAKE_PRIVATE, 1, 0);

		assert_in_range(more, 0, 1);
		woken += (uint32_t)more;
		sched_yield();
	}
	for (uint32_t i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(sleepers[i].result, 0);
	}
}

/* All sleep, are moved to another word, and are woken there. */
static void test_sleepers_are_moved(void **state)
{
	struct fixture *f = *state;
	struct process process;
	struct thread thread;
	struct sleeper sleepers[8];
	pthread_t threads[8];
	uint64_t args[6] = {WORD, FUTEX_CMP_REQUEUE_PRIVATE, 0, 8, OTHER, 4};
	uint32_t moved = 0, woken = 0;

	make_process(f, &process, &thread);
	map_anon(f, 0, 1);
	set_word(f, WORD, 5);
	assert_int_equal(do_futex(&thread, args), -EAGAIN);
	args[5] = 5;
	start_sleepers(&process, sleepers, threads, 8);
	while (moved < 8) {
		const int64_t more = do_futex(&thread, args);

		assert_in_range(more, 0, 8);
		moved += (uint32_t)more;
		sched_yield();
	}
	assert_int_equal(futex(&thread, WORD, FUTEX_WAKE_PRIVATE, 8, 0), 0);
	while (woken < 8) {
		const int64_t more = futex(&thread, OTHER, FUTEX_WAKE_PRIVATE, 3, 0);

		assert_in_range(more, 1, 3);
		woken += (uint32_t)more;
	}
	for (uint32_t i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(sleepers[i].result, 0);
	}
}

static void test_wake_op(void **state)
{
	static const struct {
		uint32_t encoded;
		uint32_t result;
	} cases[] = {
		{FUTEX_OP(FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 0), 7},
		{FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_GT, 0), 15},
		{FUTEX_OP(FUTEX_OP_ADD, -3, FUTEX_OP_CMP_LT, 0), 9},
		{FUTEX_OP(FUTEX_OP_OR, 3, FUTEX_OP_CMP_NE, 0), 15},
		{FUTEX_OP(FUTEX_OP_ANDN, 4, FUTEX_OP_CMP_LE, 0), 8},
		{FUTEX_OP(FUTEX_OP_XOR, 5, FUTEX_OP_CMP_GE, 0), 9},
		{FUTEX_OP((FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT), 4, FUTEX_OP_CMP_EQ, 0), 28},
	};
	struct fixture *f = *state;
	struct process process;
	struct thread thread;

	make_process(f, &process, &thread);
	map_anon(f, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint64_t args[6] = {WORD,  FUTEX_WAKE_OP_PRIVATE, 1, 1,
					  OTHER, cases[i].encoded};

		set_word(f, OTHER, 12);
		assert_int_equal(do_futex(&thread, args), 0);
		assert_int_equal(word(f, OTHER), cases[i].result);
	}
	assert_int_equal(
		do_futex(&thread, (const uint64_t[6]){WORD, FUTEX_WAKE_OP, 1, 1, OTHER, 6u << 28}),
		-ENOSYS);
}

/* The list as a C library keeps it: the head, and locks that begin with their links. */
static void put_list(struct fixture *f, uint64_t head, uint64_t first, int64_t offset,
		     uint64_t pending)
{
	const uint64_t words[3] = {first, (uint64_t)offset, pending};

	assert_ok(copy_to_user(f->mm, head, words, sizeof(words)));
}

static void put_link(struct fixture *f, uint64_t at, uint64_t next)
{
	assert_ok(copy_to_user(f->mm, at, &next, sizeof(next)));
}

static void test_robust_list(void **state)
{
	const uint64_t head = AT(0), a = AT(0) + 128, b = AT(0) + 256, c = AT(0) + 384;
	struct fixture *f = *state;
	struct process process;
	struct thread thread;

	make_process(f, &process, &thread);
	map_anon(f, 0, 1);
	put_list(f, head, a, 16, c);
	put_link(f, a, b | 1);
	put_link(f, b, head);
	set_word(f, a + 16, 1234 | FUTEX_WAITERS);
	set_word(f, b + 16, 99);
	set_word(f, c + 16, 1234);
	thread.robust_list = head;
	futex_exit_robust_list(&thread);
	assert_int_equal(word(f, a + 16), FUTEX_WAITERS | FUTEX_OWNER_DIED);
	/* Somebody else's. */
	assert_int_equal(word(f, b + 16), 99);
	assert_int_equal(word(f, c + 16), FUTEX_OWNER_DIED);
}

/* A list that goes round, or leads nowhere, ends all the same. */
static void test_broken_robust_lists(void **state)
{
	const uint64_t head = AT(0), a = AT(0) + 128;
	struct fixture *f = *state;
	struct process process;
	struct thread thread;

	make_process(f, &process, &thread);
	map_anon(f, 0, 1);
	thread.robust_list = head;
	put_list(f, head, a, 16, 0);
	put_link(f, a, a);
	set_word(f, a + 16, 1234);
	futex_exit_robust_list(&thread);
	assert_int_equal(word(f, a + 16), FUTEX_OWNER_DIED);
	put_link(f, a, AT(8));
	futex_exit_robust_list(&thread);
	put_list(f, head, UINT64_MAX - 7, INT64_MAX, UINT64_MAX);
	futex_exit_robust_list(&thread);
	thread.robust_list = AT(9);
	futex_exit_robust_list(&thread);
	assert_int_equal(word(f, a + 16), FUTEX_OWNER_DIED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keys),
		TEST(test_keys_of_shared_memory),
		TEST(test_wake_in_order),
		TEST(test_requeue_keeps_order),
		TEST(test_wait_that_does_not_sleep),
		TEST(test_interrupted_wait),
		TEST(test_sleepers_are_woken),
		TEST(test_sleepers_are_moved),
		TEST(test_wake_op),
		TEST(test_robust_list),
		TEST(test_broken_robust_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
