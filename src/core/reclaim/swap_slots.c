/* SPDX-License-Identifier: MIT */
/*
 * The slot map of a swap area: allocation by clusters, use counts, discarding.
 *
 * Each thread slot allocates from a cluster of its own, lowest free slot first, and takes a wholly
 * free cluster next; only when there is none it takes what others left. So pages that one thread
 * evicts one after the other lie side by side.
 */
#include "core/reclaim/swap_area.h"

#include "core/reclaim/memcg.h"

#include <errno.h>

#define CLUSTER_FULL UINT64_MAX

uint64_t cluster_unusable(const struct swap_area *area, uint64_t cluster)
{
	const uint64_t slots = area->nr_slots - cluster * SWAP_CLUSTER;

	return slots < SWAP_CLUSTER ? UINT64_MAX << slots : 0;
}

static void count_free(struct swap_area *area, int64_t slots)
{
	uint64_t free = atomic_load_explicit(&area->nr_free, memory_order_relaxed);

	atomic_store_explicit(&area->nr_free, free + (uint64_t)slots, memory_order_relaxed);
}

static bool cluster_is_discardable(const struct swap_area *area, uint64_t cluster)
{
	return area->discardable[cluster / 64] >> (cluster % 64) & 1;
}

static void set_discardable(struct swap_area *area, uint64_t cluster, bool discardable)
{
	if (cluster_is_discardable(area, cluster) == discardable)
		return;
	area->discardable[cluster / 64] ^= (uint64_t)1 << (cluster % 64);
	area->nr_discardable += discardable ? 1 : UINT64_MAX;
}

/* From next_cluster on, a cluster that is wholly free, or (`any`) has a free slot. */
static uint64_t find_cluster(struct swap_area *area, bool any)
{
	for (uint64_t i = 0; i < area->nr_clusters; i++) {
		uint64_t cluster = area->next_cluster + i;

		if (cluster >= area->nr_clusters)
			cluster -= area->nr_clusters;
		if (any ? area->used[cluster] != CLUSTER_FULL
			: area->used[cluster] == cluster_unusable(area, cluster) &&
				    area->used[cluster] != CLUSTER_FULL) {
			area->next_cluster = (cluster + 1) % area->nr_clusters;
			return cluster;
		}
	}
	return NO_CLUSTER;
}

/* Under S, and there is a free slot that is not being discarded; else NO_CLUSTER. */
static uint64_t current_cluster(struct swap_area *area)
{
	uint64_t *current = &area->current[quire_thread_slot()];

	if (*current == NO_CLUSTER || area->used[*current] == CLUSTER_FULL) {
		*current = find_cluster(area, false);
		if (*current == NO_CLUSTER)
			*current = find_cluster(area, true);
	}
	return *current;
}

static bool area_alloc_slot(struct swap_area *area, struct mem_cgroup *memcg, uint64_t *slot)
{
	uint64_t cluster = NO_CLUSTER;

	spin_lock(&area->lock);
	if (atomic_load_explicit(&area->nr_free, memory_order_relaxed))
		cluster = current_cluster(area);
	if (cluster != NO_CLUSTER) {
		uint32_t bit = (uint32_t)__builtin_ctzll(~area->used[cluster]);

		*slot = cluster * SWAP_CLUSTER + bit;
		area->used[cluster] |= (uint64_t)1 << bit;
		area->map[*slot] = SWAP_HAS_CACHE;
		area->owner[*slot] = memcg;
		set_discardable(area, cluster, false);
		count_free(area, -1);
	}
	spin_unlock(&area->lock);
	if (cluster == NO_CLUSTER)
		return false;
	memcg_charge_swap(memcg);
	return true;
}

bool swap_slot_alloc(struct quire *quire, struct mem_cgroup *memcg, swp_entry_t *entry)
{
	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		struct swap_area *area = swap_area_of_type(quire, type);
		uint64_t slot;

		if (!area)
			return false;
		if (area_alloc_slot(area, memcg, &slot)) {
			*entry = swp_entry(type, slot);
			return true;
		}
	}
	return false;
}

void swap_slot_release(struct swap_area *area, uint64_t slot)
{
	const uint64_t cluster = slot / SWAP_CLUSTER;
	struct mem_cgroup *owner;

	spin_lock(&area->cache_lock);
	xa_erase(&area->cache, slot);
	spin_unlock(&area->cache_lock);

	spin_lock(&area->lock);
	QUIRE_ASSERT(1, !area->map[slot]);
	owner = area->owner[slot];
	area->owner[slot] = NULL;
	area->used[cluster] &= ~((uint64_t)1 << (slot % SWAP_CLUSTER));
	if (area->used[cluster] == cluster_unusable(area, cluster) && area->can_discard)
		set_discardable(area, cluster, true);
	count_free(area, 1);
	spin_unlock(&area->lock);
	memcg_uncharge_swap(owner);
}

