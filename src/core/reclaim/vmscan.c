/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: which groups, which type of pages, how many, and when to stop.
 *
 * A round goes over all groups below the one that is over its budget and scans a part of their
 * lists, by priority: the first round 1/4096, the last one all. When a round met only pages under
 * writeback, the next ones wait for them. When all rounds freed nothing, one more takes what is in
 * use too, so that "no" means that nothing can be freed.
 *
 * Between groups the next reclaim begins where the last one had enough, so that none pays alone.
 */
#include "core/file/writeback.h"
#include "core/instance/instance.h"
#include "core/pgtable/stale_tables.h"
#include "core/reclaim/lruvec.h"
#include "core/reclaim/scan.h"

#define SWAPPINESS_MAX 200
/* How long to wait for pages that other threads hold, before saying that there are none. */
#define LAST_RESORT_PASSES 64
#define ISOLATED_SPINS 1000
/* Background reclaim keeps a group this part below its budget. */
#define BUDGET_MARGIN 16
/* Dirty pages older than this are written in the background. */
#define DIRTY_EXPIRE_NS ((int64_t)30 * 1000 * 1000 * 1000)

static uint64_t cost_of(const struct lruvec *lruvec, enum lru_type type)
{
	return atomic_load_explicit(&lruvec->cost[type], memory_order_relaxed);
}

/*
 * In what proportion the two types are scanned: by swappiness, and against recent cost, which
 * halves the share of a type when all cost was its own.
 */
static void scan_shares(const struct scan_control *control, uint64_t share[LRU_TYPES])
{
	const uint64_t swappiness = control->quire->params.swappiness;
	const struct lruvec *lruvec = &control->target->lruvec;
	const uint64_t total = cost_of(lruvec, LRU_ANON) + cost_of(lruvec, LRU_FILE);

	share[LRU_ANON] = swappiness * (2 * total + 1) / (total + cost_of(lruvec, LRU_ANON) + 1);
	share[LRU_FILE] = (SWAPPINESS_MAX - swappiness) * (2 * total + 1) /
			  (total + cost_of(lruvec, LRU_FILE) + 1);
}

static void get_scan_count(const struct lruvec *lruvec, const struct scan_control *control,
			   uint64_t count[LRU_TYPES])
{
	uint64_t share[LRU_TYPES];
	uint64_t total;

	scan_shares(control, share);
	if (!control->may_swap || control->avoid_anon)
		share[LRU_ANON] = 0;
	else if (!control->priority)
		share[LRU_ANON] = share[LRU_FILE] = 1;
	if (!control->priority && !share[LRU_ANON])
		share[LRU_FILE] = 1;
	total = share[LRU_ANON] + share[LRU_FILE];

	for (int type = 0; type < LRU_TYPES; type++) {
		uint64_t part = lruvec_type_size(lruvec, (enum lru_type)type) >> control->priority;

		/* At the last priority, all of each that may be scanned at all. */
		if (control->priority && total)
			part = (part * share[type] + total - 1) / total;
		count[type] = share[type] ? part : 0;
	}
}

/* Looks at up to `nr` pages of the tail of one type. False: there are none. */
static bool shrink_list(struct lruvec *lruvec, enum lru_type type, uint32_t nr,
			struct scan_control *control)
{
	const struct reclaim_policy_ops *policy = lruvec->memcg->policy;
	struct list_head pages;
	uint32_t taken;

	list_init(&pages);
	spin_lock(&lruvec->lru_lock);
	if (policy->balance)
		policy->balance(lruvec, type);
	taken = policy->isolate(lruvec, type, nr, &pages);
	lruvec_count_isolated(lruvec, taken);
	spin_unlock(&lruvec->lru_lock);
	shrink_pages(&pages, control);
	return taken;
}

static bool reclaimed_enough(const struct scan_control *control)
{
	return control->nr_reclaimed >= control->nr_to_reclaim;
}

/* No more at a time than are still wanted. */
static uint32_t scan_batch(uint64_t count, const struct scan_control *control)
{
	if (reclaimed_enough(control))
		return 0;
	return (uint32_t)min_u64(min_u64(count, SCAN_BATCH),
				 control->nr_to_reclaim - control->nr_reclaimed);
}

