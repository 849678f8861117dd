/* SPDX-License-Identifier: MIT */
/*
 * Validation of a zone: free lists, caches and mem_map must tell the same story (buddy.c has the
 * invariants).
 */
#include "core/frame/frame.h"

#include "core/frame/internal.h"

static void check_bare(struct zone *zone, const struct page *page, struct check_report *report)
{
	CHECK_THAT(report,
		   !page_count(page) && !page_mapcount(page) && !page->memcg &&
			   !atomic_load_explicit(&page->mapping, memory_order_relaxed),
		   "frame %llu is free and still in use",
		   (unsigned long long)page_to_pfn(zone, page));
}

static void check_block(struct zone *zone, struct page *page, uint32_t order,
			struct check_report *report)
{
	pfn_t pfn = page_to_pfn(zone, page);
	pfn_t buddy = pfn ^ ((pfn_t)1 << order);

	CHECK_THAT(report, page_test(page, PG_buddy) && page->order == order,
		   "free block %llu is not marked as of order %u", (unsigned long long)pfn, order);
	CHECK_THAT(report, !(pfn & (((pfn_t)1 << order) - 1)),
		   "free block %llu of order %u is not aligned", (unsigned long long)pfn, order);
	CHECK_THAT(report, pfn + ((pfn_t)1 << order) <= zone->nr_frames,
		   "free block %llu of order %u leaves the arena", (unsigned long long)pfn, order);
	CHECK_THAT(report,
		   order == MAX_ORDER || buddy + ((pfn_t)1 << order) > zone->nr_frames ||
			   !page_test(pfn_to_page(zone, buddy), PG_buddy) ||
			   pfn_to_page(zone, buddy)->order != order,
		   "free block %llu of order %u was not joined with its buddy",
		   (unsigned long long)pfn, order);
	for (uint64_t i = 0; i < (uint64_t)1 << order; i++) {
		check_bare(zone, page + i, report);
		CHECK_THAT(report,
			   atomic_load_explicit(&page[i].flags, memory_order_relaxed) ==
				   (i ? 0 : 1u << PG_buddy),
			   "frame %llu in a free block has flags", (unsigned long long)(pfn + i));
	}
	CHECK_THAT(report, frame_poison_intact(zone, page, order),
		   "free block %llu of order %u was written to", (unsigned long long)pfn, order);
}

static void check_free_area(struct zone *zone, struct check_report *report)
{
	int64_t frames = 0;

	spin_lock(&zone->lock);
	for (uint32_t order = 0; order <= MAX_ORDER; order++) {
		uint64_t blocks = 0;
		struct page *page;

		list_for_each_entry (page, &zone->free_area[order], lru) {
			check_block(zone, page, order, report);
			blocks++;
		}
		CHECK_THAT(report, blocks == zone->nr_free_blocks[order],
			   "order %u has %llu free blocks, counted %llu", order,
			   (unsigned long long)blocks,
			   (unsigned long long)zone->nr_free_blocks[order]);
		frames += (int64_t)(blocks << order);
	}
	CHECK_THAT(report, frames == atomic_load(&zone->nr_free),
		   "buddy has %lld frames, counted %lld", (long long)frames,
		   (long long)atomic_load(&zone->nr_free));
	spin_unlock(&zone->lock);
}

static uint64_t check_caches(struct zone *zone, struct check_report *report)
{
	uint64_t cached = 0;

	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++) {
		struct frame_cache *cache = &zone->cache[slot];

		spin_lock(&cache->lock);
		for (uint32_t i = 0; i < cache->count; i++) {
			check_bare(zone, cache->frames[i], report);
			CHECK_THAT(report, frame_poison_intact(zone, cache->frames[i], 0),
				   "cached frame %llu was written to",
				   (unsigned long long)page_to_pfn(zone, cache->frames[i]));
		}
		cached += cache->count;
		spin_unlock(&cache->lock);
	}
	return cached;
}

/* Free frames as mem_map shows them: blocks of buddy, and lone frames without a reference. Those
 * that are not online are not looked at. */
static uint64_t count_unused(struct zone *zone, struct check_report *report)
{
	uint64_t unused = (uint64_t)zone_nr_offline(zone);

	for (pfn_t pfn = 0; pfn < zone_end_pfn(zone);) {
		struct page *page = pfn_to_page(zone, pfn);
		uint64_t frames = (uint64_t)1 << page->order;

		if (page_test(page, PG_buddy) || !page_count(page))
			unused += frames;
		else
			CHECK_THAT(report, page_mapcount(page) >= 0 && !page_test(page, PG_tail),
				   "frame %llu has a negative map count or is a tail alone",
				   (unsigned long long)pfn);
		pfn += frames;
	}
	return unused;
}

void zone_validate(struct zone *zone, struct check_report *report)
{
	check_free_area(zone, report);
	CHECK_THAT(report,
		   zone_end_pfn(zone) == zone->nr_frames ||
			   zone_end_pfn(zone) % zone->section_frames == 0,
		   "%llu frames are online, which are no whole sections",
		   (unsigned long long)zone_end_pfn(zone));

	uint64_t cached = check_caches(zone, report);
	uint64_t unused = count_unused(zone, report);

	CHECK_THAT(report, unused == zone_nr_free(zone),
		   "%llu frames are unused, but %llu are free (%llu of them cached)",
		   (unsigned long long)unused, (unsigned long long)zone_nr_free(zone),
		   (unsigned long long)cached);
}
