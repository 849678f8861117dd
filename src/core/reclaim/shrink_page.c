/* SPDX-License-Identifier: MIT */
/*
 * Getting rid of pages, each by a chain of steps that any reason to keep it ends:
 *
 *   lock -> not pinned, not under writeback, not in use
 *     -> anonymous: nothing but zeros, and dropped without a trace, or
 *                   a slot in swap         (add_to_swap)
 *     -> no mapping                        (try_to_unmap)
 *   unlock; a batch of pages is so unmapped, and then revoked from all CPUs at once
 *   lock -> still no mapping
 *     -> shmem: out of its file            (shmem_move_to_swap)
 *     -> clean: written if need be         (writeback_around_page, swap_writepage)
 *     -> the batch has been looked at: unless the write is still under way
 *     -> in no cache                       (filemap_remove_if_unused, swap_cache_remove_if_unused)
 *     -> the isolation's reference is the last: free
 *
 * Each step leaves the page consistent, so ending after any of them loses nothing: a page that was
 * unmapped is found again in its cache by the next fault.
 */
#include "core/reclaim/scan.h"

#include "base/contents.h"
#include "core/file/filemap.h"
#include "core/file/writeback.h"
#include "core/instance/instance.h"
#include "core/instance/trace.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/lruvec.h"
#include "core/reclaim/workingset.h"
#include "core/rmap/rmap.h"

enum shrink_result {
	SHRINK_GO_ON,
	SHRINK_KEEP,
	SHRINK_REFERENCED,
	SHRINK_WRITTEN, /* its write was started, or waits in the plug; unlocked */
	SHRINK_FREE     /* the caller's reference is the last one */
};

static bool page_is_shmem(const struct page *page)
{
	const struct address_space *mapping = page_mapping(page);

	return mapping && mapping_is_shmem(mapping);
}

/* The page is under writeback, whose end needs no page lock. Waits only when told to. */
static enum shrink_result shrink_writeback(struct page *page, struct scan_control *control)
{
	control->nr_writeback++;
	page_set(page, PG_reclaim);
	if (!control->wait_writeback)
		return SHRINK_KEEP;
	revoke_batch_flush(control->revokes);
	swap_plug_flush(&control->plug);
	wait_on_page_writeback(page);
	return page_test(page, PG_writeback) ? SHRINK_KEEP : SHRINK_GO_ON;
}

static enum shrink_result shrink_check_references(struct page *page,
						  const struct scan_control *control)
{
	uint64_t vm_flags;
	uint32_t referenced = page_referenced(page, &vm_flags, control->revokes);

	if (vm_flags & VM_LOCKED) {
		page_set(page, PG_mlocked);
		return SHRINK_KEEP;
	}
	if (referenced && !control->last_resort)
		return SHRINK_REFERENCED;
	return SHRINK_GO_ON;
}

/* Gives a slot back that was taken for an unmapping that then failed. */
static enum shrink_result shrink_give_up_swap(struct page *page, struct scan_control *control)
{
	if (page_test(page, PG_swapcache))
		try_to_free_swap(control->quire, page);
	return SHRINK_KEEP;
}

/* Memory that was filled ahead, or given back by its program. The look beforehand is only a guess.
 */
static bool shrink_drop_zeros(struct page *page, struct scan_control *control)
{
	struct quire *quire = control->quire;

	if (!contents_are_zero(page_address(&quire->zone, page), PAGE_SIZE) ||
	    !try_to_unmap(page, TTU_ZERO | (control->last_resort ? TTU_WAIT : 0), NULL))
		return false;
	count_event(quire, EVENT_ZERO_DROPPED, 1);
	return true;
}

static enum shrink_result shrink_unmap(struct page *page, struct scan_control *control)
{
	if (page_anon(page) && !page_test(page, PG_swapcache) && !page_test(page, PG_lazyfree) &&
	    page_mapped(page) && !shrink_drop_zeros(page, control) &&
	    (!control->may_swap || !add_to_swap(control->quire, page)))
		return SHRINK_KEEP;
	if (page_mapped(page) &&
	    !try_to_unmap(page, control->last_resort ? TTU_WAIT : 0, control->revokes)) {
		/* It leaves our hands, perhaps out of some page tables already. */
		revoke_batch_flush(control->revokes);
		return shrink_give_up_swap(page, control);
	}
	return SHRINK_GO_ON;
}

