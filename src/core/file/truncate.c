/* SPDX-License-Identifier: MIT */
/*
 * Taking pages out of a file: dropping ranges of the cache, and ftruncate(2).
 *
 * A file gets shorter in this order, so that neither writeback nor a fault brings back what is cut
 * off, and so that nothing is lost when the store refuses:
 *   1. invalidate_lock for writing: no page is added any more (writers are kept out by i_rwsem);
 *   2. i_size: writeback writes nothing beyond it, and who maps a page looks at it under the page's
 *      lock;
 *   3. each page beyond it is locked once and its writeback waited for: no write of it comes later;
 *   4. the store is cut; if it refuses, i_size returns and nothing has changed;
 *   5. mappings are undone, private copies too, and the pages dropped; mappings once more, for
 *      copies that were made of pages found before.
 */
#include "base/contents.h"
#include "core/file/filemap.h"
#include "core/file/internal.h"
#include "core/file/shmem.h"
#include "core/instance/instance.h"
#include "core/rmap/rmap.h"

#include <errno.h>

/* Everything in one stretch of i_pages: pages with a reference each, swap entries taken out. */
struct truncate_batch {
	uint32_t nr_pages, nr_swap;
	struct page *pages[PAGEVEC_SIZE];
	swp_entry_t swap[PAGEVEC_SIZE];
};

/* False: nothing is left in the range. */
static bool collect_entries(struct address_space *mapping, pgoff_t first, pgoff_t last,
			    struct truncate_batch *batch)
{
	uint32_t found = 0;
	uint64_t index;
	void *entry;

	batch->nr_pages = batch->nr_swap = 0;
	spin_lock(&mapping->i_pages_lock);
	xa_for_each_range (&mapping->i_pages, index, entry, first, last) {
		if (!xa_is_value(entry)) {
			get_page(entry);
			batch->pages[batch->nr_pages++] = entry;
		} else {
			xa_erase(&mapping->i_pages, index);
			if (mapping_is_shmem(mapping))
				batch->swap[batch->nr_swap++] = xa_to_swp_entry(entry);
			else
				shadow_uncount(mapping);
		}
		if (++found == PAGEVEC_SIZE)
			break;
	}
	spin_unlock(&mapping->i_pages_lock);
	return found;
}

/* Drops one page. A fault may have mapped it since the range was unmapped, and fork may copy an
 * entry to where we have looked already. */
static void truncate_page(struct address_space *mapping, struct page *page)
{
	struct quire *quire = mapping->host->quire;

	if (filemap_lock_page(mapping, page)) {
		while (page_mapped(page))
			unmap_mapping_pages(mapping, page->index, page->index, false);
		wait_on_page_writeback(page);
		if (page_test(page, PG_swapcache))
			delete_from_swap_cache(quire, page);
		filemap_remove_page(page, NULL);
		unlock_page(page);
		if (mapping_is_shmem(mapping))
			shmem_account_freed(mapping->host, 1);
	}
	put_page(quire, page);
}

void truncate_inode_pages(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	struct truncate_batch batch;

	/* From the start each time: reclaim may put a swap entry or shadow where a page was. */
	while (first <= last && collect_entries(mapping, first, last, &batch)) {
		for (uint32_t i = 0; i < batch.nr_pages; i++)
			truncate_page(mapping, batch.pages[i]);
		for (uint32_t i = 0; i < batch.nr_swap; i++)
			swap_free(mapping->host->quire, batch.swap[i]);
		shmem_account_freed(mapping->host, batch.nr_swap);
	}
}

/* The page lock keeps others from mapping it, or making it dirty, meanwhile. */
static bool invalidate_page(struct address_space *mapping, struct page *page)
{
	bool dropped;

	if (!trylock_page(page))
		return false;
	dropped = page_mapping(page) == mapping && !page_mapped(page) &&
		  !page_test(page, PG_dirty) && !page_test(page, PG_writeback) &&
		  !page_maybe_pinned(page);
	if (dropped)
		filemap_remove_page(page, NULL);
	unlock_page(page);
	return dropped;
}

uint64_t invalidate_mapping_pages(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	struct page *pages[PAGEVEC_SIZE];
	uint64_t dropped = 0;
	uint32_t count;

	while ((count = filemap_get_batch(mapping, &first, last, XA_PRESENT, pages))) {
		for (uint32_t i = 0; i < count; i++) {
			dropped += invalidate_page(mapping, pages[i]);
			put_page(mapping->host->quire, pages[i]);
		}
	}
	return dropped;
}

void settle_writeback(struct address_space *mapping, pgoff_t first)
{
	struct page *pages[PAGEVEC_SIZE];
	uint32_t count;

	while ((count = filemap_get_batch(mapping, &first, UINT64_MAX, XA_PRESENT, pages))) {
		for (uint32_t i = 0; i < count; i++) {
			if (filemap_lock_page(mapping, pages[i])) {
				wait_on_page_writeback(pages[i]);
				unlock_page(pages[i]);
			}
			put_page(mapping->host->quire, pages[i]);
		}
	}
}

