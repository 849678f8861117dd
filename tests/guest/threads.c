/* SPDX-License-Identifier: MIT */
/*
 * Threads by the C library: a thousand at once, contended mutexes, conditions, barriers, read-write
 * locks and semaphores, robust mutexes, thread-local storage, once, keys, cancellation, stacks of
 * the program's own.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MANY 1000
#define FEW 8

static _Thread_local int local_value = 17;
static _Thread_local char local_block[5000];

static pthread_t start(void *(*function)(void *), void *argument, size_t stack)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	if (stack)
		pthread_attr_setstacksize(&attributes, stack);
	error = pthread_create(&thread, &attributes, function, argument);
	if (error)
		guest_die("pthread_create: %s", error_name(error));
	pthread_attr_destroy(&attributes);
	return thread;
}

static pthread_barrier_t all_here;
static pthread_mutex_t total_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t total;

static void *one_of_many(void *argument)
{
	uint64_t index = (uint64_t)(uintptr_t)argument;

	local_value += (int)index;
	memset(local_block, (int)index, sizeof(local_block));
	pthread_barrier_wait(&all_here);
	for (int i = 0; i < 3; i++) {
		pthread_mutex_lock(&total_lock);
		total += index;
		pthread_mutex_unlock(&total_lock);
	}
	if (local_value != 17 + (int)index || local_block[4999] != (char)index)
		return NULL;
	return argument;
}

static void case_thousand(void)
{
	static pthread_t threads[MANY];
	uint64_t returned = 0;

	pthread_barrier_init(&all_here, NULL, MANY + 1);
	for (uintptr_t i = 0; i < MANY; i++)
		threads[i] = start(one_of_many, (void *)(i + 1), 65536);
	pthread_barrier_wait(&all_here);
	for (size_t i = 0; i < MANY; i++) {
		void *value;

		if (pthread_join(threads[i], &value))
			guest_die("pthread_join");
		returned += (uintptr_t)value;
	}
	show("%d at once: the total is %lu, they returned %lu", MANY, total, returned);
	show("the first thread's own value: %d", local_value);
	pthread_barrier_destroy(&all_here);
}

static void *short_life(void *argument)
{
	atomic_fetch_add((_Atomic int *)argument, 1);
	return NULL;
}

static void case_one_after_another(void)
{
	_Atomic int lives = 0;
	pthread_attr_t detached;
	pthread_t thread;

	for (int i = 0; i < 300; i++)
		pthread_join(start(short_life, &lives, 0), NULL);
	show("%d joined", atomic_load(&lives));
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 100; i++) {
		if (pthread_create(&thread, &detached, short_life, &lives))
			guest_die("pthread_create");
	}
	while (atomic_load(&lives) < 400)
		pause_ms(1);
	show("%d with those detached", atomic_load(&lives));
}

struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t filled, emptied;
	pthread_rwlock_t rwlock;
	pthread_spinlock_t spinlock;
	sem_t semaphore;
	uint64_t counter, pairs[2], queue[4], produced, consumed, sum;
	_Atomic uint64_t torn;
};

static void *contend(void *argument)
{
	struct shared *shared = argument;

	for (int i = 0; i < 3000; i++) {
		pthread_mutex_lock(&shared->mutex);
		shared->counter++;
		if (i % 500 == 0)
			sched_yield();
		pthread_mutex_unlock(&shared->mutex);
		pthread_spin_lock(&shared->spinlock);
		shared->sum++;
		pthread_spin_unlock(&shared->spinlock);
	}
	return NULL;
}

static void *produce(void *argument)
{
	struct shared *shared = argument;

	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&shared->mutex);
		while (shared->produced - shared->consumed == 4)
			pthread_cond_wait(&shared->emptied, &shared->mutex);
		shared->queue[shared->produced++ % 4] = (uint64_t)i;
		pthread_cond_signal(&shared->filled);
		pthread_mutex_unlock(&shared->mutex);
	}
	return NULL;
}

static void *consume(void *argument)
{
	struct shared *shared = argument;

	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&shared->mutex);
		while (shared->produced == shared->consumed)
			pthread_cond_wait(&shared->filled, &shared->mutex);
		shared->sum += shared->queue[shared->consumed++ % 4];
		pthread_cond_signal(&shared->emptied);
		pthread_mutex_unlock(&shared->mutex);
	}
	return NULL;
}

static void *read_or_write(void *argument)
{
	struct shared *shared = argument;

	for (int i = 0; i < 1000; i++) {
		if (i % 10 == 0) {
			pthread_rwlock_wrlock(&shared->rwlock);
			shared->pairs[0]++;
			shared->pairs[1]++;
		} else {
			pthread_rwlock_rdlock(&shared->rwlock);
			if (shared->pairs[0] != shared->pairs[1])
				atomic_fetch_add(&shared->torn, 1);
		}
		pthread_rwlock_unlock(&shared->rwlock);
	}
	return NULL;
}

static void *wait_and_post(void *argument)
{
	struct shared *shared = argument;

	for (int i = 0; i < 500; i++) {
		sem_wait(&shared->semaphore);
		shared->counter++;
		sem_post(&shared->semaphore);
	}
	return NULL;
}

static void run_side_by_side(void *(*first)(void *), void *(*second)(void *), void *argument)
{
	pthread_t threads[FEW];

	for (int i = 0; i < FEW; i++)
		threads[i] = start(i % 2 ? first : second, argument, 0);
	for (int i = 0; i < FEW; i++)
		pthread_join(threads[i], NULL);
}

static void case_contention(void)
{
	static struct shared shared = {
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.filled = PTHREAD_COND_INITIALIZER,
		.emptied = PTHREAD_COND_INITIALIZER,
		.rwlock = PTHREAD_RWLOCK_INITIALIZER,
	};

	pthread_spin_init(&shared.spinlock, 0);
	sem_init(&shared.semaphore, 0, 1);
	run_side_by_side(contend, contend, &shared);
	show("mutex: %lu, spinlock: %lu", shared.counter, shared.sum);
	shared.sum = 0;
	run_side_by_side(produce, consume, &shared);
	show("conditions: %lu produced, %lu consumed, sum %lu", shared.produced, shared.consumed,
	     shared.sum);
	run_side_by_side(read_or_write, read_or_write, &shared);
	show("read-write lock: %lu %lu, %lu torn", shared.pairs[0], shared.pairs[1],
	     atomic_load(&shared.torn));
	shared.counter = 0;
	run_side_by_side(wait_and_post, wait_and_post, &shared);
	show("semaphore: %lu", shared.counter);
}

static pthread_barrier_t stage;
static uint64_t cells[FEW];

static void *in_stages(void *argument)
{
	size_t me = (size_t)(uintptr_t)argument, serial = 0;

	for (int round = 0; round < 100; round++) {
		uint64_t next = cells[me] + cells[(me + 1) % FEW] + 1;

		serial += pthread_barrier_wait(&stage) != 0; /* PTHREAD_BARRIER_SERIAL_THREAD */
		cells[me] = next % 1000003;
		pthread_barrier_wait(&stage);
	}
	return (void *)serial;
}

