/* SPDX-License-Identifier: MIT */
/*
 * Locks with ranks. docs/locking.md holds the one order; enum lock_rank below is that order,
 * outermost first. With QUIRE_CHECK >= 1 a thread that takes a lock whose rank is not greater than
 * the highest rank it holds aborts with both names (two locks of one rank may be held only when the
 * inner one was taken with a `_nested` call, or by trylock).
 *
 * Waiting needs the host: quire_park() and quire_unpark() (base/park.h) are supplied by the machine
 * layer.
 *
 * All locks are usable when zero-filled except for their rank, which the _init call sets.
 */
#ifndef QUIRE_BASE_LOCK_H
#define QUIRE_BASE_LOCK_H

#include "base/types.h"

enum lock_rank {
	LOCK_NONE,
	LOCK_INSTANCE,    /* struct quire: list of mms, inodes, swap areas, groups */
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
	_Atomic uint32_t state; /* 0 free, 1 held, 2 held with waiters */
	uint32_t rank;
};

/* Sleeping reader-writer lock, writers preferred. Readers may not recurse. */
struct rwlock {
	_Atomic uint32_t state;
	_Atomic uint32_t writers_waiting;
	_Atomic uint32_t wake_seq;
	uint32_t rank;
};

/*
 * Reader-writer lock whose readers touch only a cache line of their own thread slot, so that faults
 * on one mm do not disturb each other. A writer visits every slot ever used. Writers preferred;
 * readers may not recurse.
 */
#define PERCPU_RWLOCK_SLOTS 16
struct percpu_rwlock {
	struct {
		_Atomic uint32_t readers;
	} QUIRE_CACHE_ALIGNED slot[PERCPU_RWLOCK_SLOTS];
	_Atomic uint32_t writer; /* a writer holds or waits */
	_Atomic uint32_t drained;
	struct mutex writers;
};

void spin_lock_init(struct spinlock *lock, enum lock_rank rank);
void spin_lock(struct spinlock *lock);
/* For a second lock of the same rank, where a documented order (by address, parent before child)
 * excludes deadlock. */
void spin_lock_nested(struct spinlock *lock);
bool spin_trylock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);
bool spin_is_locked(struct spinlock *lock);

void mutex_init(struct mutex *lock, enum lock_rank rank);
void mutex_lock(struct mutex *lock);
bool mutex_trylock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);
bool mutex_is_locked(struct mutex *lock);

void rwlock_init(struct rwlock *lock, enum lock_rank rank);
void read_lock(struct rwlock *lock);
bool read_trylock(struct rwlock *lock);
void read_unlock(struct rwlock *lock);
void write_lock(struct rwlock *lock);
/* As spin_lock_nested(). */
void write_lock_nested(struct rwlock *lock);
bool write_trylock(struct rwlock *lock);
void write_unlock(struct rwlock *lock);
bool rwlock_is_locked(struct rwlock *lock);

void percpu_rwlock_init(struct percpu_rwlock *lock, enum lock_rank rank);
void percpu_read_lock(struct percpu_rwlock *lock);
bool percpu_read_trylock(struct percpu_rwlock *lock);
void percpu_read_unlock(struct percpu_rwlock *lock);
void percpu_write_lock(struct percpu_rwlock *lock);
/* For a second mm while one is held (fork: the child's, which no one else can see yet). */
void percpu_write_lock_nested(struct percpu_rwlock *lock);
void percpu_write_unlock(struct percpu_rwlock *lock);
/* Keeps the lock, for reading. */
void percpu_write_downgrade(struct percpu_rwlock *lock);
bool percpu_rwlock_is_write_locked(struct percpu_rwlock *lock);

/*
 * Rank bookkeeping for locks that are not one of the above (the lock bit of a folio). They do
 * nothing when QUIRE_CHECK is 0.
 */
void lock_rank_acquire(enum lock_rank rank, bool nested_or_try);
void lock_rank_release(enum lock_rank rank);
/* Aborts when the calling thread holds any ranked lock: for tests and for code about to return to a
 * user. */
void lock_rank_assert_none(void);

#endif
