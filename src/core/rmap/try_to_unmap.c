/* SPDX-License-Identifier: MIT */
/*
 * try_to_unmap(): takes a page that is to be evicted out of every page table. Each entry is emptied
 * and revoked from all CPUs before the page is written or freed: what is written is what the last
 * access left. Some revocations can be put off for a while, so that one serves many pages.
 */
#include "core/rmap/rmap.h"

#include "base/contents.h"
#include "core/file/filemap.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/vma/vma_stat.h"

/* The caller's reference, and one for each entry. */
static bool only_mapped(const struct page *page)
{
	return page_count(page) == 1 + page_mapcount(page);
}

/*
 * A lazily freed page: dropped if it is still as it was when it was given up. If it was written,
 * the entry comes back and the page is an ordinary anonymous one again. Droppable memory goes
 * whatever was written.
 */
static bool unmap_lazyfree(struct page *page, struct vm_area_struct *vma, pte_t *pte, pteval_t old)
{
	const bool droppable = vma->vm_flags & VM_DROPPABLE;
	const bool written = (old & PTE_DIRTY) || page_test(page, PG_dirty);

	if ((written && !droppable) || !only_mapped(page)) {
		set_pte(pte, old);
		if (!droppable)
			page_clear(page, PG_lazyfree);
		return false;
	}
	add_vma_rss(vma, MM_ANONPAGES, -1);
	return true;
}

/* A page of zeros needs no copy anywhere: an empty entry means the same. The CPUs have left it, so
 * this is what it holds. */
static bool unmap_zeros(struct page *page, struct vm_area_struct *vma, pte_t *pte, pteval_t old)
{
	if (!contents_are_zero(page_address(&vma->vm_mm->quire->zone, page), PAGE_SIZE) ||
	    !only_mapped(page)) {
		set_pte(pte, old);
		return false;
	}
	add_vma_rss(vma, MM_ANONPAGES, -1);
	return true;
}

/* The entry now holds the page's swap entry, which remembers whether nobody shares the page. */
static void unmap_to_swap(struct page *page, struct vm_area_struct *vma, pte_t *pte, pteval_t old)
{
	struct mm_struct *mm = vma->vm_mm;
	const swp_entry_t entry = {page->private};
	const bool exclusive = page_test(page, PG_anon_exclusive);

	if (old & PTE_DIRTY)
		page_set(page, PG_dirty);
	/* The last to unmap it speaks for the write that follows. */
	if (page_test(page, PG_dirty) && page_mapcount(page) == 1)
		vma_event(vma, MAPPING_WRITEBACK);
	swap_duplicate(mm->quire, entry);
	page_clear(page, PG_anon_exclusive);
	add_vma_rss(vma, MM_ANONPAGES, -1);
	add_mm_rss(mm, MM_SWAPENTS, 1);
	set_pte(pte, swp_entry_to_pte(entry) | (exclusive ? SWP_EXCLUSIVE : 0));
}

static bool unmap_anon(struct page *page, struct vm_area_struct *vma, pte_t *pte, pteval_t old)
{
	if (!page_test(page, PG_swapcache) && !page_test(page, PG_lazyfree))
		return unmap_zeros(page, vma, pte, old);
	if (page_test(page, PG_lazyfree))
		return unmap_lazyfree(page, vma, pte, old);
	unmap_to_swap(page, vma, pte, old);
	return true;
}

static bool unmap_file(struct page *page, struct vm_area_struct *vma, pteval_t old)
{
	if (old & PTE_DIRTY)
		set_page_dirty(page);
	add_vma_rss(vma, page_test(page, PG_swapbacked) ? MM_SHMEMPAGES : MM_FILEPAGES, -1);
	return true;
}

/* Whether this entry must stay as it is. Under its lock. */
static bool must_keep(const struct page *page, const struct vm_area_struct *vma, uint32_t flags)
{
	if (!(flags & TTU_IGNORE_MLOCK) && (vma->vm_flags & VM_LOCKED))
		return true;
	if (!page_anon(page))
		return false;
	/* Pins are taken under the entry's lock: one that is not there yet will find no entry. */
	if (page_maybe_pinned(page))
		return true;
	/* An empty entry of a private file mapping would mean the file's page. */
	if (flags & TTU_ZERO)
		return !vma_is_anonymous(vma);
	return !(page_test(page, PG_swapcache) || page_test(page, PG_lazyfree));
}

struct unmap {
	uint32_t flags;
	struct revoke_batch *batch;
};

/*
 * Whether CPUs may go on using the old entry until the batch is flushed. Whoever faults at the
 * address meanwhile must get the same frame: it is found by the swap entry, and so is a file's
 * page, except by a write to a private mapping, which makes a copy. And nobody may write a page of
 * a file to its store, nor drop one that was freed lazily, while CPUs can still store to it: that
 * is, while they may know an entry that was dirty.
 */
static bool may_put_off(const struct page *page, const struct vm_area_struct *vma, pteval_t pte)
{
	if (page_anon(page))
		return page_test(page, PG_swapcache) && !page_test(page, PG_lazyfree);
	return !(pte & (PTE_WRITE | PTE_DIRTY)) &&
	       (vma_is_shared(vma) || !(vma->vm_flags & VM_WRITE));
}

static bool try_to_unmap_one(struct page *page, struct vm_area_struct *vma, uint64_t address,
			     void *argument)
{
	const struct unmap *unmap = argument;
	struct mm_struct *mm = vma->vm_mm;
	struct spinlock *ptl;
	pte_t *pte = page_vma_mapped(page, vma, address, &ptl);
	bool unmapped = false;

	if (!pte)
		return true;
	if (!must_keep(page, vma, unmap->flags)) {
		pteval_t old = pte_exchange(pte, 0);

		revoke_batch_add(may_put_off(page, vma, old) ? unmap->batch : NULL, mm, address,
				 pte_pfn(old));
		unmapped = page_anon(page) ? unmap_anon(page, vma, pte, old)
					   : unmap_file(page, vma, old);
	}
	if (unmapped) {
		vma_event(vma, MAPPING_EVICTION);
		page_remove_rmap(page);
	}
	spin_unlock(ptl);
	if (unmapped)
		put_page(mm->quire, page);
	return unmapped;
}

bool try_to_unmap(struct page *page, uint32_t flags, struct revoke_batch *batch)
{
	struct unmap unmap = {.flags = flags, .batch = batch};
	const struct rmap_walk_control control = {
		.one = try_to_unmap_one,
		.argument = &unmap,
		.try_lock = !(flags & TTU_WAIT),
	};

	/* While it waits for a reverse map, others may be waiting for the batch. */
	QUIRE_ASSERT(1, page_locked(page) && !(batch && (flags & TTU_WAIT)));
	if (page_mapped(page))
		rmap_walk(page, &control);
	return !page_mapped(page);
}
