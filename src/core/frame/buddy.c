/* SPDX-License-Identifier: MIT */
/*
 * The buddy allocator: free frames in naturally aligned blocks of 2^order, one list an order.
 *
 * Invariants, under zone->lock
 *  1. A free block's first page has PG_buddy and its order, and stands in free_area[order]; the
 *     other pages of the block have no flag.
 *  2. No two free blocks are buddies of each other: they would have been joined.
 *  3. Every frame outside of allocated folios and of buddy is in one thread slot's cache.
 *  4. A page in buddy or in a cache is bare: refcount and mapcount 0, no mapping, no group.
 */
#include "core/frame/frame.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "core/frame/internal.h"

#include <errno.h>

#define MIN_FRAMES 64

/* A bare page is nobody's but ours, so that its flags need no exchange. */
static void set_flags(struct page *page, uint32_t flags)
{
	atomic_store_explicit(&page->flags, flags, memory_order_relaxed);
}

static void free_area_add(struct zone *zone, struct page *page, uint32_t order)
{
	page->order = order;
	set_flags(page, 1u << PG_buddy);
	list_add(&page->lru, &zone->free_area[order]);
	zone->nr_free_blocks[order]++;
}

static void free_area_remove(struct zone *zone, struct page *page)
{
	list_del(&page->lru);
	zone->nr_free_blocks[page->order]--;
	set_flags(page, 0);
	page->order = 0;
}

static void count_free(struct zone *zone, int64_t frames)
{
	int64_t free = atomic_load_explicit(&zone->nr_free, memory_order_relaxed);

	atomic_store_explicit(&zone->nr_free, free + frames, memory_order_relaxed);
}

struct page *buddy_take(struct zone *zone, uint32_t order)
{
	uint32_t from = order;

	while (from <= MAX_ORDER && list_empty(&zone->free_area[from]))
		from++;
	if (from > MAX_ORDER)
		return NULL;

	struct page *page = list_first_entry(&zone->free_area[from], struct page, lru);

	free_area_remove(zone, page);
	/* The upper half goes back until what is left is as small as asked for. */
	while (from > order) {
		from--;
		free_area_add(zone, page + ((uint64_t)1 << from), from);
	}
	count_free(zone, -((int64_t)1 << order));
	return page;
}

uint32_t buddy_take_frames(struct zone *zone, struct page **frames, uint32_t n)
{
	uint32_t count = 0;

	while (count < n) {
		uint32_t fits = 31 - (uint32_t)__builtin_clz(n - count);
		uint32_t order = 0;

		while (order < fits && list_empty(&zone->free_area[order]))
			order++;

		struct page *page = buddy_take(zone, order);

		if (!page)
			break;
		for (uint32_t i = 0; i < 1u << order; i++)
			frames[count++] = page + i;
	}
	return count;
}

/* Sections are made of whole blocks of the largest order, so a buddy is never offline. */
void buddy_give(struct zone *zone, struct page *page, uint32_t order)
{
	pfn_t pfn = page_to_pfn(zone, page);

	count_free(zone, (int64_t)1 << order);
	while (order < MAX_ORDER) {
		pfn_t buddy_pfn = pfn ^ ((pfn_t)1 << order);

		if (buddy_pfn + ((pfn_t)1 << order) > zone->nr_frames)
			break;

		struct page *buddy = pfn_to_page(zone, buddy_pfn);

		if (!page_test(buddy, PG_buddy) || buddy->order != order)
			break;
		free_area_remove(zone, buddy);
		pfn &= ~((pfn_t)1 << order);
		order++;
	}
	free_area_add(zone, pfn_to_page(zone, pfn), order);
}

void buddy_add_range(struct zone *zone, pfn_t first, uint64_t count)
{
	/* Blocks from the top down, so that the lists give low frames first. */
	for (pfn_t end = first + count; end > first;) {
		uint32_t order = (uint32_t)__builtin_ctzll(end);

		order = order > MAX_ORDER ? MAX_ORDER : order;
		end -= (pfn_t)1 << order;
		frame_poison(zone, pfn_to_page(zone, end), order);
		count_free(zone, (int64_t)1 << order);
		free_area_add(zone, pfn_to_page(zone, end), order);
	}
}

