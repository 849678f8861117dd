/* SPDX-License-Identifier: MIT */
/*
 * The swap cache: pages that have a slot, by slot.
 *
 * A page enters on its way out (add_to_swap, shmem_move_to_swap) or on its way in (swapin_page),
 * and stays while its slot is of use: reading an unchanged page back and evicting it again needs no
 * write. Under the page lock, PG_swapcache and the entry do not change.
 */
#include "core/file/filemap.h"
#include "core/file/shmem.h"
#include "core/reclaim/lruvec.h"
#include "core/reclaim/swap_area.h"

#include <errno.h>

static void count_cached(struct swap_area *area, int64_t pages)
{
	uint64_t cached = atomic_load_explicit(&area->nr_cached, memory_order_relaxed);

	atomic_store_explicit(&area->nr_cached, cached + (uint64_t)pages, memory_order_relaxed);
}

/* Under X. The reference of the cache is the caller's to take. */
static int cache_store(struct swap_area *area, struct page *page, swp_entry_t entry)
{
	int error = xa_store(&area->cache, swp_slot(entry), page);

	if (error)
		return error;
	page->private = entry.value;
	page_set(page, PG_swapcache);
	count_cached(area, 1);
	return 0;
}

/* A slot for a page that is in none, and the page in the cache, dirty, without a reference for the
 * cache. */
static bool cache_new_slot(struct quire *quire, struct page *page, swp_entry_t *entry)
{
	struct swap_area *area;
	int error;

	QUIRE_ASSERT(1, page_locked(page) && !page_test(page, PG_swapcache));
	if (!swap_slot_alloc(quire, page_memcg(page), entry))
		return false;
	area = swap_entry_area(quire, *entry);
	spin_lock(&area->cache_lock);
	error = cache_store(area, page, *entry);
	spin_unlock(&area->cache_lock);
	if (error) {
		swap_slot_uncache(area, swp_slot(*entry));
		return false;
	}
	return true;
}

bool add_to_swap(struct quire *quire, struct page *page)
{
	swp_entry_t entry;

	get_page(page);
	if (!cache_new_slot(quire, page, &entry)) {
		put_page(quire, page);
		return false;
	}
	page_set(page, PG_dirty);
	return true;
}

int swap_cache_add(struct quire *quire, struct page *page, swp_entry_t entry, void **shadow)
{
	struct swap_area *area = swap_entry_area(quire, entry);
	const uint64_t slot = swp_slot(entry);
	int error;

	QUIRE_ASSERT(1, page_locked(page));
	get_page(page);
	spin_lock(&area->cache_lock);
	*shadow = xa_load(&area->cache, slot);
	error = xa_reserve(&area->cache, slot);
	if (!error && !swap_slot_claim_cache(area, slot)) {
		xa_release(&area->cache, slot);
		error = -EEXIST;
	}
	if (!error)
		error = cache_store(area, page, entry);
	spin_unlock(&area->cache_lock);
	if (error)
		put_page(quire, page);
	return error;
}

/* Under X: out of the cache, but for its reference and its slot. */
static void cache_erase(struct swap_area *area, struct page *page, void *shadow)
{
	const uint64_t slot = swp_slot(page_swap_entry(page));

	QUIRE_ASSERT(1, xa_load(&area->cache, slot) == page);
	if (shadow)
		xa_store_prepared(&area->cache, slot, shadow);
	else
		xa_erase(&area->cache, slot);
	page_clear(page, PG_swapcache);
	page->private = 0;
	count_cached(area, -1);
}

void swap_cache_remove(struct quire *quire, struct page *page, void *shadow)
{
	const swp_entry_t entry = page_swap_entry(page);
	struct swap_area *area = swap_entry_area(quire, entry);

	QUIRE_ASSERT(1, page_locked(page) && page_test(page, PG_swapcache));
	spin_lock(&area->cache_lock);
	cache_erase(area, page, shadow);
	spin_unlock(&area->cache_lock);
	swap_slot_uncache(area, swp_slot(entry));
	put_page(quire, page);
}

void delete_from_swap_cache(struct quire *quire, struct page *page)
{
	swap_cache_remove(quire, page, NULL);
}

