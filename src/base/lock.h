/* SPDX-License-Identifier: MIT */
/*
 * Locks with ranks. docs/locking.md holds the one order; enum lock_rank below is that order,
 * outermost first. With QUIRE_CHECK >= 1 a thread that takes a lock whose rank is not greater than
 * the highest rank it holds aborts with both names (two locks of one rank may be held only when the
 * inner one was taken with a `_nested` call, or by trylock). A lock of rank LOCK_NONE is not
 * checked.
 *
 * Waiting needs the host: quire_park() and quire_unpark() (base/park.h) are supplied by the machine
 * layer.
 *
 * All locks are usable when zero-filled except for their rank, which the _init call sets. Sleeping
 * locks are still touched for a moment after an unlock let another thread in: their memory may be
 * freed only when every unlock has returned (hold a reference across it).
 *
 * The uncontended paths are inline: a fault takes about six of them.
 */
#ifndef QUIRE_BASE_LOCK_H
#define QUIRE_BASE_LOCK_H

#include "base/check.h"
#include "base/park.h"

enum lock_rank {
	LOCK_NONE,
	LOCK_INSTANCE,    /* struct quire: list of mms */
	LOCK_INODE,       /* inode->i_rwsem: size changes and writes of one file */
	LOCK_MMAP,        /* mm->mmap_lock */
	LOCK_INVALIDATE,  /* mapping->invalidate_lock: truncation against faults and reads that fill
			     the cache */
	LOCK_PAGE,        /* the lock bit of a folio */
	LOCK_I_MMAP,      /* mapping->i_mmap_lock */
	LOCK_ANON_VMA,    /* anon_vma root's lock */
	LOCK_PAGE_TABLE,  /* mm->page_table_lock: upper levels of the page table */
	LOCK_PTE,         /* one page-table page's entries */
	LOCK_GROUP,       /* shape of the tree of mem_cgroups */
	LOCK_LRU,         /* the lists of one mem_cgroup */
	LOCK_I_PAGES,     /* mapping->i_pages, the xarray */
	LOCK_SWAP,        /* one swap area's slot map */
	LOCK_FRAME_CACHE, /* one thread's cache of frames */
	LOCK_ZONE,        /* the buddy allocator */
	LOCK_LEAF,        /* locks under which no other lock is taken */
	LOCK_RANKS
};

/* Test-and-set lock for short sections without waiting inside. */
struct spinlock {
	_Atomic uint32_t state;
	uint32_t rank;
};

/* Sleeping lock; FIFO order is not promised. */
struct mutex {
	_Atomic uint32_t state; /* 0 free, 1 held, 2 held, perhaps with waiters */
	uint32_t rank;
};

/* Sleeping reader-writer lock, writers preferred. Readers may not recurse. */
struct rwlock {
	_Atomic uint32_t state; /* see rwlock.c */
	_Atomic uint32_t writers_waiting;
	_Atomic uint32_t wake_seq;
	uint32_t rank;
};

/*
 * Reader-writer lock whose readers touch only a cache line of their own thread slot, so that faults
 * on one mm do not disturb each other. A writer visits every slot ever used. A writer that has its
 * turn keeps new readers out; between two writers readers have a chance. Readers may not recurse;
 * who unlocks is the thread that locked.
 */
struct percpu_rwlock {
	struct {
		_Atomic uint32_t readers;
	} QUIRE_CACHE_ALIGNED slot[QUIRE_THREAD_SLOTS];
	_Atomic uint32_t writer; /* not 0: a writer holds the lock or waits for readers to leave; 2:
				    readers parked */
	_Atomic uint32_t
		drained; /* moves on when a slot's last reader leaves before a waiting writer */
	uint32_t rank;
	struct mutex writers; /* of rank LOCK_NONE: one writer at a time */
};

/*
 * Rank bookkeeping, used by the locks below and for those that are not one of them (the lock bit of
 * a folio). Nothing is left of it when QUIRE_CHECK is 0, but the functions that do the work
 * (lock_rank.c) are there in every build.
 */
enum lock_rank_how {
	LOCK_RANK_ORDERED, /* the rank must be greater than all held ones */
	LOCK_RANK_NESTED,  /* or equal to the greatest */
	LOCK_RANK_TRY      /* any, since the thread will not wait */
};
void lock_rank_push(enum lock_rank rank, enum lock_rank_how how);
void lock_rank_pop(enum lock_rank rank);
void lock_rank_check_none(void);

static inline void lock_rank_note(uint32_t rank, enum lock_rank_how how)
{
	if (QUIRE_CHECK >= 1)
		lock_rank_push(rank, how);
}

static inline void lock_rank_release(enum lock_rank rank)
{
	if (QUIRE_CHECK >= 1)
		lock_rank_pop(rank);
}

/* Aborts when the calling thread holds any ranked lock: for tests and for code about to return to a
 * user. */
static inline void lock_rank_assert_none(void)
{
	if (QUIRE_CHECK >= 1)
		lock_rank_check_none();
}

/* Spinlock. */

void spin_lock_init(struct spinlock *lock, enum lock_rank rank);
void spin_lock_slow(struct spinlock *lock);

static inline bool spin_acquire(struct spinlock *lock)
{
	return !atomic_exchange_explicit(&lock->state, 1, memory_order_acquire);
}

static inline void spin_lock(struct spinlock *lock)
{
	lock_rank_note(lock->rank, LOCK_RANK_ORDERED);
	if (unlikely(!spin_acquire(lock)))
		spin_lock_slow(lock);
}

