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

/* One table's worth of work; rss changes are collected so that the counters are touched once. */
struct zap_state {
	struct mmu_gather *tlb;
	struct vm_area_struct *vma;
	const struct zap_details *details;
	int64_t rss[MM_RSS_ITEMS];
	bool gather_full;
};

/* The bits that the CPU set in the entry move to the page while the entry's lock still keeps it
 * stable. */
static void harvest_file_pte(const struct zap_state *zap, struct page *page, pteval_t pte)
{
	if (pte & PTE_DIRTY)
		set_page_dirty(page);
	if ((pte & PTE_ACCESSED) && !(zap->vma->vm_flags & (VM_RAND_READ | VM_SEQ_READ)))
		mark_page_accessed(page);
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
	tlb_note(zap->tlb, address);
	if (!page)
		return;
	if (page_anon(page)) {
		zap->rss[MM_ANONPAGES]--;
	} else {
		harvest_file_pte(zap, page, pte);
		zap->rss[page_test(page, PG_swapbacked) ? MM_SHMEMPAGES : MM_FILEPAGES]--;
	}
	page_remove_rmap(page);
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
	spin_unlock(ptl);
	return address;
}

void zap_page_range(struct mmu_gather *tlb, struct vm_area_struct *vma, uint64_t start,
		    uint64_t end, const struct zap_details *details)
{
	struct mm_struct *mm = vma->vm_mm;
	struct zap_state zap = {.tlb = tlb, .vma = vma, .details = details};
	uint64_t address = start;
	pte_t *entry;

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
			add_mm_rss(mm, (enum mm_rss)item, zap.rss[item]);
}
