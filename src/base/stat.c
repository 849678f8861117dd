/* SPDX-License-Identifier: MIT */
/*
 * Event counters (base/stat.h): set-up and summing.
 */
#include "base/stat.h"

#include "base/alloc.h"

#include <errno.h>

#define CACHE_LINE 64
#define COUNTERS_PER_LINE (CACHE_LINE / sizeof(uint64_t))

int stat_init(struct stat_counters *counters, uint32_t items)
{
	uint32_t lines = (uint32_t)((items + COUNTERS_PER_LINE - 1) / COUNTERS_PER_LINE);

	counters->items = items;
	counters->stride = (uint32_t)(lines * COUNTERS_PER_LINE);
	counters->slots =
		quire_zalloc_aligned(CACHE_LINE, (size_t)QUIRE_THREAD_SLOTS * lines * CACHE_LINE);
	return counters->slots ? 0 : -ENOMEM;
}

void stat_destroy(struct stat_counters *counters)
{
	quire_free(counters->slots);
	counters->slots = NULL;
}

uint64_t stat_read(const struct stat_counters *counters, uint32_t item)
{
	uint64_t sum = 0;

	QUIRE_ASSERT(1, item < counters->items);
	for (size_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		sum += atomic_load_explicit(&counters->slots[slot * counters->stride + item],
					    memory_order_relaxed);
	return sum;
}

void stat_reset(struct stat_counters *counters)
{
	for (size_t i = 0; i < (size_t)QUIRE_THREAD_SLOTS * counters->stride; i++)
		atomic_store_explicit(&counters->slots[i], 0, memory_order_relaxed);
}
