/* SPDX-License-Identifier: MIT */
/*
 * Readahead windows (core/file/readahead.h) and starting their reads.
 */
#include "core/file/readahead.h"

#include "core/file/internal.h"
#include "core/file/page_io.h"
#include "core/file/shmem.h"
#include "core/instance/instance.h"
#include "core/vma/mm.h"

#include <errno.h>

/* A piece of the file to read: `async_size` pages before its end stands the page that starts the
 * next one. */
struct ra_window {
	pgoff_t start;
	uint64_t size;
	uint64_t async_size;
};

static uint64_t ra_load(const _Atomic uint32_t *field)
{
	return atomic_load_explicit(field, memory_order_relaxed);
}

static void ra_remember(struct file_ra_state *ra, const struct ra_window *window)
{
	atomic_store_explicit(&ra->start, window->start, memory_order_relaxed);
	atomic_store_explicit(&ra->size, (uint32_t)window->size, memory_order_relaxed);
	atomic_store_explicit(&ra->async_size, (uint32_t)window->async_size, memory_order_relaxed);
}

static uint64_t ra_max_pages(const struct address_space *mapping)
{
	return mapping->host->quire->params.readahead >> PAGE_SHIFT;
}

/*
 * Adds the pages of the window that are missing and starts their reads, one request for each run of
 * them. Ends early when memory runs out: nobody has asked for these pages yet.
 */
static void read_window(struct address_space *mapping, const struct ra_window *window,
			const struct filemap_context *context, uint64_t wanted)
{
	struct quire *quire = mapping->host->quire;
	const uint64_t end = min_u64(window->start + window->size, i_size_pages(mapping->host));
	const uint64_t mark = window->start + window->size - window->async_size;
	struct page_io_batch batch = {
		.mapping = mapping,
		.direction = QUIRE_READ,
		.limit = (uint32_t)min_u64(window->size, PAGE_IO_MAX),
	};
	uint64_t read = 0;

	for (pgoff_t index = window->start; index < end; index++) {
		struct page *page;
		int error;

		if (filemap_cached(mapping, index))
			continue;
		error = filemap_create_page(mapping, index, context->memcg,
					    GFP_RECLAIM | GFP_QUIET_RETRY, &page);
		if (error == -EEXIST)
			continue;
		if (error)
			break;
		if (window->async_size && index == mark)
			page_set(page, PG_readahead);
		page_io_batch_add(&batch, page, PAGE_SIZE);
		put_page(quire, page);
		read++;
	}
	page_io_batch_submit(&batch);
	if (read > wanted)
		count_event(quire, EVENT_READAHEAD, (int64_t)(read - wanted));
}

static uint64_t roundup_pow2(uint64_t n)
{
	uint64_t power = 1;

	while (power < n)
		power <<= 1;
	return power;
}

static uint64_t initial_window(uint64_t wanted, uint64_t max)
{
	uint64_t size = roundup_pow2(wanted);

	if (size <= max / 32)
		return size * 4;
	if (size <= max / 4)
		return size * 2;
	return max;
}

static uint64_t next_window(uint64_t size, uint64_t max)
{
	if (size < max / 16)
		return size * 4;
	if (size <= max / 2)
		return size * 2;
	return max;
}

static void start_stream(struct ra_window *window, pgoff_t index, uint64_t wanted, uint64_t max)
{
	window->start = index;
	window->size = initial_window(wanted, max);
	window->async_size = window->size > wanted ? window->size - wanted : window->size;
}

/* Chooses the window of a file call that misses. False: random access, read what is wanted only. */
static bool choose_sync_window(const struct file_ra_state *ra, pgoff_t index, uint64_t wanted,
			       uint64_t max, struct ra_window *window)
{
	const pgoff_t start = atomic_load_explicit(&ra->start, memory_order_relaxed);
	const uint64_t size = ra_load(&ra->size);
	const pgoff_t previous = atomic_load_explicit(&ra->prev_index, memory_order_relaxed);

	if (size && index == start + size) {
		window->start = index;
		window->size = max_u64(next_window(size, max), min_u64(wanted, max));
		window->async_size = window->size;
		return true;
	}
	/* The beginning of the file, a large request, or the page after the last one read. */
	if (!index || wanted > max || index - previous <= 1) {
		start_stream(window, index, min_u64(wanted, max), max);
		return true;
	}
	return false;
}

