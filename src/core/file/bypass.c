/* SPDX-License-Identifier: MIT */
/*
 * How the cache follows a store that is changed past it (core/file/bypass.h).
 */
#include "core/file/bypass.h"

#include "base/contents.h"
#include "core/file/internal.h"
#include "core/file/writeback.h"
#include "core/instance/instance.h"
#include "core/rmap/rmap.h"

#include <errno.h>

/* Looks at a page that is pinned, or that a program keeps dirtying, before it is left alone. */
#define DROP_ATTEMPTS 1000

void bypass_begin(struct inode *inode)
{
	mutex_lock(&inode->i_rwsem);
	write_lock(&inode->i_data.invalidate_lock);
}

void bypass_end(struct inode *inode)
{
	write_unlock(&inode->i_data.invalidate_lock);
	mutex_unlock(&inode->i_rwsem);
}

/* Under X. */
static bool newer_than_store(const struct address_space *mapping, uint64_t index)
{
	return xa_get_mark(&mapping->i_pages, index, XA_MARK_DIRTY) ||
	       xa_get_mark(&mapping->i_pages, index, XA_MARK_WRITEBACK);
}

bool bypass_newer_than_store(struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	bool newer;

	/* A page on its way from one mark to the other has both for a moment, under the lock. */
	spin_lock(&mapping->i_pages_lock);
	newer = xa_marked(&mapping->i_pages, XA_MARK_DIRTY) ||
		xa_marked(&mapping->i_pages, XA_MARK_WRITEBACK);
	spin_unlock(&mapping->i_pages_lock);
	return newer;
}

static pgoff_t range_first(const struct bypass_range *range)
{
	return range->offset >> PAGE_SHIFT;
}

static pgoff_t range_last(const struct bypass_range *range)
{
	return (range->offset + range->bytes - 1) >> PAGE_SHIFT;
}

/* Collects the pages of the range, or only those that may be newer than the store, each with a
 * reference. */
static void collect_pages(struct bypass_range *range, bool only_newer)
{
	struct address_space *mapping = &range->inode->i_data;
	uint64_t index;
	void *entry;

	range->nr_pages = 0;
	spin_lock(&mapping->i_pages_lock);
	xa_for_each_range (&mapping->i_pages, index, entry, range_first(range), range_last(range)) {
		if (xa_is_value(entry) || (only_newer && !newer_than_store(mapping, index)))
			continue;
		QUIRE_ASSERT(1, range->nr_pages < BYPASS_PAGES);
		get_page(entry);
		range->pages[range->nr_pages++] = entry;
	}
	spin_unlock(&mapping->i_pages_lock);
}

/* In the order of the file, as the order among page locks demands. */
void bypass_write_begin(struct bypass_range *range)
{
	struct inode *inode = range->inode;
	struct address_space *mapping = &inode->i_data;
	uint32_t locked = 0;

	range->nr_pages = 0;
	if (!range->bytes)
		return;
	/* Bytes behind the end are about to be in the file: as zeroes, whatever was stored there
	 * through a mapping. */
	if (range->offset + range->bytes > i_size_read(inode))
		zero_cached_tail(mapping, i_size_read(inode));
	collect_pages(range, false);
	for (uint32_t i = 0; i < range->nr_pages; i++) {
		struct page *page = range->pages[i];

		if (!filemap_lock_page(mapping, page)) {
			put_page(inode->quire, page);
			continue;
		}
		/* Several are held at a time, which is not what the rank checks are for. */
		disown_page_lock(page);
		range->pages[locked++] = page;
	}
	range->nr_pages = locked;
	for (uint32_t i = 0; i < locked; i++)
		wait_on_page_writeback(range->pages[i]);
}

/* The bytes [start, end) of the file that the page has. */
static void update_page(const struct bypass_range *range, struct page *page, const void *data,
			uint64_t done)
{
	const uint64_t page_start = page->index << PAGE_SHIFT;
	const uint64_t start = max_u64(range->offset, page_start);
	const uint64_t end = min_u64(range->offset + done, page_start + PAGE_SIZE);
	char *memory = page_address(&range->inode->quire->zone, page);

	if (start >= end)
		return;
	memory += start - page_start;
	if (data)
		contents_copy(memory, (const char *)data + (start - range->offset), end - start);
	else
		contents_fill(memory, 0, end - start);
}

void bypass_write_end(struct bypass_range *range, const void *data, uint64_t done)
{
	struct inode *inode = range->inode;

	if (done)
		for (uint32_t i = 0; i < range->nr_pages; i++)
			if (page_test(range->pages[i], PG_uptodate))
				update_page(range, range->pages[i], data, done);
	/* While the last page is locked: writeback looks at both. */
	if (done && range->offset + done > i_size_read(inode))
		i_size_write(inode, range->offset + done);
	for (uint32_t i = 0; i < range->nr_pages; i++) {
		unlock_page_disowned(range->pages[i]);
		put_page(inode->quire, range->pages[i]);
	}
	range->nr_pages = 0;
}

