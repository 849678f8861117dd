/* SPDX-License-Identifier: MIT */
/*
 * The contended path of spinlocks (base/lock.h).
 */
#include "base/lock.h"

void spin_lock_init(struct spinlock *lock, enum lock_rank rank)
{
	atomic_store_explicit(&lock->state, 0, memory_order_relaxed);
	lock->rank = rank;
}

void spin_lock_slow(struct spinlock *lock)
{
	uint32_t spins = 0;

	/* Waiting reads only: an exchange would pull the cache line away from the holder. */
	do {
		while (atomic_load_explicit(&lock->state, memory_order_relaxed))
			quire_relax(spins++);
	} while (!spin_acquire(lock));
}
