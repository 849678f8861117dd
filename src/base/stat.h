/* SPDX-License-Identifier: MIT */
/*
 * Event counters, kept per thread slot so that counting threads share no cache line. The user has
 * an enum of items and passes it as the index.
 *
 * stat_add() is thread-safe and costs one uncontended atomic addition; stat_read() sums what the
 * slots hold at some moment during the call, so a sum of several items is exact only while nobody
 * counts.
 */
#ifndef QUIRE_BASE_STAT_H
#define QUIRE_BASE_STAT_H

#include "base/check.h"
#include "base/park.h"

struct stat_counters {
	uint32_t items;
	uint32_t stride; /* counters from one slot's to the next slot's: a multiple of a cache line
			  */
	_Atomic uint64_t
		*slots; /* the elements: atomic; the rest never changes after stat_init() */
};

/* All items at zero. 0 or -ENOMEM. */
QUIRE_MUST_CHECK int stat_init(struct stat_counters *counters, uint32_t items);

/* Allowed on zero-filled counters. */
void stat_destroy(struct stat_counters *counters);

/* Sum over all slots. A counter that was subtracted from (by adding -n) is right as a whole,
 * whichever threads did it. */
uint64_t stat_read(const struct stat_counters *counters, uint32_t item);

/* Sets every item to zero; what others count at the same time may be lost or kept. */
void stat_reset(struct stat_counters *counters);

static inline void stat_add(struct stat_counters *counters, uint32_t item, uint64_t n)
{
	QUIRE_ASSERT(1, item < counters->items);
	atomic_fetch_add_explicit(
		&counters->slots[(size_t)quire_thread_slot() * counters->stride + item], n,
		memory_order_relaxed);
}

static inline void stat_inc(struct stat_counters *counters, uint32_t item)
{
	stat_add(counters, item, 1);
}

#endif
