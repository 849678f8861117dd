/* SPDX-License-Identifier: MIT */
/*
 * Swap: areas with a slot map, the swap cache, moving pages out and in.
 *
 * A slot has a use count: one for each page-table entry or shmem index that holds its entry, and a
 * flag while the swap cache holds a page of it. It is free when both are 0. Slots are given out in
 * clusters of SWAP_CLUSTER neighbours for a thread slot, so that what is evicted together lies
 * together and comes back by readahead.
 *
 * The swap cache is an xarray for each area by slot; a page in it has PG_swapcache and its entry in
 * page->private, and the cache holds one reference. Locks: the area's lock (LOCK_SWAP) for the slot
 * map, LOCK_I_PAGES for the cache.
 */
#ifndef QUIRE_CORE_RECLAIM_SWAP_H
#define QUIRE_CORE_RECLAIM_SWAP_H

#include <quire/store.h>

#include "core/pgtable/pgtable.h"

struct check_report;
struct mem_cgroup;
struct quire;
struct swap_io;
struct vm_fault;

#define SWAP_CLUSTER 64
#define SWAP_READAHEAD 8 /* pages */

/* Adds an area of `pages` slots on the store, which it takes over on success. 0, -ENOMEM, -EINVAL
 * (too small, larger than the store), -ENOSPC (MAX_SWAP_AREAS). */
QUIRE_MUST_CHECK int swap_area_add(struct quire *quire, struct quire_store *store, uint64_t pages);
/* Frees all areas (every slot must be free). */
void swap_areas_destroy(struct quire *quire);
uint64_t swap_total(const struct quire *quire); /* slots */
uint64_t swap_free_slots(const struct quire *quire);
uint64_t swap_cached_pages(const struct quire *quire);
/* Gives the space of free clusters back to the stores that can. May wait; no lock is held. */
void swap_discard_clusters(struct quire *quire);

/* Fork, or a mapping moved to an entry: one more use. Cannot fail (counts are wide). */
void swap_duplicate(struct quire *quire, swp_entry_t entry);
/* One use less; the last one frees slot and cached page (unless somebody holds the page's lock:
 * then he does). No lock of rank LOCK_GROUP or higher is held. */
void swap_free(struct quire *quire, swp_entry_t entry);
uint32_t swap_count(struct quire *quire, swp_entry_t entry);

/* Gives a locked anonymous or shmem page a slot and puts it into the swap cache, dirty. False: swap
 * is full. */
bool add_to_swap(struct quire *quire, struct page *page);
/* Takes a locked page out of the swap cache and frees its slot when unused. */
void delete_from_swap_cache(struct quire *quire, struct page *page);
/* If nobody but the cache needs the slot, gives it up: true when the page left the swap cache. Page
 * locked. */
bool try_to_free_swap(struct quire *quire, struct page *page);
/* A page has lost its last mapping, its I/O has ended, or its lock was released: gives up its slot
 * if nobody needs it any more. Only tries the page lock, so it may be called under a page table's
 * lock.
 */
void swap_cache_release(struct quire *quire, struct page *page);
/* For reclaim: takes a locked, clean page that only the cache and the caller (one reference) refer
 * to out of the cache, leaving `shadow` with its slot. False: still in use. */
bool swap_cache_remove_if_unused(struct quire *quire, struct page *page, void *shadow);
/* A locked, unmapped shmem page moves to the swap cache; its place in the file now holds the entry.
 * False: in use, or swap is full. */
bool shmem_move_to_swap(struct quire *quire, struct page *page);
/*
 * Writes that one scan collects. Their pages are under writeback already, so the scan flushes the
 * plug before it waits for writeback, or returns: somebody else may be waiting for these pages.
 */
struct swap_plug {
	struct swap_io *io; /* NULL: nothing is collected */
};
/* Puts a locked page of the swap cache under writeback and unlocks it; its write starts when its
 * request is full, or the next page does not lie behind it, or the plug is flushed. 0 or -ENOMEM
 * (page still dirty); a write that fails leaves the page dirty and in the cache. */
QUIRE_MUST_CHECK int swap_writepage(struct quire *quire, struct page *page, struct swap_plug *plug);
void swap_plug_flush(struct swap_plug *plug);

/* The cached page with a reference, or NULL. */
struct page *swap_cache_get_page(struct quire *quire, swp_entry_t entry);
/*
 * The page of an entry that somebody holds, with a reference, uptodate, unlocked, in the swap cache
 * (look again under its lock), read with its neighbours when need be. *major: I/O was needed.
 * -ENOMEM, -EIO or the store's error; -ENOENT: the entry was freed meanwhile (retry the fault).
 */
QUIRE_MUST_CHECK int swapin_page(struct quire *quire, swp_entry_t entry, struct mem_cgroup *memcg,
				 bool readahead, bool *major, struct page **page);
/* The cached page of the entry is about to be used: if it was read ahead, the window grows. */
void swap_note_readahead_hit(struct quire *quire, swp_entry_t entry, struct page *page);
/*
 * Starts reading the pages of entries into the swap cache, without waiting; neighbouring slots that
 * stand one after the other in the array become one request. Takes free frames alone. False: there
 * are no more, or the group has no room.
 */
bool swapin_ahead(struct quire *quire, const swp_entry_t *entries, uint32_t count,
		  struct mem_cgroup *memcg);
/* The swap cache has the contents of the entry: for mincore. */
bool swap_cache_resident(struct quire *quire, swp_entry_t entry);

/* Returns when no request is under way: for validation. */
void swap_wait_idle(struct quire *quire);
/* After swap_wait_idle(), and with nothing else under way. */
void swap_validate(struct quire *quire, struct check_report *report);

#endif
