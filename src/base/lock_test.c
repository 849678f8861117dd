/* SPDX-License-Identifier: MIT */
/*
 * Tests of the four kinds of lock: mutual exclusion under several threads, trylock, who is
 * preferred, downgrade. That the locks order memory as well is left to the build with
 * ThreadSanitizer: the counters below are plain.
 */
#include "base/lock.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS 5000

/* One lock of each kind, and what it protects. */
static struct {
	struct spinlock spin;
	struct mutex mutex;
	struct rwlock rwlock;
	struct percpu_rwlock percpu;
	uint64_t counter, twin; /* always equal while no writer is inside */
	_Atomic uint64_t reads;
} shared;

static int init_shared(void **state)
{
	(void)state;
	spin_lock_init(&shared.spin, LOCK_PTE);
	mutex_init(&shared.mutex, LOCK_SWAP);
	rwlock_init(&shared.rwlock, LOCK_I_MMAP);
	percpu_rwlock_init(&shared.percpu, LOCK_MMAP);
	shared.counter = shared.twin = 0;
	shared.reads = 0;
	return 0;
}

static void run_threads(void *(*body)(void *))
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, NULL), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void change(void)
{
	shared.counter++;
	/* Now and then give others a chance to break in, so that waiters park. */
	if (shared.counter % 64 == 0)
		sched_yield();
	shared.twin++;
}

static void look(void)
{
	if (shared.counter == shared.twin)
		shared.reads++;
}

static void *hammer_spin(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 8)
			spin_lock(&shared.spin);
		else
			while (!spin_trylock(&shared.spin))
				sched_yield();
		change();
		spin_unlock(&shared.spin);
	}
	return unused;
}

static void *hammer_mutex(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 8)
			mutex_lock(&shared.mutex);
		else
			while (!mutex_trylock(&shared.mutex))
				sched_yield();
		change();
		mutex_unlock(&shared.mutex);
	}
	return unused;
}

static void *hammer_rwlock(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		write_lock(&shared.rwlock);
		change();
		write_unlock(&shared.rwlock);
		for (int j = 0; j < 3; j++) {
			read_lock(&shared.rwlock);
			look();
			read_unlock(&shared.rwlock);
		}
	}
	return unused;
}

static void *hammer_percpu(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		percpu_write_lock(&shared.percpu);
		change();
		if (i % 4) {
			percpu_write_unlock(&shared.percpu);
		} else {
			percpu_write_downgrade(&shared.percpu);
			look();
			percpu_read_unlock(&shared.percpu);
			shared.reads--;
		}
		for (int j = 0; j < 3; j++) {
			percpu_read_lock(&shared.percpu);
			look();
			percpu_read_unlock(&shared.percpu);
		}
	}
	return unused;
}

static void test_spin_exclusion(void **state)
{
	(void)state;
	run_threads(hammer_spin);
	assert_int_equal(shared.counter, THREADS * ROUNDS);
	assert_int_equal(shared.twin, THREADS * ROUNDS);
}

static void test_mutex_exclusion(void **state)
{
	(void)state;
	run_threads(hammer_mutex);
	assert_int_equal(shared.counter, THREADS * ROUNDS);
	assert_int_equal(shared.twin, THREADS * ROUNDS);
}

static void test_rwlock_exclusion(void **state)
{
	(void)state;
	run_threads(hammer_rwlock);
	assert_int_equal(shared.counter, THREADS * ROUNDS);
	assert_int_equal(shared.twin, THREADS * ROUNDS);
	assert_int_equal(shared.reads, 3 * THREADS * ROUNDS);
	assert_false(rwlock_is_locked(&shared.rwlock));
}

static void test_percpu_exclusion(void **state)
{
	(void)state;
	run_threads(hammer_percpu);
	assert_int_equal(shared.counter, THREADS * ROUNDS);
	assert_int_equal(shared.twin, THREADS * ROUNDS);
	assert_int_equal(shared.reads, 3 * THREADS * ROUNDS);
	assert_false(percpu_rwlock_is_locked(&shared.percpu));
}

/* What a second thread finds when it tries to lock. */
struct tries {
	bool spin, mutex, read, write, percpu_read, percpu_write;
};

static void *try_all(void *argument)
{
	struct tries *tries = argument;

	if ((tries->spin = spin_trylock(&shared.spin)))
		spin_unlock(&shared.spin);
	if ((tries->mutex = mutex_trylock(&shared.mutex)))
		mutex_unlock(&shared.mutex);
	if ((tries->read = read_trylock(&shared.rwlock)))
		read_unlock(&shared.rwlock);
	if ((tries->write = write_trylock(&shared.rwlock)))
		write_unlock(&shared.rwlock);
	if ((tries->percpu_read = percpu_read_trylock(&shared.percpu)))
		percpu_read_unlock(&shared.percpu);
	if ((tries->percpu_write = percpu_write_trylock(&shared.percpu)))
		percpu_write_unlock(&shared.percpu);
	return NULL;
}

static struct tries tries_of_other_thread(void)
{
	struct tries tries;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, try_all, &tries), 0);
	pthread_join(thread, NULL);
	return tries;
}

