/* SPDX-License-Identifier: MIT */
/*
 * The contended path of mutexes (base/lock.h): a thread spins for a while, then says that somebody
 * waits (state 2) and parks. Whoever takes the lock on this path leaves 2 behind, as it cannot know
 * whether others still wait; the price is at most one wake-up for nobody.
 */
#include "base/lock.h"

#define SPINS_BEFORE_PARKING 40

void mutex_init(struct mutex *lock, enum lock_rank rank)
{
	atomic_store_explicit(&lock->state, 0, memory_order_relaxed);
	lock->rank = rank;
}

void mutex_lock_slow(struct mutex *lock)
{
	for (uint32_t spins = 0; spins < SPINS_BEFORE_PARKING; spins++) {
		if (!atomic_load_explicit(&lock->state, memory_order_relaxed) &&
		    mutex_acquire(lock))
			return;
		quire_relax(spins);
	}
	while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire))
		quire_park(&lock->state, 2);
}

void mutex_wake(struct mutex *lock)
{
	quire_unpark(&lock->state, 1);
}
