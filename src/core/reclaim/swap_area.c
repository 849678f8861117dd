/* SPDX-License-Identifier: MIT */
/*
 * Swap areas: adding them, their end, and what they hold in sum.
 */
#include "core/reclaim/swap_area.h"

#include "base/alloc.h"

#include <errno.h>

/* A slot number must fit into a page-table entry and into an xarray value with the type. */
#define MAX_SLOTS ((uint64_t)1 << 48)

static void area_free(struct swap_area *area)
{
	quire_free(area->map);
	quire_free(area->owner);
	quire_free(area->used);
	quire_free(area->discardable);
	quire_free(area);
}

static void area_init(struct swap_area *area, struct quire *quire, struct quire_store *store)
{
	area->quire = quire;
	area->store = store;
	area->can_discard = store->ops->discard;
	atomic_store_explicit(&area->nr_free, area->nr_slots, memory_order_relaxed);
	spin_lock_init(&area->lock, LOCK_SWAP);
	spin_lock_init(&area->cache_lock, LOCK_I_PAGES);
	xa_init(&area->cache);
	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		area->current[slot] = NO_CLUSTER;
	area->used[area->nr_clusters - 1] = cluster_unusable(area, area->nr_clusters - 1);
}

static struct swap_area *area_alloc(struct quire *quire, struct quire_store *store, uint64_t pages)
{
	struct swap_area *area = quire_zalloc(sizeof(*area));

	if (!area)
		return NULL;
	area->nr_slots = pages;
	area->nr_clusters = (pages + SWAP_CLUSTER - 1) / SWAP_CLUSTER;
	area->map = quire_zalloc(pages * sizeof(*area->map));
	area->owner = quire_zalloc(pages * sizeof(*area->owner));
	area->used = quire_zalloc(area->nr_clusters * sizeof(*area->used));
	area->discardable = quire_zalloc((area->nr_clusters + 63) / 64 * sizeof(uint64_t));
	if (!area->map || !area->owner || !area->used || !area->discardable) {
		area_free(area);
		return NULL;
	}
	area_init(area, quire, store);
	return area;
}

/* Areas are tried in the order of their numbers, so the one added first has priority. */
static int area_publish(struct quire *quire, struct swap_area *area)
{
	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		struct swap_area *none = NULL;

		area->type = type;
		if (atomic_compare_exchange_strong_explicit(&quire->swap[type], &none, area,
							    memory_order_acq_rel,
							    memory_order_acquire))
			return 0;
	}
	return -ENOSPC;
}

int swap_area_add(struct quire *quire, struct quire_store *store, uint64_t pages)
{
	const int64_t size = store->ops->size(store);
	struct swap_area *area;
	int error;

	if (size < 0)
		return (int)size;
	if (!pages || pages > MAX_SLOTS || pages > (uint64_t)size >> PAGE_SHIFT || !store->writable)
		return -EINVAL;
	area = area_alloc(quire, store, pages);
	if (!area)
		return -ENOMEM;
	error = area_publish(quire, area);
	if (error)
		area_free(area);
	return error;
}

void swap_areas_destroy(struct quire *quire)
{
	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		struct swap_area *area = swap_area_of_type(quire, type);

		if (!area)
			continue;
		area->store->ops->close(area->store);
		QUIRE_ASSERT(1, atomic_load_explicit(&area->nr_free, memory_order_relaxed) ==
					area->nr_slots);
		xa_destroy(&area->cache);
		area_free(area);
		atomic_store_explicit(&quire->swap[type], NULL, memory_order_release);
	}
}

uint64_t swap_total(const struct quire *quire)
{
	uint64_t slots = 0;

	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		const struct swap_area *area = swap_area_of_type(quire, type);

		if (area)
			slots += area->nr_slots;
	}
	return slots;
}

uint64_t swap_free_slots(const struct quire *quire)
{
	uint64_t slots = 0;

	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		const struct swap_area *area = swap_area_of_type(quire, type);

		if (area)
			slots += atomic_load_explicit(&area->nr_free, memory_order_relaxed);
	}
	return slots;
}

uint64_t swap_cached_pages(const struct quire *quire)
{
	uint64_t pages = 0;

	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		const struct swap_area *area = swap_area_of_type(quire, type);

		if (area)
			pages += atomic_load_explicit(&area->nr_cached, memory_order_relaxed);
	}
	return pages;
}
