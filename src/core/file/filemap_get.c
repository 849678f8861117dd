/* SPDX-License-Identifier: MIT */
/*
 * Bringing pages of regular files into the cache: filemap_get_page() and its steps.
 */
#include "core/file/filemap.h"
#include "core/file/internal.h"
#include "core/file/page_io.h"
#include "core/file/readahead.h"
#include "core/file/shmem.h"
#include "core/instance/instance.h"

#include <errno.h>

int filemap_create_page(struct address_space *mapping, pgoff_t index, struct mem_cgroup *memcg,
			uint32_t gfp, struct page **result)
{
	struct quire *quire = mapping->host->quire;
	struct page *page = alloc_locked_page(quire, gfp);
	int error;

	if (!page)
		return -ENOMEM;
	error = filemap_add_page_gfp(page, mapping, index, memcg, gfp);
	if (error) {
		unlock_page(page);
		put_page(quire, page);
		return error;
	}
	*result = page;
	return 0;
}

/* Reads one page that nobody has read ahead. */
static int read_new_page(struct address_space *mapping, pgoff_t index,
			 const struct filemap_context *context)
{
	struct page *page;
	int error = filemap_create_page(mapping, index, context->memcg, GFP_RECLAIM, &page);

	if (error)
		return error == -EEXIST ? 0 : error;
	error = page_io_wait(mapping, QUIRE_READ, page, PAGE_SIZE);
	put_page(mapping->host->quire, page);
	return error;
}

/* Starts bringing in a page that is not cached; at the end somebody has added it, or there is an
 * error. */
static int filemap_fill(struct address_space *mapping, pgoff_t index,
			const struct filemap_context *context)
{
	int error = 0;

	if (context->major)
		*context->major = true;
	read_lock(&mapping->invalidate_lock);
	if (index >= i_size_pages(mapping->host)) {
		error = -EFAULT;
	} else {
		if (context->ra)
			page_cache_sync_readahead(mapping, index, context);
		if (!filemap_cached(mapping, index))
			error = read_new_page(mapping, index, context);
	}
	read_unlock(&mapping->invalidate_lock);
	return error;
}

/*
 * Waits for a page whose read is under way, and reads it once more when that failed: now somebody
 * needs it, and hears the error. 0: look at the page again.
 */
static int filemap_wait_uptodate(struct address_space *mapping, struct page *page,
				 const struct filemap_context *context)
{
	if (context->major)
		*context->major = true;
	if (!filemap_lock_page(mapping, page))
		return 0;
	if (!page_test(page, PG_uptodate))
		return page_io_wait(mapping, QUIRE_READ, page, PAGE_SIZE);
	unlock_page(page);
	return 0;
}

/* A page that is cached, made uptodate. False: it is gone again, or *error. */
static bool filemap_use_page(struct address_space *mapping, struct page *page,
			     const struct filemap_context *context, int *error)
{
	if (unlikely(page_test(page, PG_readahead)) && context->ra)
		page_cache_async_readahead(mapping, page, context);
	if (likely(page_test(page, PG_uptodate)))
		return true;
	*error = filemap_wait_uptodate(mapping, page, context);
	return !*error && page_test(page, PG_uptodate) && page_mapping(page) == mapping;
}

int filemap_get_page(struct address_space *mapping, pgoff_t index,
		     const struct filemap_context *context, struct page **result)
{
	bool missed = false;

	if (mapping_is_shmem(mapping))
		return shmem_get_page(mapping, index, context, SHMEM_CACHE, result);
	for (;;) {
		struct page *page;
		int error = 0;

		if (unlikely(index >= i_size_pages(mapping->host)))
			return -EFAULT;
		page = filemap_lookup(mapping, index);
		if (likely(page)) {
			if (context->mmap && !missed && context->ra)
				readahead_note_hit(context->ra);
			if (likely(filemap_use_page(mapping, page, context, &error))) {
				*result = page;
				return 0;
			}
			put_page(mapping->host->quire, page);
		} else {
			missed = true;
			error = filemap_fill(mapping, index, context);
		}
		if (unlikely(error))
			return error;
	}
}