static void case_barrier(void)
{
	pthread_t threads[FEW];
	uintptr_t serial = 0;
	uint64_t sum = 0;

	pthread_barrier_init(&stage, NULL, FEW);
	for (size_t i = 0; i < FEW; i++)
		cells[i] = i;
	for (size_t i = 0; i < FEW; i++)
		threads[i] = start(in_stages, (void *)i, 0);
	for (size_t i = 0; i < FEW; i++) {
		void *value;

		pthread_join(threads[i], &value);
		serial += (uintptr_t)value;
		sum += cells[i];
	}
	show("100 rounds: sum %lu, %lu serial threads", sum, serial);
}

static void *leave_locked(void *argument)
{
	pthread_mutex_lock(argument);
	return NULL;
}

static void case_mutex_kinds(void)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER, robust, errorcheck, recursive, *shared;
	struct timespec until;
	int first, second;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attributes);
	pthread_join(start(leave_locked, &robust, 0), NULL);
	first = pthread_mutex_lock(&robust);
	show("robust: %s", error_name(first));
	show("consistent: %s", error_name(pthread_mutex_consistent(&robust)));
	show("unlock: %s", error_name(pthread_mutex_unlock(&robust)));
	show("lock again: %s", error_name(pthread_mutex_lock(&robust)));
	pthread_mutex_unlock(&robust);
	pthread_join(start(leave_locked, &robust, 0), NULL);
	pthread_mutex_lock(&robust);
	pthread_mutex_unlock(&robust);
	show("not made consistent: %s", error_name(pthread_mutex_lock(&robust)));

	shared = (void *)map_pages(1, PROT_READ | PROT_WRITE);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(shared, &attributes);
	pthread_join(start(leave_locked, shared, 0), NULL);
	show("robust and shared: %s", error_name(pthread_mutex_trylock(shared)));

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&errorcheck, &attributes);
	pthread_mutex_lock(&errorcheck);
	show("error check: %s", error_name(pthread_mutex_lock(&errorcheck)));
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&recursive, &attributes);
	first = pthread_mutex_lock(&recursive);
	second = pthread_mutex_lock(&recursive);
	show("recursive: %s %s", error_name(first), error_name(second));
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec = until.tv_nsec > 980000000 ? 999999999 : until.tv_nsec + 10000000;
	pthread_mutex_lock(&plain);
	show("timed: %s", error_name(pthread_mutex_timedlock(&plain, &until)));
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int once_runs, destroyed;
static pthread_key_t key;