/*
 * One struct page for each frame. Not by quire_zalloc_aligned(), which writes all of it: the host
 * gives zeroed memory for a large array when it is touched.
 */
static struct page *alloc_mem_map(uint64_t nr_frames, void **memory)
{
	const uintptr_t align = 64;

	*memory = quire_zalloc(nr_frames * sizeof(struct page) + align - 1);
	return (struct page *)(((uintptr_t)*memory + align - 1) & ~(align - 1));
}

int zone_init(struct zone *zone, const struct zone_memory *memory)
{
	const uint64_t nr_frames = memory->nr_frames;
	struct page *mem_map;
	void *mem_map_memory;

	if (nr_frames < MIN_FRAMES || nr_frames > SIZE_MAX / 2 / sizeof(struct page) ||
	    !memory->section_frames || memory->section_frames % (1u << MAX_ORDER))
		return -EINVAL;
	mem_map = alloc_mem_map(nr_frames, &mem_map_memory);
	if (!mem_map_memory)
		return -ENOMEM;

	*zone = (struct zone){
		.mem_map = mem_map,
		.mem_map_memory = mem_map_memory,
		.base = memory->base,
		.nr_frames = nr_frames,
		.section_frames = memory->section_frames,
		.online = memory->online,
		.online_context = memory->online_context,
	};
	spin_lock_init(&zone->lock, LOCK_ZONE);
	for (uint32_t order = 0; order <= MAX_ORDER; order++)
		list_init(&zone->free_area[order]);
	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		spin_lock_init(&zone->cache[slot].lock, LOCK_FRAME_CACHE);
	/* All caches together keep at most a quarter of the zone. */
	zone->cache_high =
		(uint32_t)min_u64(FRAME_CACHE_HIGH, nr_frames / (4 * QUIRE_THREAD_SLOTS));
	zone->cache_batch = (uint32_t)min_u64(FRAME_CACHE_BATCH, (zone->cache_high + 1) / 2);
	zone_set_watermarks(zone);

	zone_add_section(zone, min_u64(memory->section_frames, nr_frames));
	return 0;
}

void zone_destroy(struct zone *zone)
{
	zone_drain_caches(zone);
	if (QUIRE_CHECK >= 1) {
		uint64_t reserved = 0;

		zone_retry_online(zone);
		for (pfn_t pfn = 0; pfn < zone_end_pfn(zone); pfn++)
			reserved += page_test(pfn_to_page(zone, pfn), PG_reserved);
		QUIRE_ASSERT(1, zone_nr_free(zone) + reserved == zone->nr_frames);
	}
	quire_free(zone->mem_map_memory);
	zone->mem_map = NULL;
}

static void folio_prepare(struct page *head, uint32_t order)
{
	if (order) {
		head->order = order;
		set_flags(head, 1u << PG_head);
		for (uint64_t i = 1; i < (uint64_t)1 << order; i++) {
			head[i].head = head;
			set_flags(&head[i], 1u << PG_tail);
		}
	}
	atomic_store_explicit(&head->refcount, 1, memory_order_release);
}

static struct page *buddy_alloc(struct zone *zone, uint32_t order, uint32_t gfp)
{
	struct page *page = NULL;

	spin_lock(&zone->lock);
	if (zone_available(zone, gfp) >= (int64_t)1 << order)
		page = buddy_take(zone, order);
	spin_unlock(&zone->lock);
	return page;
}

/* What was never used costs least. Then the caches: they may hold what buddy lacks, or the
 * neighbours that keep it from joining blocks. */
static struct page *buddy_alloc_or_grow(struct zone *zone, uint32_t order, uint32_t gfp)
{
	struct page *page;

	do {
		page = buddy_alloc(zone, order, gfp);
		if (page)
			return page;
	} while (zone_online_section(zone));
	zone_drain_caches(zone);
	return buddy_alloc(zone, order, gfp);
}

struct page *zone_alloc_unfailing(struct zone *zone, uint32_t order, uint32_t gfp)
{
	QUIRE_ASSERT(1, order <= MAX_ORDER);