void swap_slot_uncache(struct swap_area *area, uint64_t slot)
{
	bool unused;

	spin_lock(&area->lock);
	QUIRE_ASSERT(1, area->map[slot] & SWAP_HAS_CACHE);
	area->map[slot] &= ~SWAP_HAS_CACHE;
	unused = !area->map[slot];
	spin_unlock(&area->lock);
	if (unused)
		swap_slot_release(area, slot);
}

bool swap_slot_claim_cache(struct swap_area *area, uint64_t slot)
{
	bool claimed;

	spin_lock(&area->lock);
	claimed = area->map[slot] && !(area->map[slot] & SWAP_HAS_CACHE);
	if (claimed)
		area->map[slot] |= SWAP_HAS_CACHE;
	spin_unlock(&area->lock);
	return claimed;
}

bool swap_slot_is_only_stored(struct swap_area *area, uint64_t slot)
{
	bool stored;

	spin_lock(&area->lock);
	stored = slot < area->nr_slots && area->map[slot] && !(area->map[slot] & SWAP_HAS_CACHE);
	spin_unlock(&area->lock);
	return stored;
}

void swap_duplicate(struct quire *quire, swp_entry_t entry)
{
	struct swap_area *area = swap_entry_area(quire, entry);

	spin_lock(&area->lock);
	QUIRE_ASSERT(1, area->map[swp_slot(entry)] &&
				(area->map[swp_slot(entry)] & SWAP_COUNT_MASK) < SWAP_COUNT_MASK);
	area->map[swp_slot(entry)]++;
	spin_unlock(&area->lock);
}

void swap_free(struct quire *quire, swp_entry_t entry)
{
	struct swap_area *area = swap_entry_area(quire, entry);
	const uint64_t slot = swp_slot(entry);
	struct page *page;
	uint32_t left;

	spin_lock(&area->lock);
	QUIRE_ASSERT(1, area->map[slot] & SWAP_COUNT_MASK);
	left = --area->map[slot];
	spin_unlock(&area->lock);
	if (!left) {
		swap_slot_release(area, slot);
	} else if (left == SWAP_HAS_CACHE) {
		page = swap_cache_get_page(quire, entry);
		if (!page)
			return;
		swap_cache_release(quire, page);
		put_page(quire, page);
	}
}

uint32_t swap_count(struct quire *quire, swp_entry_t entry)
{
	struct swap_area *area = swap_entry_area(quire, entry);
	uint32_t count;

	spin_lock(&area->lock);
	count = area->map[swp_slot(entry)] & SWAP_COUNT_MASK;
	spin_unlock(&area->lock);
	return count;
}

/* Takes a free cluster out of allocation while the store works on it. */
static uint64_t claim_discardable(struct swap_area *area)
{
	uint64_t cluster = NO_CLUSTER;

	spin_lock(&area->lock);
	for (uint64_t word = 0; area->nr_discardable && cluster == NO_CLUSTER; word++)
		if (area->discardable[word])
			cluster = word * 64 + (uint64_t)__builtin_ctzll(area->discardable[word]);
	if (cluster != NO_CLUSTER) {
		set_discardable(area, cluster, false);
		count_free(area, -(int64_t)__builtin_popcountll(~area->used[cluster]));
		area->used[cluster] = CLUSTER_FULL;
	}
	spin_unlock(&area->lock);
	return cluster;
}

static void return_cluster(struct swap_area *area, uint64_t cluster, int error)
{
	spin_lock(&area->lock);
	area->used[cluster] = cluster_unusable(area, cluster);
	count_free(area, __builtin_popcountll(~area->used[cluster]));
	/* It cannot: never ask again. */
	if (error == -EOPNOTSUPP)
		area->can_discard = false;
	spin_unlock(&area->lock);
}

static void area_discard_clusters(struct swap_area *area)
{
	struct quire_store *store = area->store;
	uint64_t cluster;

	/* Discarding is a favour to the store: an error changes nothing for us. */
	while ((cluster = claim_discardable(area)) != NO_CLUSTER) {
		uint64_t first = cluster * SWAP_CLUSTER;
		uint64_t slots = min_u64(SWAP_CLUSTER, area->nr_slots - first);

		return_cluster(
			area, cluster,
			store->ops->discard(store, first << PAGE_SHIFT, slots << PAGE_SHIFT));
	}
}

void swap_discard_clusters(struct quire *quire)
{
	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		struct swap_area *area = swap_area_of_type(quire, type);

		if (area)
			area_discard_clusters(area);
	}
}
