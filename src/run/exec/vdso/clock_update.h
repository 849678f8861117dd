/* SPDX-License-Identifier: MIT */
/*
 * Keeping a clock page in step with the host's clocks (see clock_page.h).
 *
 * Locks: U = lock.
 */
#ifndef QUIRE_RUN_EXEC_VDSO_CLOCK_UPDATE_H
#define QUIRE_RUN_EXEC_VDSO_CLOCK_UPDATE_H

#include <pthread.h>

#include "run/exec/vdso/clock_page.h"

struct clock_sample {
	uint64_t tsc;
	uint64_t monotonic; /* ns */
};

struct clock_update {
	struct clock_page *page;
	pthread_mutex_t lock;
	/* The rate is measured from `anchor` to now; `next` becomes the anchor when that is old
	 * enough, so that the rate follows the host's. */
	struct clock_sample anchor, next; /* U */
};

void clock_update_init(struct clock_update *update, struct clock_page *page);
void clock_update_destroy(struct clock_update *update);
/* New data, unless another thread has just brought it. The page may still be stale afterwards, as
 * long as the host's rate is not known. */
void clock_update(struct clock_update *update);

#endif
