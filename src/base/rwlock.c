/* SPDX-License-Identifier: MIT */
/*
 * Sleeping reader-writer lock (base/lock.h).
 *
 * `state` counts readers in its low bits; RWLOCK_WRITER says that a writer holds the lock,
 * RWLOCK_PARKED that somebody may be parked on `wake_seq`. Who frees the lock and finds PARKED
 * clears it, moves wake_seq on and wakes all, so that the uncontended unlock makes no call to the
 * host.
 *
 * No wake-up is lost: a waiter reads wake_seq, sets PARKED, and only then looks once more whether
 * it must wait. If it must, the one it waits for has yet to release the lock, will find PARKED, and
 * will change wake_seq. That holds for a reader that waits behind a waiting writer too, as a writer
 * leaves writers_waiting only after it took the lock.
 */
#include "base/lock.h"

#define RWLOCK_WRITER (1u << 31)
#define RWLOCK_PARKED (1u << 30)
#define RWLOCK_READERS (RWLOCK_PARKED - 1)

#define SPINS_BEFORE_PARKING 40

void rwlock_init(struct rwlock *lock, enum lock_rank rank)
{
	atomic_store_explicit(&lock->state, 0, memory_order_relaxed);
	atomic_store_explicit(&lock->writers_waiting, 0, memory_order_relaxed);
	atomic_store_explicit(&lock->wake_seq, 0, memory_order_relaxed);
	lock->rank = rank;
}

static bool read_must_wait(struct rwlock *lock)
{
	return (atomic_load(&lock->state) & RWLOCK_WRITER) || atomic_load(&lock->writers_waiting);
}

static bool read_acquire(struct rwlock *lock)
{
	uint32_t state = atomic_load_explicit(&lock->state, memory_order_relaxed);

	do {
		if ((state & RWLOCK_WRITER) ||
		    atomic_load_explicit(&lock->writers_waiting, memory_order_relaxed))
			return false;
	} while (!atomic_compare_exchange_weak(&lock->state, &state, state + 1));
	return true;
}

static bool write_must_wait(struct rwlock *lock)
{
	return atomic_load(&lock->state) & (RWLOCK_WRITER | RWLOCK_READERS);
}

static bool write_acquire(struct rwlock *lock)
{
	uint32_t state = atomic_load_explicit(&lock->state, memory_order_relaxed);

	do {
		if (state & (RWLOCK_WRITER | RWLOCK_READERS))
			return false;
	} while (!atomic_compare_exchange_weak(&lock->state, &state, state | RWLOCK_WRITER));
	return true;
}

static void acquire_slow(struct rwlock *lock, bool (*acquire)(struct rwlock *),
			 bool (*must_wait)(struct rwlock *))
{
	for (uint32_t spins = 0; spins < SPINS_BEFORE_PARKING; spins++) {
		if (acquire(lock))
			return;
		quire_relax(spins);
	}
	while (!acquire(lock)) {
		uint32_t seq = atomic_load(&lock->wake_seq);

		atomic_fetch_or(&lock->state, RWLOCK_PARKED);
		if (must_wait(lock))
			quire_park(&lock->wake_seq, seq);
	}
}

static void wake_parked(struct rwlock *lock)
{
	atomic_fetch_and(&lock->state, ~RWLOCK_PARKED);
	atomic_fetch_add(&lock->wake_seq, 1);
	quire_unpark(&lock->wake_seq, UINT32_MAX);
}

void read_lock(struct rwlock *lock)
{
	lock_rank_note(lock->rank, LOCK_RANK_ORDERED);
	if (unlikely(!read_acquire(lock)))
		acquire_slow(lock, read_acquire, read_must_wait);
}

bool read_trylock(struct rwlock *lock)
{
	if (!read_acquire(lock))
		return false;
	lock_rank_note(lock->rank, LOCK_RANK_TRY);
	return true;
}

void read_unlock(struct rwlock *lock)
{
	lock_rank_release(lock->rank);

	uint32_t old = atomic_fetch_sub(&lock->state, 1);

	QUIRE_ASSERT(1, old & RWLOCK_READERS);
	if (unlikely(old == (RWLOCK_PARKED | 1)))
		wake_parked(lock);
}

void write_lock(struct rwlock *lock)
{
	lock_rank_note(lock->rank, LOCK_RANK_ORDERED);
	if (likely(write_acquire(lock)))
		return;
	atomic_fetch_add(&lock->writers_waiting, 1);
	acquire_slow(lock, write_acquire, write_must_wait);
	atomic_fetch_sub(&lock->writers_waiting, 1);
}

bool write_trylock(struct rwlock *lock)
{
	if (!write_acquire(lock))
		return false;
	lock_rank_note(lock->rank, LOCK_RANK_TRY);
	return true;
}

void write_unlock(struct rwlock *lock)
{
	lock_rank_release(lock->rank);

	uint32_t old = atomic_fetch_and(&lock->state, ~RWLOCK_WRITER);

	QUIRE_ASSERT(1, old & RWLOCK_WRITER);
	if (unlikely(old & RWLOCK_PARKED))
		wake_parked(lock);
}

bool rwlock_is_locked(struct rwlock *lock)
{
	return atomic_load_explicit(&lock->state, memory_order_relaxed) &
	       (RWLOCK_WRITER | RWLOCK_READERS);
}

bool rwlock_is_write_locked(struct rwlock *lock)
{
	return atomic_load_explicit(&lock->state, memory_order_relaxed) & RWLOCK_WRITER;
}