static void test_trylock(void **state)
{
	(void)state;
	struct tries tries = tries_of_other_thread();

	assert_true(tries.spin && tries.mutex && tries.read && tries.write);
	assert_true(tries.percpu_read && tries.percpu_write);

	percpu_write_lock(&shared.percpu);
	write_lock(&shared.rwlock);
	spin_lock(&shared.spin);
	mutex_lock(&shared.mutex);
	tries = tries_of_other_thread();
	assert_false(tries.spin || tries.mutex || tries.read || tries.write);
	assert_false(tries.percpu_read || tries.percpu_write);
	assert_true(spin_is_locked(&shared.spin) && mutex_is_locked(&shared.mutex));
	assert_true(rwlock_is_write_locked(&shared.rwlock));
	assert_true(percpu_rwlock_is_write_locked(&shared.percpu));
	mutex_unlock(&shared.mutex);
	spin_unlock(&shared.spin);
	write_unlock(&shared.rwlock);
	percpu_write_unlock(&shared.percpu);

	percpu_read_lock(&shared.percpu);
	read_lock(&shared.rwlock);
	tries = tries_of_other_thread();
	assert_true(tries.read && tries.percpu_read);
	assert_false(tries.write || tries.percpu_write);
	assert_true(rwlock_is_locked(&shared.rwlock));
	assert_false(rwlock_is_write_locked(&shared.rwlock));
	assert_true(percpu_rwlock_is_locked(&shared.percpu));
	assert_false(percpu_rwlock_is_write_locked(&shared.percpu));
	read_unlock(&shared.rwlock);
	percpu_read_unlock(&shared.percpu);
	assert_false(spin_is_locked(&shared.spin) || mutex_is_locked(&shared.mutex));
}

static void test_downgrade(void **state)
{
	(void)state;
	percpu_write_lock(&shared.percpu);
	percpu_write_downgrade(&shared.percpu);

	struct tries tries = tries_of_other_thread();

	assert_true(tries.percpu_read);
	assert_false(tries.percpu_write);
	percpu_read_unlock(&shared.percpu);
	assert_true(tries_of_other_thread().percpu_write);
}

static void *write_both(void *unused)
{
	percpu_write_lock(&shared.percpu);
	percpu_write_unlock(&shared.percpu);
	write_lock(&shared.rwlock);
	write_unlock(&shared.rwlock);
	return unused;
}

/* While a reader is inside and a writer waits, no further reader gets in; the writer is next. */
static void test_writer_is_preferred(void **state)
{
	(void)state;
	pthread_t writer;

	percpu_read_lock(&shared.percpu);
	read_lock(&shared.rwlock);
	assert_int_equal(pthread_create(&writer, NULL, write_both, NULL), 0);
	while (!percpu_rwlock_is_write_locked(&shared.percpu))
		sched_yield();
	assert_false(tries_of_other_thread().percpu_read);
	percpu_read_unlock(&shared.percpu);

	while (!atomic_load(&shared.rwlock.writers_waiting))
		sched_yield();
	assert_false(tries_of_other_thread().read);
	read_unlock(&shared.rwlock);
	pthread_join(writer, NULL);

	struct tries tries = tries_of_other_thread();

	assert_true(tries.read && tries.percpu_read);
}

static void *read_both(void *unused)
{
	percpu_read_lock(&shared.percpu);
	shared.reads++;
	percpu_read_unlock(&shared.percpu);
	read_lock(&shared.rwlock);
	shared.reads++;
	read_unlock(&shared.rwlock);
	mutex_lock(&shared.mutex);
	shared.reads++;
	mutex_unlock(&shared.mutex);
	return unused;
}

/* Threads that parked are woken: each is let go on only once it must have parked. */
static void test_parked_threads_wake(void **state)
{
	(void)state;
	pthread_t thread;

	percpu_write_lock(&shared.percpu);
	write_lock(&shared.rwlock);
	mutex_lock(&shared.mutex);
	assert_int_equal(pthread_create(&thread, NULL, read_both, NULL), 0);
	while (atomic_load(&shared.percpu.writer) != 2)
		sched_yield();
	assert_int_equal(shared.reads, 0);
	percpu_write_unlock(&shared.percpu);
	while (!(atomic_load(&shared.rwlock.state) & (1u << 30)))
		sched_yield();
	assert_int_equal(shared.reads, 1);
	write_unlock(&shared.rwlock);
	while (atomic_load(&shared.mutex.state) != 2)
		sched_yield();
	assert_int_equal(shared.reads, 2);
	mutex_unlock(&shared.mutex);
	pthread_join(thread, NULL);
	assert_int_equal(shared.reads, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_spin_exclusion, init_shared),
		cmocka_unit_test_setup(test_mutex_exclusion, init_shared),
		cmocka_unit_test_setup(test_rwlock_exclusion, init_shared),
		cmocka_unit_test_setup(test_percpu_exclusion, init_shared),
		cmocka_unit_test_setup(test_trylock, init_shared),
		cmocka_unit_test_setup(test_downgrade, init_shared),
		cmocka_unit_test_setup(test_writer_is_preferred, init_shared),
		cmocka_unit_test_setup(test_parked_threads_wake, init_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
