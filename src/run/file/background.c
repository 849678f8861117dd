/* SPDX-License-Identifier: MIT */
/*
 * The helper thread of a run (run/file/background.h).
 */
#include "run/file/background.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/alloc.h"
#include "core/file/writeback.h"
#include "core/instance/instance.h"
#include "run/file/mapped_file.h"

#define TICK_SECONDS 1
/* How long a page may be dirty before it is written, unless memory is needed sooner: that much is
 * lost of what a program stored, if Quire itself is killed. */
#define DIRTY_EXPIRE_NS ((int64_t)5 * 1000000000)

/* Locks: L = lock, A = atomic, C = constant between start and stop. */
struct background {
	pthread_t thread; /* C */
	bool started;     /* C */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;         /* L */
	_Atomic bool pressure; /* A: written under L from false to true */
};

int background_create(struct background **result)
{
	struct background *background = quire_zalloc(sizeof(*background));
	pthread_condattr_t monotonic;

	if (!background)
		return -ENOMEM;
	pthread_mutex_init(&background->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&background->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*result = background;
	return 0;
}

void background_destroy(struct background *background)
{
	if (!background)
		return;
	pthread_cond_destroy(&background->wake);
	pthread_mutex_destroy(&background->lock);
	quire_free(background);
}

/* Called often, with locks of the core held: mostly the thread knows already. */
void background_pressure(void *context)
{
	struct background *background = ((struct run *)context)->background;

	if (atomic_load_explicit(&background->pressure, memory_order_relaxed))
		return;
	pthread_mutex_lock(&background->lock);
	atomic_store_explicit(&background->pressure, true, memory_order_relaxed);
	pthread_cond_signal(&background->wake);
	pthread_mutex_unlock(&background->lock);
}

/* Waits for pressure or the next tick; false: the thread is to stop. */
static bool wait_for_work(struct background *background, bool *pressure)
{
	struct timespec deadline;
	bool stopping;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += TICK_SECONDS;
	pthread_mutex_lock(&background->lock);
	while (!background->stopping && !error &&
	       !atomic_load_explicit(&background->pressure, memory_order_relaxed))
		error = pthread_cond_timedwait(&background->wake, &background->lock, &deadline);
	*pressure = atomic_exchange_explicit(&background->pressure, false, memory_order_relaxed);
	stopping = background->stopping;
	pthread_mutex_unlock(&background->lock);
	return !stopping;
}

/* What was not written before the first of these pages got old. Errors are noted in the files, for
 * those who sync. */
static void write_old_pages(struct quire *quire)
{
	struct writeback_control control = {
		.end = UINT64_MAX,
		.nr_to_write = UINT64_MAX,
		.dirtied_before = quire_now(quire) - DIRTY_EXPIRE_NS,
	};

	if (control.dirtied_before > 0)
		(void)!writeback_instance(quire, &control);
}

static void *background_main(void *argument)
{
	struct run *run = argument;
	bool pressure;

	while (wait_for_work(run->background, &pressure)) {
		if (pressure) {
			quire_balance(run->quire);
			continue;
		}
		write_old_pages(run->quire);
		mapped_evict_idle(run, false);
	}
	return NULL;
}

int background_start(struct run *run)
{
	sigset_t all, before;
	int error;

	/* The program's signals are not for a thread that it does not know of. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&run->background->thread, NULL, background_main, run);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	run->background->started = !error;
	return -error;
}

void background_stop(struct run *run)
{
	struct background *background = run->background;

	if (!background || !background->started)
		return;
	pthread_mutex_lock(&background->lock);
	background->stopping = true;
	pthread_cond_signal(&background->wake);
	pthread_mutex_unlock(&background->lock);
	pthread_join(background->thread, NULL);
	background->started = false;
}