uint64_t bypass_truncate_begin(struct inode *inode, uint64_t size)
{
	const uint64_t previous = i_size_read(inode);

	if (size < previous) {
		i_size_write(inode, size);
		settle_writeback(&inode->i_data, size >> PAGE_SHIFT);
	}
	return previous;
}

void bypass_truncate_end(struct inode *inode, uint64_t previous, uint64_t size)
{
	struct address_space *mapping = &inode->i_data;

	if (size > previous)
		zero_cached_tail(mapping, previous);
	i_size_write(inode, size);
	if (size < previous) {
		drop_beyond(mapping, size);
		zero_cached_tail(mapping, size);
	}
}

void bypass_size_changed(struct inode *inode)
{
	struct quire_store *store = inode_store(inode);
	const int64_t now = store->ops->size(store);
	const uint64_t previous = i_size_read(inode);
	const uint64_t size = (uint64_t)now;

	if (now < 0 || size == previous)
		return;
	if (size < previous) {
		bypass_truncate_end(inode, bypass_truncate_begin(inode, size), size);
		return;
	}
	/* What somebody else wrote behind the old end may lie in the last page. One that cannot be
	 * dropped is newer than the store anyway. */
	if (PAGE_OFFSET(previous))
		(void)!bypass_drop(inode, previous >> PAGE_SHIFT, previous >> PAGE_SHIFT);
	i_size_write(inode, size);
}

/* Out of the cache, unless it is dirty or somebody moves data to or from it. */
static bool drop_page(struct address_space *mapping, struct page *page)
{
	bool dropped = true;

	if (!filemap_lock_page(mapping, page))
		return true;
	wait_on_page_writeback(page);
	if (page_mapped(page))
		unmap_mapping_pages(mapping, page->index, page->index, false);
	dropped = !page_mapped(page) && !page_test(page, PG_dirty) && !page_maybe_pinned(page);
	if (dropped)
		filemap_remove_page(page, NULL);
	unlock_page(page);
	return dropped;
}

/* Whether all pages of the range are gone. */
static bool drop_pages(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	struct page *pages[PAGEVEC_SIZE];
	bool all = true;
	uint32_t count;

	while ((count = filemap_get_batch(mapping, &first, last, XA_PRESENT, pages))) {
		for (uint32_t i = 0; i < count; i++) {
			all &= drop_page(mapping, pages[i]);
			put_page(mapping->host->quire, pages[i]);
		}
	}
	return all;
}

int bypass_drop(struct inode *inode, pgoff_t first, pgoff_t last)
{
	const uint64_t last_byte =
		last >= UINT64_MAX >> PAGE_SHIFT ? UINT64_MAX : ((last + 1) << PAGE_SHIFT) - 1;
	uint32_t attempts = 0;

	for (;;) {
		struct writeback_control control = {
			.start = first << PAGE_SHIFT,
			.end = last_byte,
			.nr_to_write = UINT64_MAX,
			.sync = true,
		};
		int error = writeback_mapping(&inode->i_data, &control);

		if (drop_pages(&inode->i_data, first, last))
			return 0;
		if (error)
			return error;
		if (++attempts == DROP_ATTEMPTS)
			return -EBUSY;
		quire_relax(attempts);
	}
}

void bypass_drop_clean(struct inode *inode)
{
	(void)drop_pages(&inode->i_data, 0, UINT64_MAX);
}

uint32_t bypass_evict_idle(struct quire *quire, bool (*wanted)(struct inode *inode, void *context),
			   void *context)
{
	struct inode *inode = NULL;
	uint64_t last = atomic_load_explicit(&quire->next_id, memory_order_relaxed);
	uint32_t evicted = 0;

	while ((inode = inode_next_idle(quire, inode, last))) {
		if (wanted(inode, context))
			continue;
		bypass_begin(inode);
		if (!bypass_drop(inode, 0, UINT64_MAX))
			evicted++;
		bypass_end(inode);
	}
	return evicted;
}

bool bypass_read_begin(struct bypass_range *range)
{
	range->nr_pages = 0;
	if (range->bytes && bypass_newer_than_store(range->inode))
		collect_pages(range, true);
	return range->nr_pages;
}

void bypass_read_end(struct bypass_range *range, void *data, uint64_t done)
{
	struct quire *quire = range->inode->quire;

	for (uint32_t i = 0; i < range->nr_pages; i++) {
		struct page *page = range->pages[i];
		const uint64_t page_start = page->index << PAGE_SHIFT;
		const uint64_t start = max_u64(range->offset, page_start);
		const uint64_t end = min_u64(range->offset + done, page_start + PAGE_SIZE);

		if (start < end)
			contents_copy((char *)data + (start - range->offset),
				      (char *)page_address(&quire->zone, page) +
					      (start - page_start),
				      end - start);
		put_page(quire, page);
	}
	range->nr_pages = 0;
}