/* For a second lock of the same rank, where a documented order (by address, parent before child)
 * excludes deadlock. */
static inline void spin_lock_nested(struct spinlock *lock)
{
	lock_rank_note(lock->rank, LOCK_RANK_NESTED);
	if (unlikely(!spin_acquire(lock)))
		spin_lock_slow(lock);
}

static inline bool spin_trylock(struct spinlock *lock)
{
	if (atomic_load_explicit(&lock->state, memory_order_relaxed) || !spin_acquire(lock))
		return false;
	lock_rank_note(lock->rank, LOCK_RANK_TRY);
	return true;
}

static inline void spin_unlock(struct spinlock *lock)
{
	QUIRE_ASSERT(1, atomic_load_explicit(&lock->state, memory_order_relaxed));
	lock_rank_release(lock->rank);
	atomic_store_explicit(&lock->state, 0, memory_order_release);
}

/* Held by anyone. */
static inline bool spin_is_locked(struct spinlock *lock)
{
	return atomic_load_explicit(&lock->state, memory_order_relaxed);
}

/* Mutex. */

void mutex_init(struct mutex *lock, enum lock_rank rank);
void mutex_lock_slow(struct mutex *lock);
void mutex_wake(struct mutex *lock);

static inline bool mutex_acquire(struct mutex *lock)
{
	uint32_t free = 0;

	return atomic_compare_exchange_strong_explicit(&lock->state, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static inline void mutex_lock(struct mutex *lock)
{
	lock_rank_note(lock->rank, LOCK_RANK_ORDERED);
	if (unlikely(!mutex_acquire(lock)))
		mutex_lock_slow(lock);
}

static inline bool mutex_trylock(struct mutex *lock)
{
	if (!mutex_acquire(lock))
		return false;
	lock_rank_note(lock->rank, LOCK_RANK_TRY);
	return true;
}

static inline void mutex_unlock(struct mutex *lock)
{
	QUIRE_ASSERT(1, atomic_load_explicit(&lock->state, memory_order_relaxed));
	lock_rank_release(lock->rank);
	if (unlikely(atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2))
		mutex_wake(lock);
}

static inline bool mutex_is_locked(struct mutex *lock)
{
	return atomic_load_explicit(&lock->state, memory_order_relaxed);
}

/* Reader-writer lock. */

void rwlock_init(struct rwlock *lock, enum lock_rank rank);
void read_lock(struct rwlock *lock);
bool read_trylock(struct rwlock *lock);
void read_unlock(struct rwlock *lock);
void write_lock(struct rwlock *lock);
bool write_trylock(struct rwlock *lock);
void write_unlock(struct rwlock *lock);
/* Held by anyone, for reading or writing. */
bool rwlock_is_locked(struct rwlock *lock);
bool rwlock_is_write_locked(struct rwlock *lock);

/* Reader-writer lock with a slot for each thread. */

void percpu_rwlock_init(struct percpu_rwlock *lock, enum lock_rank rank);
void percpu_read_lock_slow(struct percpu_rwlock *lock);
void percpu_read_leave_slow(struct percpu_rwlock *lock);
void percpu_write_lock(struct percpu_rwlock *lock);
bool percpu_write_trylock(struct percpu_rwlock *lock);
/* For a second mm while one is held (fork: the child's, which no one else can see yet). */
void percpu_write_lock_nested(struct percpu_rwlock *lock);
void percpu_write_unlock(struct percpu_rwlock *lock);
/* Keeps the lock, for reading. */
void percpu_write_downgrade(struct percpu_rwlock *lock);

/*
 * The reader adds itself, then looks for a writer; the writer announces itself, then looks for
 * readers. Sequential consistency makes at least one of them see the other.
 */
static inline void percpu_read_leave(struct percpu_rwlock *lock)
{
	uint32_t readers = atomic_fetch_sub_explicit(&lock->slot[quire_thread_slot()].readers, 1,
						     memory_order_seq_cst);

	QUIRE_ASSERT(1, readers);
	if (unlikely(atomic_load_explicit(&lock->writer, memory_order_seq_cst) && readers == 1))
		percpu_read_leave_slow(lock);
}

static inline bool percpu_read_enter(struct percpu_rwlock *lock)
{
	atomic_fetch_add_explicit(&lock->slot[quire_thread_slot()].readers, 1,
				  memory_order_seq_cst);
	if (likely(!atomic_load_explicit(&lock->writer, memory_order_seq_cst)))
		return true;
	percpu_read_leave(lock);
	return false;
}

static inline void percpu_read_lock(struct percpu_rwlock *lock)
{
	lock_rank_note(lock->rank, LOCK_RANK_ORDERED);
	if (unlikely(!percpu_read_enter(lock)))
		percpu_read_lock_slow(lock);
}

static inline bool percpu_read_trylock(struct percpu_rwlock *lock)
{
	if (!percpu_read_enter(lock))
		return false;
	lock_rank_note(lock->rank, LOCK_RANK_TRY);
	return true;
}

static inline void percpu_read_unlock(struct percpu_rwlock *lock)
{
	lock_rank_release(lock->rank);
	percpu_read_leave(lock);
}

/* Held for writing, or a writer waits for readers to leave. */
static inline bool percpu_rwlock_is_write_locked(struct percpu_rwlock *lock)
{
	return atomic_load_explicit(&lock->writer, memory_order_relaxed);
}

/* Held by anyone: for assertions. */
bool percpu_rwlock_is_locked(struct percpu_rwlock *lock);

#endif