static void count_once(void)
{
	pause_ms(5);
	atomic_fetch_add(&once_runs, 1);
}

static void destroy_value(void *value)
{
	atomic_fetch_add(&destroyed, *(int *)value);
	free(value);
}

static void *use_key(void *argument)
{
	int *value = malloc(sizeof(*value));

	*value = (int)(uintptr_t)argument;
	pthread_once(&once, count_once);
	pthread_setspecific(key, value);
	return NULL;
}

static void case_once_and_keys(void)
{
	pthread_t threads[FEW];

	pthread_key_create(&key, destroy_value);
	for (uintptr_t i = 0; i < FEW; i++)
		threads[i] = start(use_key, (void *)(i + 1), 0);
	for (size_t i = 0; i < FEW; i++)
		pthread_join(threads[i], NULL);
	show("once: %d, destroyed: %d", atomic_load(&once_runs), atomic_load(&destroyed));
}

static void count_cleanup(void *argument)
{
	atomic_fetch_add((_Atomic int *)argument, 1);
}

static void *to_be_cancelled(void *argument)
{
	pthread_cleanup_push(count_cleanup, argument);
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *on_own_stack(void *argument)
{
	char here[20000];

	memset(here, 1, sizeof(here));
	return (void *)(uintptr_t)((uintptr_t)here - (uintptr_t)argument < 65536 && here[777]);
}

static void case_cancel_and_stacks(void)
{
	_Atomic int cleanups = 0;
	pthread_t thread = start(to_be_cancelled, &cleanups, 0);
	char *memory = map_pages(16, PROT_READ | PROT_WRITE);
	pthread_attr_t attributes;
	void *value;

	pause_ms(5);
	pthread_cancel(thread);
	pthread_join(thread, &value);
	show("cancelled: %d, cleanups: %d", value == PTHREAD_CANCELED, atomic_load(&cleanups));
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, memory, 16 * PAGE);
	if (pthread_create(&thread, &attributes, on_own_stack, memory))
		guest_die("pthread_create");
	pthread_join(thread, &value);
	show("on the program's stack: %d", value == (void *)1);
}

/* Two threads write neighbouring words of the same pages, a third one remaps beside them. */
static char *side_pages;

static void *write_side(void *argument)
{
	size_t offset = (size_t)(uintptr_t)argument;

	for (uint32_t round = 1; round <= 30; round++) {
		for (size_t page = 0; page < 64; page++)
			++*(volatile uint32_t *)(side_pages + page * PAGE + offset);
	}
	return NULL;
}