static void shrink_lruvec(struct lruvec *lruvec, struct scan_control *control)
{
	uint64_t count[LRU_TYPES];

	get_scan_count(lruvec, control, count);
	while ((count[LRU_ANON] || count[LRU_FILE]) && !reclaimed_enough(control)) {
		for (int type = LRU_TYPES - 1; type >= 0; type--) {
			const uint32_t nr = scan_batch(count[type], control);

			if (!nr)
				continue;
			count[type] -= nr;
			if (!shrink_list(lruvec, (enum lru_type)type, nr, control))
				count[type] = 0;
		}
	}
}

/* All groups from the cursor on, or (`wrapped`) those before it. */
static void shrink_groups_part(struct scan_control *control, uint64_t cursor, bool wrapped)
{
	struct mem_cgroup *target = control->target;
	bool from_cursor = false;
	struct mem_cgroup *memcg;

	for (memcg = memcg_iter(target, NULL); memcg; memcg = memcg_iter(target, memcg)) {
		from_cursor |= memcg->id == cursor;
		if (wrapped && from_cursor) {
			memcg_iter_break(memcg);
			return;
		}
		if (!wrapped && !from_cursor)
			continue;
		if (reclaimed_enough(control)) {
			atomic_store_explicit(&target->scan_cursor, memcg->id,
					      memory_order_relaxed);
			memcg_iter_break(memcg);
			return;
		}
		shrink_lruvec(&memcg->lruvec, control);
	}
	/* Enough with the last one: the next reclaim begins with the first. */
	if (!wrapped && reclaimed_enough(control))
		atomic_store_explicit(&target->scan_cursor, 0, memory_order_relaxed);
}

/* A cursor whose group is gone makes the first part empty and the second one everything. */
static void shrink_groups(struct scan_control *control)
{
	uint64_t cursor = atomic_load_explicit(&control->target->scan_cursor, memory_order_relaxed);

	shrink_groups_part(control, cursor, false);
	if (!reclaimed_enough(control))
		shrink_groups_part(control, cursor, true);
}

static void shrink_by_priority(struct scan_control *control)
{
	for (control->priority = DEF_PRIORITY; control->priority >= 0; control->priority--) {
		const uint64_t before = control->nr_reclaimed;

		control->nr_writeback = 0;
		shrink_groups(control);
		if (reclaimed_enough(control))
			return;
		if (control->nr_reclaimed == before && control->nr_writeback && !control->once)
			control->wait_writeback = true;
	}
}

static uint64_t tree_file_pages(struct mem_cgroup *root)
{
	struct mem_cgroup *memcg;
	uint64_t pages = 0;

	for (memcg = memcg_iter(root, NULL); memcg; memcg = memcg_iter(root, memcg))
		pages += lruvec_type_size(&memcg->lruvec, LRU_FILE);
	return pages;
}

static void rescue_unevictable(struct mem_cgroup *root)
{
	struct mem_cgroup *memcg;

	for (memcg = memcg_iter(root, NULL); memcg; memcg = memcg_iter(root, memcg))
		lru_rescue_unevictable(&memcg->lruvec);
}

static uint64_t tree_isolated(struct mem_cgroup *root)
{
	struct mem_cgroup *memcg;
	uint64_t pages = 0;

	for (memcg = memcg_iter(root, NULL); memcg; memcg = memcg_iter(root, memcg))
		pages += atomic_load_explicit(&memcg->lruvec.nr_isolated, memory_order_relaxed);
	return pages;
}

/* Whoever has isolated pages waits for nothing but the store, so they come back or are freed. */
static void wait_for_isolated(struct mem_cgroup *root)
{
	for (uint32_t spins = 0; spins < ISOLATED_SPINS && tree_isolated(root); spins++)
		quire_relax(spins);
}

/*
 * Takes what is in use too, and waits for reverse maps that others change. Pages that other threads
 * have locked or isolated just now may be all that there is: they are waited for, though not for
 * ever, as a lock may be our caller's.
 */
static void reclaim_last_resort(struct scan_control *control)
{
	rescue_unevictable(control->target);
	control->last_resort = true;
	control->wait_writeback = true;
	control->priority = 0;
	for (uint32_t pass = 0; pass < LAST_RESORT_PASSES; pass++) {
		control->nr_busy = 0;
		shrink_groups(control);
		if (control->nr_reclaimed || (!control->nr_busy && !tree_isolated(control->target)))
			return;
		quire_relax(pass);
		wait_for_isolated(control->target);
	}
}

