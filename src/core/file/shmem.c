/* SPDX-License-Identifier: MIT */
/*
 * Pages of shmem objects: making them, bringing them back from swap, and what they commit
 * (core/file/shmem.h).
 */
#include "core/file/shmem.h"

#include "core/file/internal.h"
#include "core/instance/instance.h"
#include "core/vma/account.h"

#include <errno.h>

static uint64_t size_to_pages(uint64_t bytes)
{
	return (bytes >> PAGE_SHIFT) + (PAGE_OFFSET(bytes) ? 1 : 0);
}

static int commit_pages(struct inode *inode, uint64_t pages)
{
	int error = vm_commit_memory(inode->quire, pages);

	if (!error)
		atomic_fetch_add_explicit(&inode->committed, pages, memory_order_relaxed);
	return error;
}

static void uncommit_pages(struct inode *inode, uint64_t pages)
{
	atomic_fetch_sub_explicit(&inode->committed, pages, memory_order_relaxed);
	vm_unacct_memory(inode->quire, pages);
}

int shmem_account_size(struct inode *inode, uint64_t old_size, uint64_t new_size)
{
	const uint64_t before = size_to_pages(old_size);
	const uint64_t after = size_to_pages(new_size);

	if (inode->noreserve || before == after)
		return 0;
	if (after > before)
		return commit_pages(inode, after - before);
	uncommit_pages(inode, before - after);
	return 0;
}

void shmem_account_freed(struct inode *inode, uint64_t pages)
{
	if (inode->noreserve && pages)
		uncommit_pages(inode, pages);
}

/* Reserves what one page of a `noreserve` object needs. */
static int commit_block(struct inode *inode)
{
	if (!inode->noreserve)
		return 0;
	return commit_pages(inode, 1) ? -ENOSPC : 0;
}

/* A page of zeroes for a hole. -EEXIST: it is none any more. */
static int shmem_alloc_page(struct address_space *mapping, pgoff_t index,
			    const struct filemap_context *context, struct page **result)
{
	struct inode *inode = mapping->host;
	struct page *page;
	int error = commit_block(inode);

	if (error)
		return error;
	page = alloc_locked_page(inode->quire, GFP_RECLAIM | GFP_ZERO);
	if (!page) {
		shmem_account_freed(inode, 1);
		return -ENOMEM;
	}
	page_set(page, PG_swapbacked);
	page_set(page, PG_uptodate);
	page_set(page, PG_dirty);
	error = filemap_add_page(mapping, page, index, context->memcg);
	unlock_page(page);
	if (error) {
		put_page(inode->quire, page);
		shmem_account_freed(inode, 1);
		return error;
	}
	*result = page;
	return 0;
}

/* Puts the locked page of the swap cache where its entry stands. -EEXIST: the entry stands there no
 * more. */
static int shmem_replace_entry(struct address_space *mapping, pgoff_t index, void *entry,
			       struct page *page)
{
	int error = -EEXIST;

	spin_lock(&mapping->i_pages_lock);
	if (xa_load(&mapping->i_pages, index) == entry) {
		xa_store_prepared(&mapping->i_pages, index, page);
		page->index = index;
		atomic_store_explicit(&page->mapping, (uintptr_t)mapping, memory_order_release);
		get_page(page);
		atomic_fetch_add_explicit(&mapping->nrpages, 1, memory_order_relaxed);
		error = 0;
	}
	spin_unlock(&mapping->i_pages_lock);
	return error;
}

/* Moves the page from the swap cache into the object and gives its slot back: the page is dirty
 * from here on, as no copy of it is left. */
static int shmem_adopt_page(struct address_space *mapping, pgoff_t index, void *entry,
			    struct page *page)
{
	struct quire *quire = mapping->host->quire;
	const swp_entry_t swap = xa_to_swp_entry(entry);
	int error;

	if (!page_test(page, PG_swapcache) || page->private != swap.value)
		return -EEXIST;
	wait_on_page_writeback(page);
	error = shmem_replace_entry(mapping, index, entry, page);
	if (error)
		return error;
	page_set(page, PG_swapbacked);
	page_set(page, PG_dirty);
	delete_from_swap_cache(quire, page);
	swap_free(quire, swap);
	return 0;
}

