/* SPDX-License-Identifier: MIT */
/*
 * The caches of order-0 frames, one for each thread slot: most allocations and frees take their own
 * slot's lock only, and the frame freed last, still warm in the CPU's cache, is given out first.
 *
 * Lock order: a cache's lock, then zone->lock.
 */
#include "core/frame/frame.h"

#include "core/frame/internal.h"

/* count is written under the cache's lock, so relaxed is enough for those who hold it; others only
 * estimate. */
static uint32_t cache_count(const struct frame_cache *cache)
{
	return atomic_load_explicit(&cache->count, memory_order_relaxed);
}

static void set_cache_count(struct frame_cache *cache, uint32_t count)
{
	atomic_store_explicit(&cache->count, count, memory_order_relaxed);
}

static struct frame_cache *own_cache(struct zone *zone)
{
	return &zone->cache[quire_thread_slot()];
}

/* Fetches a batch from buddy into an empty cache, as far as the watermark allows. */
static void frame_cache_refill(struct zone *zone, struct frame_cache *cache, uint32_t gfp)
{
	uint32_t count = 0;

	spin_lock(&zone->lock);
	int64_t wanted = zone_available(zone, GFP_NOWAIT);

	/* From below the watermark only the one frame that was asked for is taken. */
	if (wanted <= 0)
		wanted = zone_available(zone, gfp) > 0 ? 1 : 0;
	if (wanted > zone->cache_batch)
		wanted = zone->cache_batch;
	if (wanted)
		count = buddy_take_frames(zone, cache->frames, (uint32_t)wanted);
	spin_unlock(&zone->lock);

	/* The frame taken first lies lowest: give it out first. */
	for (uint32_t i = 0; i < count / 2; i++) {
		struct page *page = cache->frames[i];

		cache->frames[i] = cache->frames[count - 1 - i];
		cache->frames[count - 1 - i] = page;
	}
	set_cache_count(cache, count);
}

/* Returns the `n` frames that were freed first, the coldest ones, to buddy. */
static void frame_cache_drain(struct zone *zone, struct frame_cache *cache, uint32_t n)
{
	uint32_t count = cache_count(cache);

	spin_lock(&zone->lock);
	for (uint32_t i = 0; i < n; i++)
		buddy_give(zone, cache->frames[i], 0);
	spin_unlock(&zone->lock);
	memmove(cache->frames, cache->frames + n, (count - n) * sizeof(cache->frames[0]));
	set_cache_count(cache, count - n);
}

struct page *frame_cache_pop(struct zone *zone, uint32_t gfp)
{
	if (unlikely(zone_available(zone, gfp) < 0))
		return NULL;

	struct frame_cache *cache = own_cache(zone);
	struct page *page = NULL;

	spin_lock(&cache->lock);
	if (unlikely(!cache_count(cache)))
		frame_cache_refill(zone, cache, gfp);

	uint32_t count = cache_count(cache);

	if (likely(count)) {
		page = cache->frames[count - 1];
		set_cache_count(cache, count - 1);
	}
	spin_unlock(&cache->lock);
	return page;
}

void frame_cache_push(struct zone *zone, struct page *page)
{
	struct frame_cache *cache = own_cache(zone);

	spin_lock(&cache->lock);
	if (unlikely(cache_count(cache) == zone->cache_high))
		frame_cache_drain(zone, cache, zone->cache_batch);

	uint32_t count = cache_count(cache);

	cache->frames[count] = page;
	set_cache_count(cache, count + 1);
	spin_unlock(&cache->lock);
}

void zone_drain_caches(struct zone *zone)
{
	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++) {
		struct frame_cache *cache = &zone->cache[slot];

		if (!cache_count(cache))
			continue;
		spin_lock(&cache->lock);
		frame_cache_drain(zone, cache, cache_count(cache));
		spin_unlock(&cache->lock);
	}
}

uint64_t zone_nr_free(struct zone *zone)
{
	uint64_t free = (uint64_t)(atomic_load_explicit(&zone->nr_free, memory_order_relaxed) +
				   zone_nr_offline(zone));

	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		free += cache_count(&zone->cache[slot]);
	return free;
}
