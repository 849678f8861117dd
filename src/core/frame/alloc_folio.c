/* SPDX-License-Identifier: MIT */
/*
 * Allocation with policy: reclaims until a folio can be had, and tells the instance's owner when
 * free frames run low.
 */
#include "core/frame/frame.h"

#include "base/fail.h"
#include "core/frame/internal.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"

/* Frames that a round of direct reclaim asks for. */
#define RECLAIM_BATCH 32
/* Rounds that made progress and still left nothing for us: others are taking all of it. */
#define RECLAIM_ROUNDS 16

/* This thread is inside direct reclaim of an allocation: what it allocates there must not reclaim
 * again. */
static _Thread_local bool reclaiming QUIRE_FAST_TLS;

static struct page *alloc_after_reclaim(struct quire *quire, uint32_t order, uint32_t gfp)
{
	if (reclaiming)
		return zone_alloc_unfailing(&quire->zone, order, gfp | GFP_RESERVE);

	for (uint32_t round = 0; round < RECLAIM_ROUNDS; round++) {
		reclaiming = true;

		uint64_t freed = try_to_free_pages(quire->root_memcg,
						   max_u64((uint64_t)1 << order, RECLAIM_BATCH));

		reclaiming = false;

		struct page *page = zone_alloc_unfailing(&quire->zone, order, gfp);

		if (page || !freed || (gfp & GFP_QUIET_RETRY))
			return page;
	}
	return NULL;
}

struct page *alloc_folio(struct quire *quire, uint32_t order, uint32_t gfp)
{
	if (quire_should_fail(FAIL_FRAME))
		return NULL;

	struct page *page = zone_alloc_unfailing(&quire->zone, order, gfp);

	if (unlikely(!page) && (gfp & GFP_RECLAIM))
		page = alloc_after_reclaim(quire, order, gfp);
	if (unlikely(zone_below(&quire->zone, WMARK_LOW)) && quire->params.events.pressure)
		quire->params.events.pressure(quire->params.events.context);
	return page;
}
