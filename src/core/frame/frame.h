/* SPDX-License-Identifier: MIT */
/*
 * Frames: the arena, the buddy allocator (orders 0 to MAX_ORDER), each thread slot's cache of
 * order-0 frames, watermarks.
 *
 * struct zone is the whole arena of one instance. Callers see pages; nobody outside core/frame
 * touches buddy state.
 *
 * The zone comes online section by section, lowest first: as long as memory is not needed, neither
 * its frames nor their struct pages are touched, so that a large zone costs no more than it is
 * used. Offline frames count as free wherever free frames are counted.
 */
#ifndef QUIRE_CORE_FRAME_FRAME_H
#define QUIRE_CORE_FRAME_FRAME_H

#include "base/check.h"
#include "base/park.h"
#include "core/frame/page.h"

struct quire;

#define MAX_ORDER 9
#define FRAME_CACHE_HIGH 64
#define FRAME_CACHE_BATCH 32

enum gfp_flags {
	GFP_NOWAIT =
		0, /* fail rather than reclaim: for callers that hold a lock inside LOCK_PAGE */
	GFP_RECLAIM = 1, /* may reclaim, write back and swap; no lock inside LOCK_PAGE is held */
	GFP_ZERO = 2,    /* zero-filled */
	GFP_RESERVE = 4, /* may go below the min watermark: reclaim's own needs, page tables of a
			    fault in progress */
	GFP_QUIET_RETRY =
		8, /* a failure is expected and handled: no reclaim beyond one pass (readahead) */
};

enum watermark {
	WMARK_MIN,
	WMARK_LOW,
	WMARK_HIGH,
	WMARKS
};

/* Z = zone lock, S = the slot's lock, C = constant after zone_init(). */
struct zone {
	/* First what everybody reads; what changes lies on cache lines of its own. */
	struct page *mem_map;    /* C: one for each frame */
	void *base;              /* C: the arena */
	uint64_t nr_frames;      /* C */
	uint64_t section_frames; /* C: a multiple of the largest block */
	void *mem_map_memory;    /* C: what mem_map lies in */
	int (*online)(void *context, pfn_t first, uint64_t count); /* C: 0 or -errno; may be NULL */
	void *online_context;                                      /* C */
	uint64_t watermark[WMARKS];                                /* C, in frames */
	uint32_t cache_high;  /* C: most frames a cache keeps; a small zone keeps few */
	uint32_t cache_batch; /* C: frames moved between a cache and buddy at a time */
	struct spinlock lock QUIRE_CACHE_ALIGNED;
	_Atomic int64_t nr_free;    /* written under Z; frames in buddy */
	_Atomic uint64_t nr_online; /* written under Z: frames below it are online */
	_Atomic bool onlining;      /* written under Z: a thread brings a section in */
	_Atomic bool online_failed; /* written under Z: no more sections for now */
	struct list_head free_area[MAX_ORDER + 1]; /* Z */
	uint64_t nr_free_blocks[MAX_ORDER + 1];    /* Z */
	struct frame_cache {
		struct spinlock lock;
		_Atomic uint32_t count;                /* written under S */
		struct page *frames[FRAME_CACHE_HIGH]; /* S */
	} QUIRE_CACHE_ALIGNED cache[QUIRE_THREAD_SLOTS];
};

/*
 * Takes over `nr_frames` frames at `base`, which stay the caller's to unmap; allocates mem_map. The
 * first section is online at once; `online`, if not NULL, is asked for each later one. 0 or
 * -ENOMEM, -EINVAL (fewer than 64 frames, an odd size of sections).
 */
struct zone_memory {
	void *base;
	uint64_t nr_frames;
	uint64_t section_frames;
	int (*online)(void *context, pfn_t first, uint64_t count);
	void *online_context;
};
QUIRE_MUST_CHECK int zone_init(struct zone *zone, const struct zone_memory *memory);
/* All frames must be free, except reserved ones. */
void zone_destroy(struct zone *zone);

