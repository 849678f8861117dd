/* SPDX-License-Identifier: MIT */
/*
 * The index of the page cache: finding pages in i_pages, adding and removing them, and their dirty
 * and writeback state (core/file/filemap.h).
 *
 * PG_dirty and PG_writeback of a regular file's page change together with its marks and the counts
 * under the i_pages lock, so that the sum of the marks is the truth at any time.
 */
#include "core/file/filemap.h"

#include "core/file/internal.h"
#include "core/file/shmem.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"
#include "core/reclaim/workingset.h"
#include "core/rmap/rmap.h"

#include <errno.h>

struct page *filemap_lookup(struct address_space *mapping, pgoff_t index)
{
	struct page *page;

	spin_lock(&mapping->i_pages_lock);
	page = xa_load(&mapping->i_pages, index);
	if (likely(page && !xa_is_value(page)))
		get_page(page);
	else
		page = NULL;
	spin_unlock(&mapping->i_pages_lock);
	return page;
}

bool filemap_cached(struct address_space *mapping, pgoff_t index)
{
	void *entry;

	spin_lock(&mapping->i_pages_lock);
	entry = xa_load(&mapping->i_pages, index);
	spin_unlock(&mapping->i_pages_lock);
	return entry && !xa_is_value(entry);
}

bool filemap_resident(struct address_space *mapping, pgoff_t index)
{
	bool resident = false;
	void *entry;

	spin_lock(&mapping->i_pages_lock);
	entry = xa_load(&mapping->i_pages, index);
	if (entry && !xa_is_value(entry))
		resident = page_test(entry, PG_uptodate);
	spin_unlock(&mapping->i_pages_lock);
	if (xa_is_value(entry) && mapping_is_shmem(mapping))
		resident = swap_cache_resident(mapping->host->quire, xa_to_swp_entry(entry));
	return resident;
}

uint32_t filemap_get_batch(struct address_space *mapping, pgoff_t *index, pgoff_t last,
			   enum xa_mark mark, struct page **pages)
{
	uint32_t count = 0;
	uint64_t at;
	void *entry;

	spin_lock(&mapping->i_pages_lock);
	xa_for_each_filtered (&mapping->i_pages, at, entry, *index, last, mark) {
		if (xa_is_value(entry))
			continue;
		pages[count] = entry;
		get_page(pages[count++]);
		*index = at + 1;
		if (count == PAGEVEC_SIZE)
			break;
	}
	spin_unlock(&mapping->i_pages_lock);
	return count;
}

bool filemap_lock_page(struct address_space *mapping, struct page *page)
{
	lock_page(page);
	if (likely(page_mapping(page) == mapping))
		return true;
	unlock_page(page);
	return false;
}

/* Under X. The shadow that stood there goes to *shadow. */
static int insert_page(struct address_space *mapping, struct page *page, pgoff_t index,
		       void **shadow)
{
	void *old = xa_load(&mapping->i_pages, index);
	int error;

	if (old && (!xa_is_value(old) || mapping_is_shmem(mapping)))
		return -EEXIST;
	error = xa_store(&mapping->i_pages, index, page);
	if (error)
		return error;
	if (old)
		shadow_uncount(mapping);
	*shadow = old;
	page->index = index;
	atomic_store_explicit(&page->mapping, (uintptr_t)mapping, memory_order_release);
	get_page(page);
	atomic_fetch_add_explicit(&mapping->nrpages, 1, memory_order_relaxed);
	return 0;
}

int filemap_add_page_gfp(struct page *page, struct address_space *mapping, pgoff_t index,
			 struct mem_cgroup *memcg, uint32_t gfp)
{
	struct quire *quire = mapping->host->quire;
	void *shadow = NULL;
	int error;

	QUIRE_ASSERT(1, page_locked(page));
	if (!page->memcg) {
		error = memcg_charge(quire, memcg, page, gfp);
		if (error)
			return error;
	}
	spin_lock(&mapping->i_pages_lock);
	error = insert_page(mapping, page, index, &shadow);
	spin_unlock(&mapping->i_pages_lock);
	if (error)
		return error;
	if (shadow)
		workingset_refault(page, shadow);
	lru_add_page(quire, page);
	return 0;
}

int filemap_add_page(struct address_space *mapping, struct page *page, pgoff_t index,
		     struct mem_cgroup *memcg)
{
	return filemap_add_page_gfp(page, mapping, index, memcg, GFP_RECLAIM);
}

/* Under X, PG_dirty just cleared. */
static void account_cleaned(struct address_space *mapping)
{
	atomic_fetch_sub_explicit(&mapping->host->quire->nr_dirty, 1, memory_order_relaxed);
}

/* Under X: nothing is dirty any more. */
static void note_if_clean(struct address_space *mapping)
{
	if (!xa_marked(&mapping->i_pages, XA_MARK_DIRTY))
		atomic_store_explicit(&mapping->host->dirty_since, 0, memory_order_relaxed);
}

