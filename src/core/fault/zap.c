/* SPDX-License-Identifier: MIT */
/*
 * Unmapping: drops what the page table holds for a range of a VMA. Pages go through the mmu_gather,
 * so that no frame is free before every CPU has forgotten it.
 */
#include "core/fault/fault.h"
#include "core/file/filemap.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma_stat.h"

#include <string.h>

/* One table's worth of work; rss changes are collected so that the counters are touched once. */
struct zap_state {
	struct mmu_gather *tlb;
	struct vm_area_struct *vma;
	const struct zap_details *details;
	int64_t rss[MM_RSS_ITEMS];
	bool gather_full;
	uint32_t nr_dirty;
	struct page *dirty[MMU_GATHER_BATCH]; /* file pages, in the gather too */
};

/*
 * A page of a file that CPUs may still be writing through their translations. Were it marked dirty
 * at once, writeback could clean and write it before their last stores. So it is marked, and stops
 * being mapped, after the flush: settle_dirty_pages().
 */
static bool may_still_be_written(const struct page *page, pteval_t pte)
{
	return (pte & PTE_DIRTY) && !page_test(page, PG_swapbacked);
}

/* Before the entries' lock is dropped, which keeps the pages in their file. */
static void settle_dirty_pages(struct zap_state *zap)
{
	if (!zap->nr_dirty)
		return;
	tlb_revoke(zap->tlb);
	for (uint32_t i = 0; i < zap->nr_dirty; i++) {
		set_page_dirty(zap->dirty[i]);
		page_remove_rmap(zap->dirty[i]);
	}
	zap->nr_dirty = 0;
}

static void zap_file_page(struct zap_state *zap, struct page *page, pteval_t pte)
{
	if ((pte & PTE_ACCESSED) && !(zap->vma->vm_flags & (VM_RAND_READ | VM_SEQ_READ)))
		mark_page_accessed(page);
	zap->rss[page_test(page, PG_swapbacked) ? MM_SHMEMPAGES : MM_FILEPAGES]--;
	if (may_still_be_written(page, pte)) {
		zap->dirty[zap->nr_dirty++] = page;
		return;
	}
	if (pte & PTE_DIRTY)
		set_page_dirty(page);
	page_remove_rmap(page);
}

static void zap_present_pte(struct zap_state *zap, pte_t *entry, uint64_t address, pteval_t pte)
{
	struct page *page = NULL;

	if (!(pte & PTE_SPECIAL)) {
		page = pfn_to_page(&zap->vma->vm_mm->quire->zone, pte_pfn(pte));
		if (zap->details->file_only && page_anon(page))
			return;
	}
	pte = pte_exchange(entry, 0);
	tlb_note(zap->tlb, address, pte_pfn(pte));
	if (!page)
		return;
	if (page_anon(page)) {
		zap->rss[MM_ANONPAGES]--;
		page_remove_rmap(page);
	} else {
		zap_file_page(zap, page, pte);
	}
	zap->gather_full = tlb_remove_page(zap->tlb, page);
}

static void zap_nonpresent_pte(struct zap_state *zap, pte_t *entry, pteval_t pte)
{
	if (pte_guard(pte)) {
		if (!zap->details->keep_guards)
			set_pte(entry, 0);
		return;
	}
	/* Swapped pages are private copies. */
	if (zap->details->file_only)
		return;
	set_pte(entry, 0);
	swap_free(zap->vma->vm_mm->quire, pte_to_swp_entry(pte));
	zap->rss[MM_SWAPENTS]--;
}

/* Entries from `entry` on, all in one table, until `end` or until the gather is full; returns where
 * it stopped. */
static uint64_t zap_pte_range(struct zap_state *zap, pte_t *entry, uint64_t address, uint64_t end)
{
	struct spinlock *ptl = pte_lockptr(zap->vma->vm_mm, entry);

	spin_lock(ptl);
	for (; address < end && !zap->gather_full; address += PAGE_SIZE, entry++) {
		pteval_t pte = pte_load(entry);

		if (pte_none(pte))
			continue;
		if (pte_present(pte))
			zap_present_pte(zap, entry, address, pte);
		else
			zap_nonpresent_pte(zap, entry, pte);
	}
	settle_dirty_pages(zap);
	spin_unlock(ptl);
	return address;
}

/* Field by field: the list of pages needs no clearing. */
static void zap_init(struct zap_state *zap, struct mmu_gather *tlb, struct vm_area_struct *vma,
		     const struct zap_details *details)
{
	zap->tlb = tlb;
	zap->vma = vma;
	zap->details = details;
	memset(zap->rss, 0, sizeof(zap->rss));
	zap->gather_full = false;
	zap->nr_dirty = 0;
}

void zap_page_range(struct mmu_gather *tlb, struct vm_area_struct *vma, uint64_t start,
		    uint64_t end, const struct zap_details *details)
{
	struct mm_struct *mm = vma->vm_mm;
	struct zap_state zap;
	uint64_t address = start;
	pte_t *entry;

	zap_init(&zap, tlb, vma, details);
	while ((address = pte_find_next(mm, address, end, &entry)) < end) {
		uint64_t table_end = (address & ~(PMD_SIZE - 1)) + PMD_SIZE;

		address = zap_pte_range(&zap, entry, address, min_u64(end, table_end));
		if (zap.gather_full) {
			tlb_flush_mmu(tlb);
			zap.gather_full = false;
		}
	}
	for (int item = 0; item < MM_RSS_ITEMS; item++)
		if (zap.rss[item])
			add_vma_rss(vma, (enum mm_rss)item, zap.rss[item]);
}