static void *remap_aside(void *argument)
{
	for (int i = 0; i < 200; i++) {
		char *memory = map_pages(8, PROT_READ | PROT_WRITE);

		memory[5 * PAGE] = 1;
		mprotect(side_pages, 32 * PAGE,
			 i % 2 ? PROT_READ | PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC);
		madvise(memory, 8 * PAGE, MADV_DONTNEED);
		if (memory[5 * PAGE])
			return argument;
		munmap(memory, 8 * PAGE);
	}
	return NULL;
}

static void case_faults_side_by_side(void)
{
	pthread_t threads[FEW];
	size_t wrong = 0;
	void *value;

	side_pages = map_pages(64, PROT_READ | PROT_WRITE);
	for (uintptr_t i = 0; i < FEW - 1; i++)
		threads[i] = start(write_side, (void *)(i * 4), 0);
	threads[FEW - 1] = start(remap_aside, &wrong, 0);
	for (size_t i = 0; i < FEW; i++) {
		pthread_join(threads[i], &value);
		wrong += value != NULL;
	}
	for (size_t page = 0; page < 64; page++) {
		for (size_t i = 0; i < FEW - 1; i++)
			wrong += *(uint32_t *)(side_pages + page * PAGE + i * 4) != 30;
	}
	show("%zu wrong", wrong);
}

/* A thread as no library makes it: its directory is its own. */
struct loner {
	long wrong;
	_Atomic int alive;
};

static int stay_in_proc(void *argument)
{
	struct loner *loner = argument;
	char path[PATH_MAX];

	loner->wrong += chdir("/proc") != 0;
	for (int i = 0; i < 10000; i++)
		loner->wrong += !getcwd(path, sizeof(path)) || strcmp(path, "/proc") != 0;
	return 0;
}

static void case_own_directory(void)
{
	const int flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_FILES |
			  CLONE_CHILD_CLEARTID;
	char *stack = map_pages(16, PROT_READ | PROT_WRITE);
	struct loner loner = {.alive = 1};
	char before[PATH_MAX], after[PATH_MAX];

	if (!getcwd(before, sizeof(before)))
		guest_die("getcwd: %s", error_name(errno));
	if (clone(stay_in_proc, stack + 16 * PAGE, flags, &loner, NULL, NULL, &loner.alive) < 0)
		guest_die("clone: %s", error_name(errno));
	while (atomic_load(&loner.alive))
		syscall(SYS_futex, &loner.alive, FUTEX_WAIT, 1, NULL, NULL, 0);
	show("%ld wrong", loner.wrong);
	show("the process's: %s",
	     getcwd(after, sizeof(after)) && !strcmp(before, after) ? "the same" : "another");
	munmap(stack, 16 * PAGE);
}

/* Credentials are a thread's, as the kernel sees it. */
static void *become_nobody(void *argument)
{
	const long nobody = 65534;
	const long group = syscall(SYS_setresgid, nobody, nobody, nobody) ? getgid() : nobody;
	const long user = syscall(SYS_setresuid, nobody, nobody, nobody) ? getuid() : nobody;
	long *wrong = argument;

	for (int i = 0; i < 10000; i++)
		*wrong += syscall(SYS_getuid) != user || syscall(SYS_getgid) != group;
	return NULL;
}

static void case_own_identity(void)
{
	const long user = syscall(SYS_getuid);
	pthread_t thread;
	long wrong = 0;

	for (int i = 0; i < 10000; i++)
		wrong += syscall(SYS_getuid) != user;
	thread = start(become_nobody, &wrong, 0);
	pthread_join(thread, NULL);
	for (int i = 0; i < 10000; i++)
		wrong += syscall(SYS_getuid) != user;
	show("%ld wrong", wrong);
}

int main(int argc, char **argv)
{
	static const struct guest_case cases[] = {
		{"thousand", case_thousand},
		{"one_after_another", case_one_after_another},
		{"contention", case_contention},
		{"barrier", case_barrier},
		{"mutex_kinds", case_mutex_kinds},
		{"once_and_keys", case_once_and_keys},
		{"cancel_and_stacks", case_cancel_and_stacks},
		{"faults_side_by_side", case_faults_side_by_side},
		{"own_directory", case_own_directory},
		{"own_identity", case_own_identity},
		{NULL, NULL},
	};

	return guest_main(argc, argv, cases);
}
