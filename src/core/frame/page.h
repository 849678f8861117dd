/* SPDX-License-Identifier: MIT */
/*
 * struct page: what Quire knows of one frame. One cache line a frame, 1.5625 % of the memory
 * managed.
 *
 * A folio is one page, or the head page of 2^order naturally aligned ones that are allocated,
 * counted and freed as one; all state is in the head, and a tail only knows its head. `struct
 * folio` is not a separate type: functions named folio_* take a head.
 *
 * Life of a frame:
 *
 *   free in buddy (PG_buddy on the head of the free block)
 *     -> thread's cache of frames (no flag, refcount 0)
 *     -> allocated (refcount 1, owned by the allocator's caller)
 *        -> page-table page (PG_table)
 *        -> anonymous (mapping = anon_vma | PAGE_MAPPING_ANON), perhaps in the swap cache
 * (PG_swapcache, private = entry)
 *        -> page cache (mapping = address_space, index)
 *     -> refcount 0: off the lists, uncharged, poisoned in debug builds, back to a cache or buddy
 *
 * References: one by the page cache or the swap cache, one by each page-table entry that maps it,
 * one by whoever looked it up and has not put it yet (isolation, per-thread LRU batches, I/O under
 * way). GUP_PIN_BIAS references each for a pin: data is being copied to or from the frame on behalf
 * of a file call, so fork must copy it at once and reclaim must leave it.
 *
 * Locks: P = the page lock (PG_locked), L = LRU lock of page->memcg, X = i_pages lock of the
 * mapping (or of the swap area's cache), T = lock of the page-table page, Z = zone lock, A =
 * atomic, C = constant while allocated.
 */
#ifndef QUIRE_CORE_FRAME_PAGE_H
#define QUIRE_CORE_FRAME_PAGE_H

#include "base/list.h"
#include "base/lock.h"
#include "base/types.h"

struct address_space;
struct anon_vma;
struct mem_cgroup;

enum page_flag {
	PG_locked,         /* A: the page lock */
	PG_waiters,        /* A: somebody parks on the flags word */
	PG_uptodate,       /* A, set under P: contents are valid */
	PG_dirty,          /* A, set under P or T: newer than the backing store */
	PG_writeback,      /* A, set under P: a write of it is under way */
	PG_lru,            /* L: on a list of page->memcg */
	PG_active,         /* L: on the active list (two-list policy) */
	PG_referenced,     /* A: accessed through a file call since it was last looked at */
	PG_unevictable,    /* L: on the unevictable list */
	PG_mlocked,        /* A: mapped by a VM_LOCKED VMA when last looked at */
	PG_swapbacked,     /* C: anonymous or shmem: goes to swap, not to a file */
	PG_swapcache,      /* P + X: in the swap cache, `private` holds the swap entry */
	PG_anon_exclusive, /* T: only one page-table entry maps this anonymous page, and it may
			      write */
	PG_workingset,     /* L: came back by refault within the working set */
	PG_reclaim,        /* A: free it as soon as its writeback is done */
	PG_readahead,      /* A: reaching this page starts the next readahead window */
	PG_lazyfree,       /* A: MADV_FREE: clean anonymous page that may be dropped */
	PG_error,          /* A: the last write of it failed */
	PG_buddy,          /* Z: head of a free block */
	PG_table,          /* C: a page-table page */
	PG_head,           /* C: head of a folio of order > 0 */
	PG_tail,           /* C: tail page */
	PG_reserved,       /* C: never freed (the zero page) */
	PG_policy1,        /* L: replacement policy's own */
	PG_policy2,        /* L: replacement policy's own */
};

#define PAGE_MAPPING_ANON 1UL

struct page {
	_Atomic uint32_t flags;   /* 1 << enum page_flag */
	_Atomic int32_t refcount; /* A */
	_Atomic int32_t mapcount; /* A: page-table entries that map it, 0 for none */
	uint32_t order;           /* C, of a head; Z while free */
	struct list_head lru;     /* L; Z while in buddy; owner's own when isolated */
	_Atomic(uintptr_t)
		mapping; /* P + X: address_space, or anon_vma | PAGE_MAPPING_ANON, or 0 */
	pgoff_t index;   /* C while mapping is set: page offset in the file, or in the anonymous VMA
			  */
	union {
		uint64_t private;    /* X: swap entry when PG_swapcache */
		struct spinlock ptl; /* PG_table: lock of the entries in this page */
		struct page *head;   /* PG_tail */
	};
	_Atomic(struct mem_cgroup *)
		memcg; /* NULL: not charged. Changes only under L, when its group ends */
};

