/* SPDX-License-Identifier: MIT */
/*
 * The C library's allocator with a count of live allocations and injected failures (base/alloc.h).
 *
 * The count is kept per thread slot, so that threads do not share a cache line; one slot alone may
 * be negative.
 */
#include "base/alloc.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/park.h"

#include <stdlib.h>
#include <string.h>

static struct {
	_Atomic int64_t count;
} QUIRE_CACHE_ALIGNED live[QUIRE_THREAD_SLOTS];

static void *count_allocation(void *memory)
{
	if (memory)
		atomic_fetch_add_explicit(&live[quire_thread_slot()].count, 1,
					  memory_order_relaxed);
	return memory;
}

void *quire_zalloc(size_t size)
{
	if (quire_should_fail(FAIL_ALLOC))
		return NULL;
	return count_allocation(calloc(1, size ? size : 1));
}

void *quire_zalloc_aligned(size_t align, size_t size)
{
	QUIRE_ASSERT(1, align && !(align & (align - 1)));
	if (size > SIZE_MAX - align || quire_should_fail(FAIL_ALLOC))
		return NULL;

	size_t rounded = (size + align - 1) & ~(align - 1);
	void *memory = aligned_alloc(align, rounded ? rounded : align);

	if (memory)
		memset(memory, 0, size);
	return count_allocation(memory);
}

char *quire_strdup(const char *string)
{
	size_t size = strlen(string) + 1;
	char *copy = quire_zalloc(size);

	if (copy)
		memcpy(copy, string, size);
	return copy;
}

void quire_free(void *memory)
{
	if (!memory)
		return;
	atomic_fetch_sub_explicit(&live[quire_thread_slot()].count, 1, memory_order_relaxed);
	free(memory);
}

uint64_t quire_alloc_live(void)
{
	int64_t sum = 0;

	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		sum += atomic_load_explicit(&live[slot].count, memory_order_relaxed);
	return (uint64_t)sum;
}