/* Nobody holds the swap entry any more: the contents are garbage, however dirty. */
static void shrink_drop_orphan(struct page *page, struct scan_control *control)
{
	if (page_test(page, PG_swapcache) && try_to_free_swap(control->quire, page))
		page_clear(page, PG_dirty);
}

static enum shrink_result shrink_write(struct page *page, struct scan_control *control)
{
	const enum lru_type type = page_lru_type(page);
	int error;

	if (!page_test(page, PG_dirty) || !(page_test(page, PG_swapcache) || page_mapping(page)))
		return SHRINK_GO_ON;
	/* One by the cache, one by us: anybody else might keep it anyway, or be writing to it. */
	if (page_count(page) != 2)
		return SHRINK_KEEP;
	page_set(page, PG_reclaim);
	error = page_test(page, PG_swapcache) ? swap_writepage(control->quire, page, &control->plug)
					      : writeback_around_page(page);
	if (error)
		page_clear(page, PG_reclaim);
	else
		lruvec_note_cost(&page_memcg(page)->lruvec, type, 1);
	return SHRINK_WRITTEN;
}

static enum shrink_result shrink_free(struct page *page, struct scan_control *control)
{
	bool removed;

	if (page_mapped(page))
		return SHRINK_KEEP;
	trace_page(control->quire, QUIRE_TRACE_EVICT, page, 0);
	if (page_test(page, PG_swapcache))
		removed = swap_cache_remove_if_unused(control->quire, page,
						      workingset_eviction(page));
	else if (page_mapping(page))
		removed = filemap_remove_if_unused(page, workingset_eviction(page));
	else
		removed = page_count(page) == 1;
	if (removed)
		return SHRINK_FREE;
	/* Somebody's reference, a completion's perhaps that is about to end. */
	control->nr_busy++;
	return SHRINK_KEEP;
}

/* The steps up to the unmapping. Page locked. */
static enum shrink_result shrink_unmap_locked(struct page *page, struct scan_control *control)
{
	enum shrink_result result = SHRINK_GO_ON;

	if (page_maybe_pinned(page))
		return SHRINK_KEEP;
	if (page_test(page, PG_writeback))
		result = shrink_writeback(page, control);
	if (result == SHRINK_GO_ON)
		result = shrink_check_references(page, control);
	return result == SHRINK_GO_ON ? shrink_unmap(page, control) : result;
}

/* The steps behind it, when all CPUs have left the page. It is locked, and still is unless the
 * result is SHRINK_WRITTEN. It may have been used again since it was unmapped. */
static enum shrink_result shrink_unmapped_locked(struct page *page, struct scan_control *control)
{
	enum shrink_result result = SHRINK_GO_ON;

	if (page_mapped(page)) {
		control->nr_busy++;
		return SHRINK_REFERENCED;
	}
	if (page_test(page, PG_writeback))
		result = shrink_writeback(page, control);
	if (result != SHRINK_GO_ON)
		return result;
	if (page_is_shmem(page) &&
	    (!control->may_swap || !shmem_move_to_swap(control->quire, page)))
		return SHRINK_KEEP;
	shrink_drop_orphan(page, control);
	result = shrink_write(page, control);
	return result == SHRINK_GO_ON ? shrink_free(page, control) : result;
}

/* Locked again after the start of its write: a store that needs no waiting is done already. */
static enum shrink_result shrink_after_write(struct page *page, struct scan_control *control)
{
	enum shrink_result result = SHRINK_GO_ON;

	if (page_test(page, PG_writeback))
		result = shrink_writeback(page, control);
	if (page_test(page, PG_writeback))
		return SHRINK_WRITTEN;
	if (result != SHRINK_GO_ON)
		return result;
	if (page_test(page, PG_dirty) || page_mapped(page))
		return SHRINK_KEEP;
	return shrink_free(page, control);
}

