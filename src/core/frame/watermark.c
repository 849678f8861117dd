/* SPDX-License-Identifier: MIT */
/*
 * Watermarks: how few free frames are few.
 *
 * As Linux does, min grows with the square root of the memory, as larger memories are not emptied
 * faster in proportion; low and high stand a quarter and a half of min above it. Below min only
 * those allocate who free memory by it (GFP_RESERVE); below low background reclaim is asked for; it
 * stops at high.
 */
#include "core/frame/frame.h"

#include "core/frame/internal.h"

static uint64_t square_root(uint64_t n)
{
	uint64_t root = 0;

	for (uint64_t bit = (uint64_t)1 << 31; bit; bit >>= 1)
		if ((root + bit) * (root + bit) <= n)
			root += bit;
	return root;
}

void zone_set_watermarks(struct zone *zone)
{
	/* Linux: min_free_kbytes = 4 * sqrt(kilobytes), so min = 2 * sqrt(frames) frames; but no
	 * more than a sixteenth of a small memory. */
	uint64_t min = min_u64(2 * square_root(zone->nr_frames), zone->nr_frames / 16);

	zone->watermark[WMARK_MIN] = min;
	zone->watermark[WMARK_LOW] = min + max_u64(min / 4, 1);
	zone->watermark[WMARK_HIGH] = min + max_u64(min / 2, 2);
}

bool zone_below(struct zone *zone, enum watermark mark)
{
	/* The frames in buddy and offline mostly answer it. */
	if (zone_available(zone, GFP_RESERVE) >= (int64_t)zone->watermark[mark])
		return false;
	return zone_nr_free(zone) < zone->watermark[mark];
}
