/* SPDX-License-Identifier: MIT */
/*
 * Allocation with policy: reclaims until a folio can be had, and tells the instance's owner when
 * free frames run low.
 */
#include "core/frame/frame.h"

#include "base/fail.h"
#include "core/frame/internal.h"
#include "core/instance/instance.h"
#include "core/pgtable/stale_tables.h"
#include "core/reclaim/vmscan.h"

/* Frames that a round of direct reclaim asks for. */
#define RECLAIM_BATCH 32
/* Rounds that made progress and still left nothing for us: others are taking all of it. */
#define RECLAIM_ROUNDS 16
/* Rounds that freed nothing: others may hold pages for a moment. */
#define RECLAIM_FAILURES 4

/* This thread is inside direct reclaim of an allocation: what it allocates there must not reclaim
 * again. */
static _Thread_local bool reclaiming QUIRE_FAST_TLS;

static struct page *alloc_reclaiming(struct quire *quire, uint32_t order, uint32_t gfp)
{
	const uint64_t wanted = max_u64((uint64_t)1 << order, RECLAIM_BATCH);
	uint32_t failures = 0;

	for (uint32_t round = 0; round < RECLAIM_ROUNDS && failures < RECLAIM_FAILURES; round++) {
		reclaiming = true;

		uint64_t freed = gfp & GFP_QUIET_RETRY
					 ? try_to_free_pages_once(quire->root_memcg, wanted)
					 : try_to_free_pages(quire->root_memcg, wanted);

		reclaiming = false;

		struct page *page = zone_alloc_unfailing(&quire->zone, order, gfp);

		if (page || (gfp & GFP_QUIET_RETRY))
			return page;
		if (!freed)
			quire_relax(failures++);
	}
	return NULL;
}

/* Everything that was left undone as long as there were frames, the cheapest first. */
static struct page *alloc_slow(struct quire *quire, uint32_t order, uint32_t gfp)
{
	struct page *page = NULL;

	if (reclaiming)
		return zone_alloc_unfailing(&quire->zone, order, gfp | GFP_RESERVE);
	if (forget_stale_tables(quire))
		page = zone_alloc_unfailing(&quire->zone, order, gfp);
	if (!page)
		page = alloc_reclaiming(quire, order, gfp);
	if (!page && zone_retry_online(&quire->zone))
		page = zone_alloc_unfailing(&quire->zone, order, gfp);
	return page;
}

struct page *alloc_folio(struct quire *quire, uint32_t order, uint32_t gfp)
{
	if (quire_should_fail(FAIL_FRAME))
		return NULL;

	struct page *page = zone_alloc_unfailing(&quire->zone, order, gfp);

	if (unlikely(!page) && (gfp & GFP_RECLAIM))
		page = alloc_slow(quire, order, gfp);
	if (unlikely(zone_below(&quire->zone, WMARK_LOW)) && quire->params.events.pressure)
		quire->params.events.pressure(quire->params.events.context);
	return page;
}

struct page *alloc_locked_page(struct quire *quire, uint32_t gfp)
{
	struct page *page = alloc_page(quire, gfp);

	if (page) {
		/* Nobody else knows it, so this never waits. */
		const bool locked = trylock_page(page);

		QUIRE_ASSERT(1, locked);
		(void)locked;
	}
	return page;
}