static void zero_bytes(struct quire *quire, struct page *page, uint64_t from, uint64_t to)
{
	wait_on_page_writeback(page);
	contents_fill((char *)page_address(&quire->zone, page) + from, 0, to - from);
}

/* What is cached only shows what the store holds, so the page does not become dirty. */
void zero_cached_tail(struct address_space *mapping, uint64_t size)
{
	struct quire *quire = mapping->host->quire;
	struct page *page;

	if (!PAGE_OFFSET(size))
		return;
	page = filemap_lookup(mapping, size >> PAGE_SHIFT);
	if (!page)
		return;
	if (filemap_lock_page(mapping, page)) {
		if (page_test(page, PG_uptodate))
			zero_bytes(quire, page, PAGE_OFFSET(size), PAGE_SIZE);
		unlock_page(page);
	}
	put_page(quire, page);
}

int zero_page_range(struct address_space *mapping, uint64_t from, uint64_t to)
{
	struct quire *quire = mapping->host->quire;
	const struct filemap_context context = {.memcg = NULL};
	const pgoff_t index = from >> PAGE_SHIFT;
	bool done = false;

	while (!done) {
		struct page *page;
		int error = mapping_is_shmem(mapping)
				    ? shmem_get_page(mapping, index, &context, SHMEM_FIND, &page)
				    : filemap_get_page(mapping, index, &context, &page);

		if (error)
			return error == -ENOENT || error == -EFAULT ? 0 : error;
		if (filemap_lock_page(mapping, page)) {
			zero_bytes(quire, page, PAGE_OFFSET(from), to - (index << PAGE_SHIFT));
			set_page_dirty(page);
			unlock_page(page);
			done = true;
		}
		put_page(quire, page);
	}
	return 0;
}

int inode_extend(struct inode *inode, uint64_t size)
{
	const uint64_t old_size = i_size_read(inode);
	struct quire_store *store = inode_store(inode);
	int error = store->writable ? store->ops->resize(store, size) : -EBADF;

	if (error)
		return error;
	zero_cached_tail(&inode->i_data, old_size);
	i_size_write(inode, size);
	return 0;
}

void drop_beyond(struct address_space *mapping, uint64_t size)
{
	const pgoff_t first = (size >> PAGE_SHIFT) + (PAGE_OFFSET(size) ? 1 : 0);

	unmap_mapping_pages(mapping, first, UINT64_MAX, true);
	truncate_inode_pages(mapping, first, UINT64_MAX);
	unmap_mapping_pages(mapping, first, UINT64_MAX, true);
}

static int shrink_regular(struct inode *inode, uint64_t size)
{
	struct address_space *mapping = &inode->i_data;
	struct quire_store *store = inode_store(inode);
	const uint64_t old_size = i_size_read(inode);
	int error;

	write_lock(&mapping->invalidate_lock);
	i_size_write(inode, size);
	settle_writeback(mapping, size >> PAGE_SHIFT);
	error = store->writable ? store->ops->resize(store, size) : -EBADF;
	if (error) {
		i_size_write(inode, old_size);
	} else {
		drop_beyond(mapping, size);
		zero_cached_tail(mapping, size);
	}
	write_unlock(&mapping->invalidate_lock);
	return error;
}

static int truncate_shmem(struct inode *inode, uint64_t size)
{
	struct address_space *mapping = &inode->i_data;
	const uint64_t old_size = i_size_read(inode);
	const uint32_t seals = atomic_load_explicit(&inode->seals, memory_order_relaxed);
	int error;

	if ((size < old_size && (seals & QUIRE_SEAL_SHRINK)) ||
	    (size > old_size && (seals & QUIRE_SEAL_GROW)))
		return -EPERM;
	if (size >= old_size) {
		error = shmem_account_size(inode, old_size, size);
		if (!error)
			i_size_write(inode, size);
		return error;
	}
	if (PAGE_OFFSET(size)) {
		error = zero_page_range(mapping, size, PAGE_ALIGN(size));
		if (error)
			return error;
	}
	write_lock(&mapping->invalidate_lock);
	i_size_write(inode, size);
	drop_beyond(mapping, size);
	write_unlock(&mapping->invalidate_lock);
	return shmem_account_size(inode, old_size, size);
}

static int truncate_inode(struct inode *inode, uint64_t size)
{
	const uint64_t old_size = i_size_read(inode);

	if (inode->kind == INODE_SHMEM)
		return truncate_shmem(inode, size);
	if (size > old_size)
		return inode_extend(inode, size);
	if (size < old_size)
		return shrink_regular(inode, size);
	return 0;
}

int file_truncate(struct file *file, uint64_t size)
{
	struct inode *inode = file->f_inode;
	int error;

	if (!(file->f_mode & FMODE_WRITE) || inode->kind == INODE_ZERO || size > MAX_LFS_FILESIZE)
		return -EINVAL;
	mutex_lock(&inode->i_rwsem);
	error = truncate_inode(inode, size);
	mutex_unlock(&inode->i_rwsem);
	return error;
}
