/* SPDX-License-Identifier: MIT */
/*
 * Sections: the zone grows into its arena when its frames run out.
 *
 * One thread at a time asks the machine for a section, with no lock of ours held; others that need
 * frames wait for it, spinning, as they may hold spin locks. Offline struct pages are all zero and
 * nobody looks at them.
 */
#include "core/frame/frame.h"

#include "base/park.h"
#include "core/frame/internal.h"

static void set_flag(_Atomic bool *flag, bool value)
{
	atomic_store_explicit(flag, value, memory_order_release);
}

void zone_add_section(struct zone *zone, uint64_t count)
{
	pfn_t first;

	spin_lock(&zone->lock);
	first = zone_end_pfn(zone);
	buddy_add_range(zone, first, count);
	atomic_store_explicit(&zone->nr_online, first + count, memory_order_release);
	spin_unlock(&zone->lock);
}

/* True: it is this thread's task to bring in what follows *first. False with *wait: another thread
 * does. */
static bool start_onlining(struct zone *zone, pfn_t *first, bool *wait)
{
	bool start;

	spin_lock(&zone->lock);
	*first = zone_end_pfn(zone);
	*wait = atomic_load_explicit(&zone->onlining, memory_order_relaxed);
	start = !*wait && zone_nr_offline(zone) > 0;
	if (start)
		set_flag(&zone->onlining, true);
	spin_unlock(&zone->lock);
	return start;
}

bool zone_online_section(struct zone *zone)
{
	uint64_t count;
	int error = 0;
	pfn_t first;
	bool wait;

	if (!start_onlining(zone, &first, &wait)) {
		for (uint32_t spins = 0;
		     wait && atomic_load_explicit(&zone->onlining, memory_order_acquire); spins++)
			quire_relax(spins);
		return wait;
	}
	count = min_u64(zone->section_frames, zone->nr_frames - first);
	if (zone->online)
		error = zone->online(zone->online_context, first, count);
	if (!error)
		zone_add_section(zone, count);
	spin_lock(&zone->lock);
	if (error)
		set_flag(&zone->online_failed, true);
	set_flag(&zone->onlining, false);
	spin_unlock(&zone->lock);
	return !error;
}

bool zone_retry_online(struct zone *zone)
{
	bool failed;

	spin_lock(&zone->lock);
	failed = atomic_load_explicit(&zone->online_failed, memory_order_relaxed);
	set_flag(&zone->online_failed, false);
	spin_unlock(&zone->lock);
	return failed;
}