static int shmem_swapin(struct address_space *mapping, pgoff_t index, void *entry,
			const struct filemap_context *context, struct page **result)
{
	struct quire *quire = mapping->host->quire;
	bool major = false;
	struct page *page;
	int error = swapin_page(quire, xa_to_swp_entry(entry), context->memcg, true, &major, &page);

	if (major && context->major)
		*context->major = true;
	if (error)
		return error == -ENOENT ? -EEXIST : error;
	lock_page(page);
	error = shmem_adopt_page(mapping, index, entry, page);
	unlock_page(page);
	if (error) {
		/* Whoever dropped the entry's last use may have found the page locked by us. */
		swap_cache_release(quire, page);
		put_page(quire, page);
	} else {
		*result = page;
	}
	return error;
}

/* The page, with a reference, or a swap entry, or NULL. */
static void *shmem_lookup(struct address_space *mapping, pgoff_t index)
{
	void *entry;

	spin_lock(&mapping->i_pages_lock);
	entry = xa_load(&mapping->i_pages, index);
	if (entry && !xa_is_value(entry))
		get_page(entry);
	spin_unlock(&mapping->i_pages_lock);
	return entry;
}

/* What to do when no page is there. -EEXIST: look again. */
static int shmem_fill(struct address_space *mapping, pgoff_t index,
		      const struct filemap_context *context, enum shmem_intent intent,
		      struct page **result)
{
	struct quire *quire = mapping->host->quire;
	void *entry = shmem_lookup(mapping, index);

	if (intent != SHMEM_WRITE && index >= i_size_pages(mapping->host)) {
		if (entry && !xa_is_value(entry))
			put_page(quire, entry);
		return -EFAULT;
	}
	if (xa_is_value(entry))
		return shmem_swapin(mapping, index, entry, context, result);
	if (entry) {
		*result = entry;
		return 0;
	}
	if (intent == SHMEM_FIND)
		return -ENOENT;
	if (intent == SHMEM_READ) {
		get_page(quire->zero_page);
		*result = quire->zero_page;
		return 0;
	}
	return shmem_alloc_page(mapping, index, context, result);
}

int shmem_get_page(struct address_space *mapping, pgoff_t index,
		   const struct filemap_context *context, enum shmem_intent intent,
		   struct page **result)
{
	int error;

	if (likely(intent == SHMEM_WRITE || index < i_size_pages(mapping->host))) {
		*result = filemap_lookup(mapping, index);
		if (likely(*result))
			return 0;
	}
	do {
		read_lock(&mapping->invalidate_lock);
		error = shmem_fill(mapping, index, context, intent, result);
		read_unlock(&mapping->invalidate_lock);
	} while (error == -EEXIST);
	return error;
}

/* Up to SWAP_CLUSTER swap entries of [*index, last]; *index moves behind the last one. */
static uint32_t collect_swap_entries(struct address_space *mapping, pgoff_t *index, pgoff_t last,
				     swp_entry_t *entries)
{
	uint32_t count = 0;
	uint64_t at;
	void *entry;

	spin_lock(&mapping->i_pages_lock);
	xa_for_each_range (&mapping->i_pages, at, entry, *index, last) {
		if (!xa_is_value(entry))
			continue;
		entries[count++] = xa_to_swp_entry(entry);
		*index = at + 1;
		if (count == SWAP_CLUSTER)
			break;
	}
	spin_unlock(&mapping->i_pages_lock);
	return count;
}

void shmem_readahead(struct address_space *mapping, pgoff_t index, uint64_t pages,
		     struct mem_cgroup *memcg)
{
	const pgoff_t last = index + pages - 1;
	swp_entry_t entries[SWAP_CLUSTER];
	uint32_t count;

	while ((count = collect_swap_entries(mapping, &index, last, entries)))
		if (!swapin_ahead(mapping->host->quire, entries, count, memcg))
			return;
}
