/* SPDX-License-Identifier: MIT */
/*
 * Shadows and refault distances (workingset.h).
 *
 * nonresident_age of a group counts evictions and activations: each makes what is on the inactive
 * list one page older. A page that comes back after `distance` of them would have stayed in memory
 * if the lists had been longer by that much, at the cost of the pages that are thought to be in
 * use; so when there are as many of those, it is compared with them on the active list.
 *
 * A shadow, from the lowest bit: PG_workingset, AGE_BITS of the age, ID_BITS of the group's id.
 */
#include "core/reclaim/workingset.h"

#include "base/xarray.h"
#include "core/instance/instance.h"
#include "core/reclaim/lruvec.h"

#define AGE_BITS 32
#define ID_BITS 30
#define AGE_MASK (((uint64_t)1 << AGE_BITS) - 1)
#define ID_MASK (((uint64_t)1 << ID_BITS) - 1)

void *workingset_eviction(struct page *page)
{
	struct mem_cgroup *memcg = page_memcg(page);
	uint64_t age = atomic_load_explicit(&memcg->lruvec.nonresident_age, memory_order_relaxed);
	uint64_t id = memcg->id;

	QUIRE_ASSERT(1, page_locked(page));
	lruvec_age(&memcg->lruvec, 1);
	return xa_mk_value((id & ID_MASK) << (AGE_BITS + 1) | (age & AGE_MASK) << 1 |
			   page_test(page, PG_workingset));
}

/* What the page would have had to compete with: all but the inactive pages of its own type. */
static uint64_t workingset_size(struct quire *quire, const struct lruvec *lruvec,
				enum lru_type type)
{
	uint64_t size = lruvec_size(lruvec, LRU_FILE, LRU_ACTIVE);

	if (type != LRU_FILE)
		size += lruvec_size(lruvec, LRU_FILE, LRU_INACTIVE);
	if (swap_free_slots(quire)) {
		size += lruvec_size(lruvec, LRU_ANON, LRU_ACTIVE);
		if (type == LRU_FILE)
			size += lruvec_size(lruvec, LRU_ANON, LRU_INACTIVE);
	}
	return size;
}

static bool within_working_set(struct mem_cgroup *evicted_from, uint64_t age, enum lru_type type)
{
	struct lruvec *lruvec = &evicted_from->lruvec;
	uint64_t now = atomic_load_explicit(&lruvec->nonresident_age, memory_order_relaxed);

	return ((now - age) & AGE_MASK) <= workingset_size(evicted_from->quire, lruvec, type);
}

bool workingset_refault(struct page *page, void *shadow)
{
	struct mem_cgroup *memcg = page_memcg(page);
	struct quire *quire = memcg->quire;
	const enum lru_type type = page_lru_type(page);
	const uint64_t value = xa_to_value(shadow);
	struct mem_cgroup *evicted_from = memcg_find(quire, value >> (AGE_BITS + 1));
	bool within;

	atomic_fetch_add_explicit(&memcg->lruvec.refaults[type], 1, memory_order_relaxed);
	count_event(quire, EVENT_REFAULT, 1);
	if (!evicted_from)
		return false;
	within = within_working_set(evicted_from, value >> 1 & AGE_MASK, type);
	memcg_put(evicted_from);
	if (!within)
		return false;

	page_set(page, PG_workingset);
	count_event(quire, EVENT_WORKINGSET, 1);
	lruvec_age(&memcg->lruvec, 1);
	/* It was in use before as well: evicting it was a mistake. */
	if (value & 1)
		lruvec_note_cost(&memcg->lruvec, type, 1);
	return true;
}
