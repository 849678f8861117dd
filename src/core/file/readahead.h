/* SPDX-License-Identifier: MIT */
/*
 * Readahead: which pages to read beside the one that is needed, from what an open file was asked
 * for until now.
 *
 * File calls read in order: a window grows from request to request up to params.readahead, and its
 * page marked PG_readahead starts the next window while the rest of it is still to be used. Faults
 * read a window around the address, until too many of them missed. Who advised random access gets
 * only what he asks for; sequential advice makes faults read as file calls do, in windows of full
 * size. The scheme: mm/readahead.c and mm/filemap.c of Linux.
 */
#ifndef QUIRE_CORE_FILE_READAHEAD_H
#define QUIRE_CORE_FILE_READAHEAD_H

#include "core/file/filemap.h"

/* Misses of faults, less hits, beyond which reading around them is given up. */
#define MMAP_LOTSAMISS 100

/*
 * The page at `index` is not cached: starts reading it together with what may follow. Errors only
 * leave pages missing or not uptodate. invalidate_lock held for reading, context->ra set.
 */
void page_cache_sync_readahead(struct address_space *mapping, pgoff_t index,
			       const struct filemap_context *context);
/* A page marked PG_readahead was reached: starts the next window. invalidate_lock not held. */
void page_cache_async_readahead(struct address_space *mapping, struct page *page,
				const struct filemap_context *context);

/* A fault found its page cached. */
static inline void readahead_note_hit(struct file_ra_state *ra)
{
	uint32_t misses = atomic_load_explicit(&ra->mmap_miss, memory_order_relaxed);

	if (misses)
		atomic_store_explicit(&ra->mmap_miss, misses - 1, memory_order_relaxed);
}

#endif