/* A window around a fault, as neighbours of what was touched are likely to be touched next. */
static bool choose_mmap_window(struct file_ra_state *ra, pgoff_t index, uint64_t max,
			       struct ra_window *window)
{
	const uint64_t misses = ra_load(&ra->mmap_miss);

	if (misses < MMAP_LOTSAMISS * 10)
		atomic_store_explicit(&ra->mmap_miss, (uint32_t)misses + 1, memory_order_relaxed);
	if (misses > MMAP_LOTSAMISS)
		return false;
	window->start = index > max / 2 ? index - max / 2 : 0;
	window->size = max;
	window->async_size = max / 4;
	return true;
}

void page_cache_sync_readahead(struct address_space *mapping, pgoff_t index,
			       const struct filemap_context *context)
{
	const uint64_t max = ra_max_pages(mapping);
	const uint64_t wanted = max_u64(context->pages, 1);
	struct file_ra_state *ra = context->ra;
	struct ra_window window = {.start = index, .size = wanted};
	bool chosen = false;

	if (max <= 1 || (context->vm_flags & VM_RAND_READ)) {
		/* What a call wants is read together all the same. */
	} else if (context->vm_flags & VM_SEQ_READ) {
		window = (struct ra_window){index, max, max / 2};
		chosen = true;
	} else if (context->mmap) {
		chosen = choose_mmap_window(ra, index, max, &window);
	} else {
		chosen = choose_sync_window(ra, index, wanted, max, &window);
	}
	if (chosen)
		ra_remember(ra, &window);
	else
		window.size = min_u64(wanted, PAGE_IO_MAX);
	read_window(mapping, &window, context, min_u64(wanted, window.size));
}

/* The first page after `index` that is not cached, at most `max` further. */
static pgoff_t next_miss(struct address_space *mapping, pgoff_t index, uint64_t max)
{
	pgoff_t end = index + max;

	while (++index < end && filemap_cached(mapping, index))
		;
	return index;
}

void page_cache_async_readahead(struct address_space *mapping, struct page *page,
				const struct filemap_context *context)
{
	const uint64_t max = ra_max_pages(mapping);
	struct file_ra_state *ra = context->ra;
	const pgoff_t start = atomic_load_explicit(&ra->start, memory_order_relaxed);
	const uint64_t size = ra_load(&ra->size);
	const pgoff_t index = page->index;
	struct ra_window window;

	if (max <= 1 || (context->vm_flags & VM_RAND_READ) ||
	    !page_test_and_clear(page, PG_readahead))
		return;
	read_lock(&mapping->invalidate_lock);
	if (size && index == start + size - ra_load(&ra->async_size)) {
		window.start = start + size;
		window.size = next_window(size, max);
	} else {
		/* Somebody else's mark, or several streams on one file: go on from what is there.
		 */
		window.start = next_miss(mapping, index, max);
		window.size = next_window(max_u64(window.start - index, 1), max);
	}
	window.async_size = window.size;
	ra_remember(ra, &window);
	read_window(mapping, &window, context, 0);
	read_unlock(&mapping->invalidate_lock);
}

void force_page_cache_readahead(struct address_space *mapping, pgoff_t index, uint64_t pages,
				const struct filemap_context *context)
{
	if (mapping_is_shmem(mapping))
		shmem_readahead(mapping, index, pages, context->memcg);
	if (mapping->host->kind != INODE_REGULAR)
		return;
	read_lock(&mapping->invalidate_lock);

	const uint64_t end = i_size_pages(mapping->host);
	uint64_t left = index < end ? min_u64(pages, end - index) : 0;

	while (left) {
		const struct ra_window window = {.start = index,
						 .size = min_u64(left, PAGE_IO_MAX)};

		read_window(mapping, &window, context, 0);
		index += window.size;
		left -= window.size;
	}
	read_unlock(&mapping->invalidate_lock);
}
