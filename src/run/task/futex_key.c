/* SPDX-License-Identifier: MIT */
/*
 * The table of waiters on futexes (futex_key.h).
 */
#include "run/task/futex_key.h"

#include <errno.h>
#include <pthread.h>

#include "core/file/address_space.h"
#include "core/vma/vma.h"

#define BUCKETS 1024 /* a power of two */

static struct futex_bucket buckets[BUCKETS];
static pthread_once_t buckets_once = PTHREAD_ONCE_INIT;

static void init_buckets(void)
{
	for (uint32_t i = 0; i < BUCKETS; i++) {
		mutex_init(&buckets[i].lock, LOCK_NONE);
		list_init(&buckets[i].waiters);
	}
}

static int key_of_mapping(struct mm_struct *mm, uint64_t address, struct futex_key *key)
{
	struct vm_area_struct *vma;
	int error = 0;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, address);
	if (!vma) {
		error = -EFAULT;
	} else if (vma->vm_file && vma->vm_flags & VM_MAYSHARE) {
		key->kind = FUTEX_KIND_OBJECT;
		key->owner = vma->vm_file->f_inode->sequence;
		key->offset = (vma->vm_pgoff << PAGE_SHIFT) + (address - vma->vm_start);
	}
	mmap_read_unlock(mm);
	return error;
}

int futex_key_get(struct mm_struct *mm, uint64_t address, bool is_private, struct futex_key *key)
{
	if (address % sizeof(uint32_t))
		return -EINVAL;
	if (address >= TASK_SIZE_MAX)
		return -EFAULT;
	*key = (struct futex_key){
		.owner = mm->id,
		.offset = address,
		.kind = is_private ? FUTEX_KIND_PRIVATE : FUTEX_KIND_MM,
	};
	return is_private ? 0 : key_of_mapping(mm, address, key);
}

bool futex_key_equal(const struct futex_key *a, const struct futex_key *b)
{
	return a->owner == b->owner && a->offset == b->offset && a->kind == b->kind;
}

struct futex_bucket *futex_bucket_of(const struct futex_key *key)
{
	uint64_t hash = key->offset / sizeof(uint32_t) + key->owner * 0x9e3779b97f4a7c15u +
			(uint64_t)key->kind;

	pthread_once(&buckets_once, init_buckets);
	hash ^= hash >> 32;
	hash *= 0xd6e8feb86659fd93u;
	hash ^= hash >> 32;
	return &buckets[hash & (BUCKETS - 1)];
}

void futex_lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	if (a == b) {
		mutex_lock(&a->lock);
		return;
	}
	mutex_lock(a < b ? &a->lock : &b->lock);
	mutex_lock(a < b ? &b->lock : &a->lock);
}

void futex_unlock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	mutex_unlock(&a->lock);
	if (a != b)
		mutex_unlock(&b->lock);
}

void futex_queue(struct futex_bucket *bucket, struct futex_waiter *waiter)
{
	atomic_store_explicit(&waiter->woken, 0, memory_order_relaxed);
	atomic_store_explicit(&waiter->bucket, bucket, memory_order_release);
	list_add_tail(&waiter->list, &bucket->waiters);
}

bool futex_unqueue(struct futex_waiter *waiter)
{
	struct futex_bucket *bucket;

	/* A requeue may move it between the look and the lock. */
	while ((bucket = atomic_load_explicit(&waiter->bucket, memory_order_acquire))) {
		bool here;

		mutex_lock(&bucket->lock);
		here = bucket == atomic_load_explicit(&waiter->bucket, memory_order_relaxed);
		if (here) {
			list_del(&waiter->list);
			atomic_store_explicit(&waiter->bucket, NULL, memory_order_relaxed);
		}
		mutex_unlock(&bucket->lock);
		if (here)
			return true;
	}
	/* Its waker is about to say so, and needs the waiter until then. */
	while (!atomic_load_explicit(&waiter->woken, memory_order_acquire))
		quire_park(&waiter->woken, 0);
	return false;
}

/* After the last store the waiter may be gone. A wake-up that then meets somebody else's word at
 * the same place is one of those that happen for no reason. */
static void wake(struct futex_waiter *waiter)
{
	list_del(&waiter->list);
	atomic_store_explicit(&waiter->bucket, NULL, memory_order_release);
	atomic_store_explicit(&waiter->woken, 1, memory_order_release);
	quire_unpark(&waiter->woken, 1);
}

uint32_t futex_wake_key(struct futex_bucket *bucket, const struct futex_key *key, uint32_t nr,
			uint32_t bitset)
{
	struct futex_waiter *waiter, *next;
	uint32_t woken = 0;

	list_for_each_entry_safe (waiter, next, &bucket->waiters, list) {
		if (woken == nr)
			break;
		if (!futex_key_equal(&waiter->key, key) || !(waiter->bitset & bitset))
			continue;
		wake(waiter);
		woken++;
	}
	return woken;
}

uint32_t futex_requeue_key(struct futex_bucket *from, const struct futex_key *key,
			   struct futex_bucket *to, const struct futex_key *to_key, uint32_t nr)
{
	struct futex_waiter *waiter, *next;
	struct list_head moved = LIST_HEAD_INIT(moved);
	uint32_t count = 0;

	list_for_each_entry_safe (waiter, next, &from->waiters, list) {
		if (count == nr)
			break;
		if (!futex_key_equal(&waiter->key, key))
			continue;
		waiter->key = *to_key;
		atomic_store_explicit(&waiter->bucket, to, memory_order_release);
		list_move_tail(&waiter->list, &moved);
		count++;
	}
	list_splice_tail_init(&moved, &to->waiters);
	return count;
}
