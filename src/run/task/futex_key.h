/* SPDX-License-Identifier: MIT */
/*
 * What a futex is known by, and the table of those who wait.
 *
 * A word that is said to be private is known by its address in its mm. Otherwise it is known by the
 * object and the place in it where it is mapped shared; and by mm and address where it is not, but
 * apart from those said to be private, as on Linux.
 *
 * A bucket's lock is held while a word is looked at, and the look may fault: it is a sleeping lock
 * outside all locks of memory. Two are taken in the order of their addresses.
 *
 * Locks: B = lock of the bucket that holds the waiter, A = atomic, C = constant.
 */
#ifndef QUIRE_RUN_TASK_FUTEX_KEY_H
#define QUIRE_RUN_TASK_FUTEX_KEY_H

#include "base/list.h"
#include "base/lock.h"
#include "core/vma/mm.h"

enum futex_kind {
	FUTEX_KIND_PRIVATE,
	FUTEX_KIND_MM,    /* may be shared, but is not */
	FUTEX_KIND_OBJECT /* in a file or shared memory */
};

struct futex_key {
	uint64_t owner;  /* number of the mm or of the inode, never used again */
	uint64_t offset; /* address, or place in the object, in bytes */
	enum futex_kind kind;
};

struct futex_bucket {
	struct mutex lock;
	struct list_head waiters; /* B: in the order of arrival */
};

struct futex_waiter {
	struct list_head list;                 /* B */
	struct futex_key key;                  /* B */
	uint32_t bitset;                       /* C */
	_Atomic(struct futex_bucket *) bucket; /* A, changed under B: NULL when woken */
	_Atomic uint32_t woken;                /* A: last of all; its owner sleeps on it */
};

/* 0, -EINVAL (misaligned), -EFAULT (nothing can be there). */
QUIRE_MUST_CHECK int futex_key_get(struct mm_struct *mm, uint64_t address, bool is_private,
				   struct futex_key *key);
bool futex_key_equal(const struct futex_key *a, const struct futex_key *b);
struct futex_bucket *futex_bucket_of(const struct futex_key *key);
void futex_lock_two(struct futex_bucket *a, struct futex_bucket *b);
void futex_unlock_two(struct futex_bucket *a, struct futex_bucket *b);

/* Appends a waiter whose key and bitset are set. Bucket locked. */
void futex_queue(struct futex_bucket *bucket, struct futex_waiter *waiter);
/* Takes a waiter out that was not woken: true; false when it was woken meanwhile. Not locked. */
bool futex_unqueue(struct futex_waiter *waiter);
/* Wakes up to `nr` of the key's waiters whose bitset meets `bitset`; how many. Bucket locked. */
uint32_t futex_wake_key(struct futex_bucket *bucket, const struct futex_key *key, uint32_t nr,
			uint32_t bitset);
/* Moves up to `nr` waiters of the key to another one; how many. Both buckets locked. */
uint32_t futex_requeue_key(struct futex_bucket *from, const struct futex_key *key,
			   struct futex_bucket *to, const struct futex_key *to_key, uint32_t nr);

#endif
