/* SPDX-License-Identifier: MIT */
/*
 * Reader-writer lock with a slot for each thread (base/lock.h): the writer's side, and readers that
 * met a writer.
 *
 * A writer takes `writers`, sets `writer`, and waits until every slot is empty. A reader that finds
 * `writer` set leaves its slot again and waits for `writer` to become 0; before it parks it makes
 * it 2, so that a writer no reader waits for makes no call to the host. Whoever empties a slot
 * while `writer` is set moves `drained` on, which is what the writer waits for: it read `drained`
 * before it looked at the slots, so a slot emptied after that look changes the word it parks on.
 */
#include "base/lock.h"

#define SPINS_BEFORE_PARKING 40

void percpu_rwlock_init(struct percpu_rwlock *lock, enum lock_rank rank)
{
	for (uint32_t i = 0; i < QUIRE_THREAD_SLOTS; i++)
		atomic_store_explicit(&lock->slot[i].readers, 0, memory_order_relaxed);
	atomic_store_explicit(&lock->writer, 0, memory_order_relaxed);
	atomic_store_explicit(&lock->drained, 0, memory_order_relaxed);
	lock->rank = rank;
	mutex_init(&lock->writers, LOCK_NONE);
}

void percpu_read_lock_slow(struct percpu_rwlock *lock)
{
	uint32_t spins = 0;
	uint32_t writer;

	do {
		while ((writer = atomic_load_explicit(&lock->writer, memory_order_relaxed))) {
			if (spins < SPINS_BEFORE_PARKING)
				quire_relax(spins++);
			else if (writer == 2 ||
				 atomic_compare_exchange_strong(&lock->writer, &writer, 2))
				quire_park(&lock->writer, 2);
		}
	} while (!percpu_read_enter(lock));
}

void percpu_read_leave_slow(struct percpu_rwlock *lock)
{
	atomic_fetch_add(&lock->drained, 1);
	quire_unpark(&lock->drained, 1);
}

static bool has_readers(struct percpu_rwlock *lock)
{
	uint32_t used = quire_thread_slots_used();

	for (uint32_t i = 0; i < used; i++)
		if (atomic_load(&lock->slot[i].readers))
			return true;
	return false;
}

static void readmit_readers(struct percpu_rwlock *lock)
{
	if (atomic_exchange(&lock->writer, 0) == 2)
		quire_unpark(&lock->writer, UINT32_MAX);
}

static void write_lock_ranked(struct percpu_rwlock *lock, enum lock_rank_how how)
{
	lock_rank_note(lock->rank, how);
	mutex_lock(&lock->writers);
	atomic_store(&lock->writer, 1);
	for (uint32_t spins = 0;; spins++) {
		uint32_t drained = atomic_load(&lock->drained);

		if (!has_readers(lock))
			return;
		if (spins < SPINS_BEFORE_PARKING)
			quire_relax(spins);
		else
			quire_park(&lock->drained, drained);
	}
}

void percpu_write_lock(struct percpu_rwlock *lock)
{
	write_lock_ranked(lock, LOCK_RANK_ORDERED);
}

void percpu_write_lock_nested(struct percpu_rwlock *lock)
{
	write_lock_ranked(lock, LOCK_RANK_NESTED);
}

bool percpu_write_trylock(struct percpu_rwlock *lock)
{
	if (!mutex_trylock(&lock->writers))
		return false;
	atomic_store(&lock->writer, 1);
	if (has_readers(lock)) {
		readmit_readers(lock);
		mutex_unlock(&lock->writers);
		return false;
	}
	lock_rank_note(lock->rank, LOCK_RANK_TRY);
	return true;
}

void percpu_write_unlock(struct percpu_rwlock *lock)
{
	QUIRE_ASSERT(1, atomic_load_explicit(&lock->writer, memory_order_relaxed));
	lock_rank_release(lock->rank);
	readmit_readers(lock);
	mutex_unlock(&lock->writers);
}

void percpu_write_downgrade(struct percpu_rwlock *lock)
{
	QUIRE_ASSERT(1, atomic_load_explicit(&lock->writer, memory_order_relaxed));
	atomic_fetch_add(&lock->slot[quire_thread_slot()].readers, 1);
	readmit_readers(lock);
	mutex_unlock(&lock->writers);
}

bool percpu_rwlock_is_locked(struct percpu_rwlock *lock)
{
	return percpu_rwlock_is_write_locked(lock) || has_readers(lock);
}
