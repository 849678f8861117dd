/* SPDX-License-Identifier: MIT */
/*
 * What the files of core/frame share: the buddy's locked operations and the poison of free frames.
 */
#ifndef QUIRE_CORE_FRAME_INTERNAL_H
#define QUIRE_CORE_FRAME_INTERNAL_H

#include "core/frame/frame.h"

#include <string.h>

/* zone->lock held. A block of 2^order frames with bare state (no flag, refcount 0), or NULL. */
struct page *buddy_take(struct zone *zone, uint32_t order);
/* zone->lock held. Up to `n` single frames (1 or more), the smallest free blocks first, each taken
 * as a whole or split once. Returns how many. */
uint32_t buddy_take_frames(struct zone *zone, struct page **frames, uint32_t n);
/* zone->lock held. Frees a block with bare state, joined with its free neighbours. */
void buddy_give(struct zone *zone, struct page *page, uint32_t order);

/* The thread slot's cache. NULL: the watermark, or an empty buddy, forbids. */
struct page *frame_cache_pop(struct zone *zone, uint32_t gfp);
void frame_cache_push(struct zone *zone, struct page *page);

/* Frames that buddy may still give away, now or when more are online: those above the min
 * watermark, or all with GFP_RESERVE. */
static inline int64_t zone_available(struct zone *zone, uint32_t gfp)
{
	int64_t floor = (gfp & GFP_RESERVE) ? 0 : (int64_t)zone->watermark[WMARK_MIN];

	return atomic_load_explicit(&zone->nr_free, memory_order_relaxed) + zone_nr_offline(zone) -
	       floor;
}

/* zone->lock held. Frames that were not the zone's so far become free. */
void buddy_add_range(struct zone *zone, pfn_t first, uint64_t count);
/* The next `count` frames are online, and free. zone->lock not held. (section.c) */
void zone_add_section(struct zone *zone, uint64_t count);

/* Sets the watermarks of a zone of nr_frames frames. (watermark.c) */
void zone_set_watermarks(struct zone *zone);

/* zone_alloc() without the injection of failures, for callers that had theirs already. */
struct page *zone_alloc_unfailing(struct zone *zone, uint32_t order, uint32_t gfp);

/*
 * Poison: a free frame is filled with a pattern, wholly or at its start, and looked at again when
 * it is allocated, so that a write through a stale reference shows.
 */
#define FRAME_POISON 0xaa
#if QUIRE_CHECK >= 2
#define FRAME_POISON_BYTES PAGE_SIZE
#elif QUIRE_CHECK == 1
#define FRAME_POISON_BYTES 64
#else
#define FRAME_POISON_BYTES 0
#endif

/* Fills 2^order frames. */
static inline void frame_poison(struct zone *zone, struct page *page, uint32_t order)
{
	char *memory = page_address(zone, page);
	size_t bytes = FRAME_POISON_BYTES;

	for (uint64_t i = 0; bytes && i < (uint64_t)1 << order; i++)
		memset(memory + (i << PAGE_SHIFT), FRAME_POISON, bytes);
}

/* Whether 2^order free frames still hold the pattern. */
static inline bool frame_poison_intact(struct zone *zone, struct page *page, uint32_t order)
{
	const unsigned char *memory = page_address(zone, page);

	for (uint64_t i = 0; i < (uint64_t)1 << order; i++) {
		const unsigned char *frame = memory + (i << PAGE_SHIFT);

		/* All bytes are alike when the first is right and each equals the next. */
		if (FRAME_POISON_BYTES && (frame[0] != FRAME_POISON ||
					   memcmp(frame, frame + 1, FRAME_POISON_BYTES - 1) != 0))
			return false;
	}
	return true;
}

#endif