bool swap_cache_remove_if_unused(struct quire *quire, struct page *page, void *shadow)
{
	const swp_entry_t entry = page_swap_entry(page);
	struct swap_area *area = swap_entry_area(quire, entry);
	int32_t expected = 2;
	bool removed;

	QUIRE_ASSERT(1, page_locked(page));
	spin_lock(&area->cache_lock);
	removed =
		!page_test(page, PG_dirty) && !page_test(page, PG_writeback) &&
		atomic_compare_exchange_strong_explicit(&page->refcount, &expected, 1,
							memory_order_acq_rel, memory_order_relaxed);
	if (removed)
		cache_erase(area, page, shadow);
	spin_unlock(&area->cache_lock);
	if (removed)
		swap_slot_uncache(area, swp_slot(entry));
	return removed;
}

/* The slot may not go while a write to it is under way: its next user would write it too. */
bool try_to_free_swap(struct quire *quire, struct page *page)
{
	if (!page_test(page, PG_swapcache) || page_test(page, PG_writeback) ||
	    swap_count(quire, page_swap_entry(page)))
		return false;
	delete_from_swap_cache(quire, page);
	page_set(page, PG_dirty);
	return true;
}

/* As try_to_free_swap() sees it, without the page lock: `entry` is what the page had under it. */
static bool looks_unused(struct quire *quire, const struct page *page, swp_entry_t entry)
{
	return page_test(page, PG_swapcache) && !page_test(page, PG_writeback) &&
	       !page_mapped(page) && !swap_count(quire, entry);
}

/*
 * Whoever holds the page lock calls this too after releasing it, so one of the two finds that the
 * page is needed no more. That goes for the lock taken here as well: what ended while it was held
 * is looked for after its release.
 */
void swap_cache_release(struct quire *quire, struct page *page)
{
	swp_entry_t entry;

	if (!page_test(page, PG_swapcache) || page_mapped(page))
		return;
	do {
		if (!trylock_page(page))
			return;
		entry = page_swap_entry(page);
		if (!page_mapped(page))
			try_to_free_swap(quire, page);
		unlock_page(page);
	} while (looks_unused(quire, page, entry));
}

struct page *swap_cache_get_page(struct quire *quire, swp_entry_t entry)
{
	struct swap_area *area = swap_entry_area(quire, entry);
	struct page *page;

	spin_lock(&area->cache_lock);
	page = xa_load(&area->cache, swp_slot(entry));
	if (page && !xa_is_value(page))
		get_page(page);
	else
		page = NULL;
	spin_unlock(&area->cache_lock);
	return page;
}

bool swap_cache_resident(struct quire *quire, swp_entry_t entry)
{
	struct page *page = swap_cache_get_page(quire, entry);
	bool resident;

	if (!page)
		return false;
	resident = page_test(page, PG_uptodate);
	put_page(quire, page);
	return resident;
}

/*
 * The entry must lead to the page from the moment it stands in the file, so the page is in the
 * swap cache before. Our own reference stands for the cache's until the file's one is gone: only so
 * can the file tell that nobody else uses the page.
 */
bool shmem_move_to_swap(struct quire *quire, struct page *page)
{
	struct inode *inode = page_mapping(page)->host;
	struct mapping_stat *stat = &inode->i_stat;
	swp_entry_t entry;

	QUIRE_ASSERT(1, !page_mapped(page));
	if (page_test(page, PG_writeback) || page_count(page) != 2 || inode->special ||
	    !cache_new_slot(quire, page, &entry))
		return false;
	swap_duplicate(quire, entry);
	page_clear(page, PG_dirty);
	/* Counted before: once its last page has left it, the file may be gone. */
	mapping_stat_event(stat, MAPPING_WRITEBACK, 1);
	if (filemap_remove_if_unused(page, swp_to_xa_entry(entry))) {
		get_page(page);
		page_set(page, PG_dirty);
		return true;
	}
	mapping_stat_event(stat, MAPPING_WRITEBACK, (uint64_t)-1);
	page_set(page, PG_dirty);
	get_page(page);
	delete_from_swap_cache(quire, page);
	swap_free(quire, entry);
	return false;
}