_Static_assert(sizeof(struct page) <= 64, "struct page must stay within one cache line");

#define GUP_PIN_BIAS 1024

static inline bool page_test(const struct page *page, enum page_flag flag)
{
	return atomic_load_explicit(&page->flags, memory_order_acquire) & (1u << flag);
}

static inline void page_set(struct page *page, enum page_flag flag)
{
	atomic_fetch_or_explicit(&page->flags, 1u << flag, memory_order_acq_rel);
}

static inline void page_clear(struct page *page, enum page_flag flag)
{
	atomic_fetch_and_explicit(&page->flags, ~(1u << flag), memory_order_acq_rel);
}

static inline bool page_test_and_set(struct page *page, enum page_flag flag)
{
	return atomic_fetch_or_explicit(&page->flags, 1u << flag, memory_order_acq_rel) &
	       (1u << flag);
}

static inline bool page_test_and_clear(struct page *page, enum page_flag flag)
{
	return atomic_fetch_and_explicit(&page->flags, ~(1u << flag), memory_order_acq_rel) &
	       (1u << flag);
}

static inline int32_t page_count(const struct page *page)
{
	return atomic_load_explicit(&page->refcount, memory_order_acquire);
}

static inline int32_t page_mapcount(const struct page *page)
{
	return atomic_load_explicit(&page->mapcount, memory_order_acquire);
}

static inline bool page_mapped(const struct page *page)
{
	return page_mapcount(page) > 0;
}

static inline bool page_maybe_pinned(const struct page *page)
{
	return page_count(page) >= GUP_PIN_BIAS;
}

/* The caller has a reference already, or holds a lock under which the last one cannot go. */
static inline void get_page(struct page *page)
{
	atomic_fetch_add_explicit(&page->refcount, 1, memory_order_relaxed);
}

static inline void get_page_many(struct page *page, int32_t count)
{
	atomic_fetch_add_explicit(&page->refcount, count, memory_order_relaxed);
}

/* False when the last reference is gone already. */
static inline bool get_page_unless_zero(struct page *page)
{
	int32_t count = atomic_load_explicit(&page->refcount, memory_order_relaxed);

	while (count > 0) {
		if (atomic_compare_exchange_weak_explicit(&page->refcount, &count, count + 1,
							  memory_order_acq_rel,
							  memory_order_relaxed))
			return true;
	}
	return false;
}

static inline bool page_anon(const struct page *page)
{
	return atomic_load_explicit(&page->mapping, memory_order_acquire) & PAGE_MAPPING_ANON;
}

/* The file or shmem object that the page belongs to, NULL for anonymous and truncated pages. Stable
 * under P. */
static inline struct address_space *page_mapping(const struct page *page)
{
	uintptr_t mapping = atomic_load_explicit(&page->mapping, memory_order_acquire);

	return (mapping & PAGE_MAPPING_ANON) ? NULL : (struct address_space *)mapping;
}

static inline struct anon_vma *page_anon_vma(const struct page *page)
{
	uintptr_t mapping = atomic_load_explicit(&page->mapping, memory_order_acquire);

	return (mapping & PAGE_MAPPING_ANON) ? (struct anon_vma *)(mapping - PAGE_MAPPING_ANON)
					     : NULL;
}

/* The page lock (LOCK_PAGE). Waiters park; the order among several pages of one file is ascending
 * index. */
void lock_page(struct page *page);
bool trylock_page(struct page *page);
void unlock_page(struct page *page);
/*
 * A lock that stays held until an asynchronous request completes on another thread: the taker
 * disowns it when it submits, and the completion releases it with unlock_page_disowned(). Both
 * matter to the rank checks alone.
 */
void disown_page_lock(struct page *page);
void unlock_page_disowned(struct page *page);

static inline bool page_locked(const struct page *page)
{
	return page_test(page, PG_locked);
}

/* Returns when PG_writeback is clear. The caller has a reference. */
void wait_on_page_writeback(struct page *page);
/* Clears PG_writeback and wakes waiters. */
void end_page_writeback_flag(struct page *page);

#endif