	struct page *page = order ? NULL : frame_cache_pop(zone, gfp);

	if (unlikely(!page)) {
		page = buddy_alloc_or_grow(zone, order, gfp);
		if (!page)
			return NULL;
	}
	QUIRE_ASSERT(1, frame_poison_intact(zone, page, order));
	folio_prepare(page, order);
	if (gfp & GFP_ZERO)
		memset(page_address(zone, page), 0, PAGE_SIZE << order);
	return page;
}

/* zone->lock held. As few and as large blocks as make up `n` frames. */
static uint32_t buddy_take_runs(struct zone *zone, struct page **pages, uint32_t n)
{
	uint32_t count = 0;

	while (count < n) {
		uint32_t order = 31 - (uint32_t)__builtin_clz(n - count);
		struct page *page = buddy_take(zone, order);

		if (!page)
			return count + buddy_take_frames(zone, pages + count, n - count);
		for (uint32_t i = 0; i < 1u << order; i++)
			pages[count++] = page + i;
	}
	return count;
}

uint32_t zone_alloc_ahead(struct zone *zone, struct page **pages, uint32_t n, enum watermark mark)
{
	uint32_t count = 0;
	int64_t spare;

	QUIRE_ASSERT(1, n <= 1u << MAX_ORDER);
	if (quire_should_fail(FAIL_FRAME))
		return 0;
	do {
		spin_lock(&zone->lock);
		spare = zone_available(zone, GFP_RESERVE) - (int64_t)zone->watermark[mark];
		if (spare > 0)
			count = buddy_take_runs(zone, pages, (uint32_t)min_u64(n, (uint64_t)spare));
		spin_unlock(&zone->lock);
	} while (!count && spare > 0 && zone_online_section(zone));
	for (uint32_t i = 0; i < count; i++) {
		QUIRE_ASSERT(1, frame_poison_intact(zone, pages[i], 0));
		folio_prepare(pages[i], 0);
	}
	return count;
}

struct page *zone_alloc(struct zone *zone, uint32_t order, uint32_t gfp)
{
	if (quire_should_fail(FAIL_FRAME))
		return NULL;
	return zone_alloc_unfailing(zone, order, gfp);
}

/* Flags that a page may bear when its last reference goes: hints, and what belongs to the folio. */
#define FREE_FLAGS_ALLOWED \
	((1u << PG_uptodate) | (1u << PG_dirty) | (1u << PG_active) | (1u << PG_referenced) | \
	 (1u << PG_mlocked) | (1u << PG_swapbacked) | (1u << PG_anon_exclusive) | \
	 (1u << PG_workingset) | (1u << PG_reclaim) | (1u << PG_readahead) | (1u << PG_lazyfree) | \
	 (1u << PG_error) | (1u << PG_table) | (1u << PG_head) | (1u << PG_waiters) | \
	 (1u << PG_unevictable) | (1u << PG_policy1) | (1u << PG_policy2))

static void page_make_bare(struct page *page)
{
	atomic_store_explicit(&page->mapping, 0, memory_order_relaxed);
	page->index = 0;
	page->private = 0;
	page->order = 0;
	atomic_store_explicit(&page->memcg, NULL, memory_order_relaxed);
	atomic_store_explicit(&page->flags, 0, memory_order_release);
}

void zone_free(struct zone *zone, struct page *page)
{
	uint32_t order = folio_order(page);

	QUIRE_ASSERT(1, page_to_pfn(zone, page) < zone->nr_frames);
	QUIRE_ASSERT(1, !page_count(page) && !page_mapcount(page) && !page->memcg);
	QUIRE_ASSERT(1, !(atomic_load_explicit(&page->flags, memory_order_relaxed) &
			  ~FREE_FLAGS_ALLOWED));
	for (uint64_t i = 1; i < (uint64_t)1 << order; i++)
		page_make_bare(&page[i]);
	page_make_bare(page);
	frame_poison(zone, page, order);
	if (!order) {
		frame_cache_push(zone, page);
		return;
	}
	spin_lock(&zone->lock);
	buddy_give(zone, page, order);
	spin_unlock(&zone->lock);
}