/* The page is unlocked, and its isolation ends. */
static void shrink_finish(struct page *page, struct scan_control *control,
			  enum shrink_result result)
{
	struct quire *quire = control->quire;

	if (result == SHRINK_FREE) {
		page_end_isolation(page);
		put_page(quire, page);
		count_event(quire, EVENT_RECLAIMED, 1);
		control->nr_reclaimed++;
		return;
	}
	/* Who wanted to give up its slot while we held the lock could not. */
	swap_cache_release(quire, page);
	lruvec_putback(page, result == SHRINK_REFERENCED ? PUTBACK_REFERENCED
			     : result == SHRINK_WRITTEN  ? PUTBACK_NEXT
							 : PUTBACK_KEEP);
}

/* True: the page is in no page table, though CPUs may know it until the batch is flushed. */
static bool shrink_unmap_page(struct page *page, struct scan_control *control)
{
	enum shrink_result result = SHRINK_KEEP;

	count_event(control->quire, EVENT_SCANNED, 1);
	if (trylock_page(page)) {
		result = shrink_unmap_locked(page, control);
		unlock_page(page);
		if (result == SHRINK_GO_ON)
			return true;
	} else {
		control->nr_busy++;
	}
	shrink_finish(page, control, result);
	return false;
}

/* True: its write was started, or waits in the plug, and the isolation goes on. */
static bool shrink_unmapped_page(struct page *page, struct scan_control *control)
{
	enum shrink_result result = SHRINK_KEEP;

	if (trylock_page(page)) {
		result = shrink_unmapped_locked(page, control);
		if (result == SHRINK_WRITTEN)
			return true;
		unlock_page(page);
	} else {
		control->nr_busy++;
	}
	shrink_finish(page, control, result);
	return false;
}

/* Up to SCAN_BATCH pages leave the page tables, with as few revocations as may be; those that did
 * go to `unmapped`. One at a time where nothing is put off, so that no fault brings them back. */
static void shrink_unmap_batch(struct list_head *pages, struct list_head *unmapped,
			       struct scan_control *control)
{
	const uint32_t batch = control->revokes ? SCAN_BATCH : 1;

	for (uint32_t i = 0; i < batch && !list_empty(pages); i++) {
		struct page *page = list_first_entry(pages, struct page, lru);

		list_del(&page->lru);
		if (shrink_unmap_page(page, control))
			list_add_tail(&page->lru, unmapped);
	}
	revoke_batch_flush(control->revokes);
}

static void shrink_written(struct list_head *written, struct scan_control *control)
{
	swap_plug_flush(&control->plug);
	while (!list_empty(written)) {
		struct page *page = list_first_entry(written, struct page, lru);
		enum shrink_result result = SHRINK_WRITTEN;

		list_del(&page->lru);
		if (trylock_page(page)) {
			result = shrink_after_write(page, control);
			unlock_page(page);
		}
		shrink_finish(page, control, result);
	}
}

/* Writes or frees what was unmapped; the writes that were started go to `written`. */
static void shrink_unmapped(struct list_head *unmapped, struct list_head *written,
			    uint32_t *nr_written, struct scan_control *control)
{
	while (!list_empty(unmapped)) {
		struct page *page = list_first_entry(unmapped, struct page, lru);

		list_del(&page->lru);
		if (!shrink_unmapped_page(page, control))
			continue;
		list_add_tail(&page->lru, written);
		if (++*nr_written == SWAP_CLUSTER) {
			shrink_written(written, control);
			*nr_written = 0;
		}
	}
}

void shrink_pages(struct list_head *pages, struct scan_control *control)
{
	struct list_head unmapped = LIST_HEAD_INIT(unmapped);
	struct list_head written = LIST_HEAD_INIT(written);
	struct revoke_batch revokes;
	uint32_t nr_written = 0;

	revoke_batch_init(&revokes);
	/* The last resort waits for reverse maps. */
	control->revokes = control->last_resort ? NULL : &revokes;
	while (!list_empty(pages)) {
		shrink_unmap_batch(pages, &unmapped, control);
		shrink_unmapped(&unmapped, &written, &nr_written, control);
	}
	control->revokes = NULL;
	shrink_written(&written, control);
}