/* Under X: takes the page out; its reference is the caller's to drop. */
static void delete_page(struct address_space *mapping, struct page *page, void *value)
{
	const uint64_t index = page->index;

	QUIRE_ASSERT(1, xa_load(&mapping->i_pages, index) == page);
	QUIRE_ASSERT(1, !page_test(page, PG_writeback) || mapping_is_shmem(mapping));
	if (value && !mapping_is_shmem(mapping))
		value = shadow_admit(mapping, value);
	if (mapping_is_shmem(mapping)) {
		if (!value)
			page_clear(page, PG_dirty);
	} else if (page_test_and_clear(page, PG_dirty)) {
		account_cleaned(mapping);
	}
	if (value) {
		xa_store_prepared(&mapping->i_pages, index, value);
		xa_clear_mark(&mapping->i_pages, index, XA_MARK_DIRTY);
		xa_clear_mark(&mapping->i_pages, index, XA_MARK_TOWRITE);
	} else {
		xa_erase(&mapping->i_pages, index);
	}
	note_if_clean(mapping);
	atomic_store_explicit(&page->mapping, 0, memory_order_release);
	atomic_fetch_sub_explicit(&mapping->nrpages, 1, memory_order_relaxed);
}

void filemap_remove_page(struct page *page, void *value)
{
	struct address_space *mapping = page_mapping(page);
	struct quire *quire = mapping->host->quire;

	QUIRE_ASSERT(1, page_locked(page) && !page_mapped(page));
	spin_lock(&mapping->i_pages_lock);
	delete_page(mapping, page, value);
	spin_unlock(&mapping->i_pages_lock);
	put_page(quire, page);
}

/*
 * The lock of i_pages keeps new references from coming out of the cache, so when two are all there
 * are, taking away the cache's one leaves the page to the caller alone. Nobody can make it dirty
 * then.
 */
bool filemap_remove_if_unused(struct page *page, void *value)
{
	struct address_space *mapping = page_mapping(page);
	int32_t expected = 2;
	bool removed = false;

	spin_lock(&mapping->i_pages_lock);
	if (!page_mapped(page) && !page_test(page, PG_writeback) &&
	    atomic_compare_exchange_strong_explicit(&page->refcount, &expected, 1,
						    memory_order_acq_rel, memory_order_relaxed)) {
		removed = !page_test(page, PG_dirty);
		if (removed)
			delete_page(mapping, page, value);
		else
			get_page(page);
	}
	spin_unlock(&mapping->i_pages_lock);
	return removed;
}

bool mapping_mark_dirty(struct address_space *mapping, struct page *page)
{
	struct inode *inode = mapping->host;

	if (page_test_and_set(page, PG_dirty))
		return false;
	xa_set_mark(&mapping->i_pages, page->index, XA_MARK_DIRTY);
	atomic_fetch_add_explicit(&inode->quire->nr_dirty, 1, memory_order_relaxed);
	if (!atomic_load_explicit(&inode->dirty_since, memory_order_relaxed)) {
		int64_t now = quire_now(inode->quire);

		atomic_store_explicit(&inode->dirty_since, now > 0 ? now : 1, memory_order_relaxed);
	}
	return true;
}

/* Pages of regular files only are counted and found by their marks: others are written to swap, by
 * reclaim. */
static bool page_is_tracked(const struct address_space *mapping)
{
	return mapping && !mapping_is_shmem(mapping);
}

bool set_page_dirty(struct page *page)
{
	struct address_space *mapping = page_mapping(page);
	bool was_clean;

	if (page_test(page, PG_dirty))
		return false;
	if (!page_is_tracked(mapping))
		return !page_test_and_set(page, PG_dirty);
	spin_lock(&mapping->i_pages_lock);
	was_clean = mapping_mark_dirty(mapping, page);
	spin_unlock(&mapping->i_pages_lock);
	return was_clean;
}

/*
 * The mappings are write-protected before the flag goes: a store through one of them from here on
 * faults, and sets the page dirty again once we have unlocked it.
 */
bool clear_page_dirty_for_io(struct page *page)
{
	struct address_space *mapping = page_mapping(page);
	bool was_dirty;

	QUIRE_ASSERT(1, page_locked(page));
	if (!page_is_tracked(mapping))
		return page_test_and_clear(page, PG_dirty);
	if (page_mapped(page) && page_mkclean(page))
		set_page_dirty(page);
	spin_lock(&mapping->i_pages_lock);
	was_dirty = page_test_and_clear(page, PG_dirty);
	if (was_dirty)
		account_cleaned(mapping);
	spin_unlock(&mapping->i_pages_lock);
	return was_dirty;
}

void set_page_writeback(struct address_space *mapping, struct page *page)
{
	QUIRE_ASSERT(1, page_locked(page) && !page_test(page, PG_writeback));
	spin_lock(&mapping->i_pages_lock);
	page_set(page, PG_writeback);
	xa_set_mark(&mapping->i_pages, page->index, XA_MARK_WRITEBACK);
	xa_clear_mark(&mapping->i_pages, page->index, XA_MARK_TOWRITE);
	if (!page_test(page, PG_dirty))
		xa_clear_mark(&mapping->i_pages, page->index, XA_MARK_DIRTY);
	note_if_clean(mapping);
	atomic_fetch_add_explicit(&mapping->writeback_pages, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&mapping->host->quire->nr_writeback, 1, memory_order_relaxed);
	spin_unlock(&mapping->i_pages_lock);
}

void mapping_note_error(struct address_space *mapping, int error)
{
	errseq_set(&mapping->wb_err, error);
	atomic_store_explicit(&mapping->wb_last_error, error, memory_order_relaxed);
	atomic_fetch_add_explicit(&mapping->wb_failures, 1, memory_order_release);
}