static inline pfn_t page_to_pfn(const struct zone *zone, const struct page *page)
{
	return (pfn_t)(page - zone->mem_map);
}

static inline struct page *pfn_to_page(const struct zone *zone, pfn_t pfn)
{
	return &zone->mem_map[pfn];
}

/* The frame's memory in Quire's own address space. */
static inline void *page_address(const struct zone *zone, const struct page *page)
{
	return (char *)zone->base + (page_to_pfn(zone, page) << PAGE_SHIFT);
}

/* The other way round, for any address within the frame. */
static inline struct page *virt_to_page(const struct zone *zone, const void *memory)
{
	return pfn_to_page(zone,
			   (pfn_t)((const char *)memory - (const char *)zone->base) >> PAGE_SHIFT);
}

/*
 * Allocation without policy (no reclaim, no charge): frames/buddy only. Returns a folio of 2^order
 * frames with refcount 1, or NULL. Obeys FAIL_FRAME. Below the min watermark only with GFP_RESERVE.
 */
struct page *zone_alloc(struct zone *zone, uint32_t order, uint32_t gfp);
/*
 * Up to `n` single frames, refcount 1, not zeroed, neighbours in order as far as may be; only what
 * lies above the watermark. Returns how many. Obeys FAIL_FRAME.
 */
uint32_t zone_alloc_ahead(struct zone *zone, struct page **pages, uint32_t n, enum watermark mark);
/* refcount is 0, page is on no list and not charged. */
void zone_free(struct zone *zone, struct page *page);
/* Returns the frames of all thread caches to buddy. */
void zone_drain_caches(struct zone *zone);
/*
 * After a failed allocation, with the zone's and the caches' locks not held: brings one more
 * section online. False: there is none, or it failed; then no more is tried, and offline frames no
 * longer count as free, until zone_retry_online().
 */
bool zone_online_section(struct zone *zone);
/* Lets sections that could not be brought online be tried again. False: there are none. */
bool zone_retry_online(struct zone *zone);
/* Frames below this number are online. */
static inline pfn_t zone_end_pfn(const struct zone *zone)
{
	return atomic_load_explicit(&zone->nr_online, memory_order_acquire);
}
/* Offline frames that can be had. */
static inline int64_t zone_nr_offline(const struct zone *zone)
{
	if (atomic_load_explicit(&zone->online_failed, memory_order_relaxed))
		return 0;
	return (int64_t)(zone->nr_frames -
			 atomic_load_explicit(&zone->nr_online, memory_order_relaxed));
}
/* Free frames in buddy and in the thread caches, and those that are not online yet. */
uint64_t zone_nr_free(struct zone *zone);
/* Fewer free frames than the watermark. */
bool zone_below(struct zone *zone, enum watermark mark);
/* Free lists, caches, flags, counts, poison. Nothing under way. */
void zone_validate(struct zone *zone, struct check_report *report);

/*
 * Allocation for the core: alloc_page() reclaims according to `gfp` until a frame is there or
 * reclaim makes no more progress. The page is charged to nobody yet (core/reclaim/memcg.h charges).
 * NULL: no memory.
 */
struct page *alloc_folio(struct quire *quire, uint32_t order, uint32_t gfp);
static inline struct page *alloc_page(struct quire *quire, uint32_t gfp)
{
	return alloc_folio(quire, 0, gfp);
}
/* The same, locked by the caller: for pages that enter a cache before their contents are there. */
struct page *alloc_locked_page(struct quire *quire, uint32_t gfp);

static inline uint32_t folio_order(const struct page *folio)
{
	return page_test(folio, PG_head) ? folio->order : 0;
}

static inline struct page *page_folio(struct page *page)
{
	return page_test(page, PG_tail) ? page->head : page;
}

/*
 * Drops a reference; the last one takes the page off its list, uncharges and frees it. No lock of
 * rank LOCK_LRU or higher is held.
 */
void put_page(struct quire *quire, struct page *page);
void put_page_many(struct quire *quire, struct page *page, int32_t count);

#endif
