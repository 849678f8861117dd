/* SPDX-License-Identifier: MIT */
/*
 * struct swap_area: one store of swapped pages. Shared by the units of swap.
 *
 * Life of a slot: free -> allocated with its page in the swap cache (SWAP_HAS_CACHE) -> used by
 * entries, with or without a cached page -> count 0 and no cached page: free again, once the shadow
 * that may stand for it in the cache is gone.
 *
 * Locks: S = lock (LOCK_SWAP), X = cache_lock (LOCK_I_PAGES, taken before S), A = atomic, C =
 * constant.
 */
#ifndef QUIRE_CORE_RECLAIM_SWAP_AREA_H
#define QUIRE_CORE_RECLAIM_SWAP_AREA_H

#include "base/lock.h"
#include "base/xarray.h"
#include "core/instance/instance.h"
#include "core/reclaim/swap.h"

/* map[slot]: the number of uses, and whether the cache has a page of it. */
#define SWAP_HAS_CACHE (1u << 31)
#define SWAP_COUNT_MASK (SWAP_HAS_CACHE - 1)

_Static_assert(SWAP_CLUSTER == 64, "a cluster is one word of the bitmap");

#define NO_CLUSTER UINT64_MAX

struct swap_area {
	struct quire *quire;        /* C */
	uint32_t type;              /* C */
	struct quire_store *store;  /* C: owned */
	uint64_t nr_slots;          /* C */
	uint64_t nr_clusters;       /* C */
	_Atomic uint64_t nr_free;   /* written under S */
	_Atomic uint64_t nr_cached; /* written under X */
	struct spinlock lock;
	uint32_t *map;             /* S */
	struct mem_cgroup **owner; /* S: who is charged for an allocated slot */
	uint64_t *used;            /* S: a word a cluster; slots beyond the end are used */
	uint64_t *discardable;     /* S: a bit a cluster: became free since its last discard */
	uint64_t nr_discardable;   /* S */
	bool can_discard;          /* S: the store has not refused yet */
	uint64_t current[QUIRE_THREAD_SLOTS]; /* S: cluster that a thread slot allocates from */
	uint64_t next_cluster;                /* S: where the search for a free one begins */
	_Atomic uint64_t nr_requests;         /* A: under way, until their completion is over */
	struct spinlock cache_lock;
	struct xarray cache; /* X: by slot: a page (one reference), or the shadow of one */
	/* A: the readahead window of swapin follows how many pages read ahead were then used. */
	_Atomic uint32_t readahead_hits;
	_Atomic uint32_t readahead_pages;
	_Atomic uint64_t readahead_last;
};

static inline struct swap_area *swap_area_of_type(const struct quire *quire, uint32_t type)
{
	return atomic_load_explicit(&quire->swap[type], memory_order_acquire);
}

static inline struct swap_area *swap_entry_area(const struct quire *quire, swp_entry_t entry)
{
	return swap_area_of_type(quire, swp_type(entry));
}

/* Of a page in the swap cache; under its lock, or the cache's. */
static inline swp_entry_t page_swap_entry(const struct page *page)
{
	return (swp_entry_t){page->private};
}

/* swap_slots.c */

/* The used bits of a cluster that lie beyond the end of the area. */
uint64_t cluster_unusable(const struct swap_area *area, uint64_t cluster);
/* A free slot of the first area that has one, marked SWAP_HAS_CACHE and charged to `memcg`. False:
 * swap is full. */
bool swap_slot_alloc(struct quire *quire, struct mem_cgroup *memcg, swp_entry_t *entry);
/* Neither used nor cached any more: drops its shadow and frees it. */
void swap_slot_release(struct swap_area *area, uint64_t slot);
/* The cache has let go of the slot's page; frees the slot if nobody uses it. */
void swap_slot_uncache(struct swap_area *area, uint64_t slot);
/* Under X: the cache is about to hold a page of the slot. False: it has one, or nobody uses the
 * slot. */
bool swap_slot_claim_cache(struct swap_area *area, uint64_t slot);
/* In use by an entry, and not in the cache: worth reading ahead. */
bool swap_slot_is_only_stored(struct swap_area *area, uint64_t slot);

/* swap_cache.c */

/* Takes a locked page out of the cache, leaving `shadow` (or NULL); the slot stays as long as it is
 * used. */
void swap_cache_remove(struct quire *quire, struct page *page, void *shadow);
/* Adds a fresh locked page for an entry that somebody uses. 0 and the shadow that stood there,
 * -EEXIST (cached already, or nobody uses it), -ENOMEM. */
QUIRE_MUST_CHECK int swap_cache_add(struct quire *quire, struct page *page, swp_entry_t entry,
				    void **shadow);

#endif