/* Swap is of use while it has room, or holds copies of pages in memory that may be dropped. */
static bool swap_usable(const struct quire *quire)
{
	return swap_free_slots(quire) || swap_cached_pages(quire);
}

static uint64_t reclaim(struct scan_control *control)
{
	struct quire *quire = control->quire;

	if (!control->nr_to_reclaim)
		return 0;
	lru_add_drain_all(quire);
	control->may_swap = swap_usable(quire);
	control->avoid_anon = !quire->params.swappiness && tree_file_pages(control->target);
	shrink_by_priority(control);
	if (control->nr_reclaimed || control->once)
		return control->nr_reclaimed;

	/* Nothing so easily: no scruples any more. */
	if (control->avoid_anon) {
		control->avoid_anon = false;
		shrink_by_priority(control);
	}
	if (!control->nr_reclaimed)
		reclaim_last_resort(control);
	return control->nr_reclaimed;
}

/* `once`: as in struct scan_control. */
static uint64_t reclaim_group(struct mem_cgroup *memcg, uint64_t pages, bool once)
{
	struct scan_control control = {
		.quire = memcg->quire,
		.target = memcg,
		.nr_to_reclaim = pages,
		.once = once,
	};

	return reclaim(&control);
}

uint64_t try_to_free_pages(struct mem_cgroup *memcg, uint64_t pages)
{
	count_event(memcg->quire, EVENT_RECLAIM_DIRECT, 1);
	return reclaim_group(memcg, pages, false);
}

uint64_t try_to_free_pages_once(struct mem_cgroup *memcg, uint64_t pages)
{
	count_event(memcg->quire, EVENT_RECLAIM_DIRECT, 1);
	return reclaim_group(memcg, pages, true);
}

uint64_t reclaim_pages(struct quire *quire, struct list_head *pages)
{
	struct scan_control control = {
		.quire = quire,
		.target = quire->root_memcg,
		.nr_to_reclaim = UINT64_MAX,
		.may_swap = swap_usable(quire),
		.last_resort = true,
	};

	shrink_pages(pages, &control);
	return control.nr_reclaimed;
}

static uint64_t reclaim_background(struct mem_cgroup *memcg, uint64_t pages)
{
	count_event(memcg->quire, EVENT_RECLAIM_BACKGROUND, 1);
	return reclaim_group(memcg, pages, false);
}

static uint64_t balance_frames(struct quire *quire)
{
	uint64_t free;

	if (!zone_below(&quire->zone, WMARK_LOW))
		return 0;
	forget_stale_tables(quire);
	free = zone_nr_free(&quire->zone);
	if (free >= quire->zone.watermark[WMARK_HIGH])
		return 0;
	return reclaim_background(quire->root_memcg, quire->zone.watermark[WMARK_HIGH] - free);
}

/* A group within the margin of its budget gets a margin's room. */
static uint64_t balance_group(struct mem_cgroup *memcg)
{
	const uint64_t max = atomic_load_explicit(&memcg->max, memory_order_relaxed);
	const uint64_t margin = max / BUDGET_MARGIN;

	if (max == MEMCG_UNLIMITED || !margin || memcg_usage(memcg) <= max - margin)
		return 0;
	return reclaim_background(memcg, margin);
}

static void write_old_pages(struct quire *quire)
{
	const int64_t now = quire_now(quire);
	struct writeback_control control = {
		.end = UINT64_MAX,
		.nr_to_write = UINT64_MAX,
		.dirtied_before = now - DIRTY_EXPIRE_NS,
	};

	/* An error stays with its file, whose openers are told. */
	if (control.dirtied_before > 0 && writeback_instance(quire, &control))
		return;
}

uint64_t balance_instance(struct quire *quire)
{
	struct mem_cgroup *memcg;
	uint64_t freed;

	lru_add_drain_all(quire);
	memcg_drain_stocks(quire);
	write_old_pages(quire);
	freed = balance_frames(quire);
	for (memcg = memcg_iter(quire->root_memcg, NULL); memcg;
	     memcg = memcg_iter(quire->root_memcg, memcg))
		freed += balance_group(memcg);
	swap_discard_clusters(quire);
	return freed;
}
