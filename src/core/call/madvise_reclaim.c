/* SPDX-License-Identifier: MIT */
/*
 * Advice that gives memory back: DONTNEED drops what is mapped, FREE lets private pages be dropped
 * unless they are written again, COLD makes pages the next to go, PAGEOUT evicts them at once.
 *
 * None of them may touch locked memory. FREE, COLD and PAGEOUT leave pages alone that other
 * processes map too.
 */
#include "core/call/madvise.h"
#include "core/call/page_walk.h"
#include "core/fault/fault.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/swap.h"
#include "core/reclaim/vmscan.h"

#include <errno.h>

static bool may_be_dropped(const struct vm_area_struct *vma)
{
	return !(vma->vm_flags & (VM_LOCKED | VM_PFNMAP));
}

int madvise_dontneed(const struct madvise_range *range)
{
	const struct zap_details details = {.keep_guards = true};
	struct mmu_gather tlb;

	if (!may_be_dropped(range->vma) &&
	    (range->advice != QUIRE_MADV_DONTNEED_LOCKED || (range->vma->vm_flags & VM_PFNMAP)))
		return -EINVAL;
	tlb_gather_mmu(&tlb, range->mm);
	zap_page_range(&tlb, range->vma, range->start, range->end, &details);
	tlb_finish_mmu(&tlb);
	return 0;
}

/*
 * A page that has a copy in swap, or is dirty as a page, would survive being dropped: it loses
 * both, so that only a new store (the entry's dirty bit) keeps it. False: it is in use elsewhere.
 */
static bool make_clean(struct quire *quire, struct page *page)
{
	bool clean;

	if (!page_test(page, PG_swapcache) && !page_test(page, PG_dirty))
		return true;
	if (!trylock_page(page))
		return false;
	clean = page_mapcount(page) == 1 && !page_test(page, PG_writeback) &&
		(!page_test(page, PG_swapcache) || try_to_free_swap(quire, page));
	if (clean)
		page_clear(page, PG_dirty);
	unlock_page(page);
	return clean;
}

static void free_present_pte(struct mmu_gather *tlb, struct vm_area_struct *vma, pte_t *pte,
			     uint64_t address)
{
	struct quire *quire = vma->vm_mm->quire;
	pteval_t value = pte_load(pte);
	struct page *page;

	if (value & PTE_SPECIAL)
		return;
	page = pfn_to_page(&quire->zone, pte_pfn(value));
	if (!page_anon(page) || page_mapcount(page) != 1 || !make_clean(quire, page))
		return;
	if (value & (PTE_ACCESSED | PTE_DIRTY)) {
		pte_modify_bits(pte, PTE_ACCESSED | PTE_DIRTY, 0);
		tlb_note(tlb, address, pte_pfn(value));
	}
	mark_page_lazyfree(quire, page);
}

static uint64_t free_ptes(struct vm_area_struct *vma, pte_t *pte, uint64_t address, uint64_t end,
			  void *argument)
{
	struct quire *quire = vma->vm_mm->quire;
	struct mmu_gather *tlb = argument;
	int64_t swapped = 0;

	for (; address < end; address += PAGE_SIZE, pte++) {
		pteval_t value = pte_load(pte);

		if (pte_present(value)) {
			free_present_pte(tlb, vma, pte, address);
		} else if (pte_swap(value)) {
			set_pte(pte, 0);
			swap_free(quire, pte_to_swp_entry(value));
			swapped++;
		}
	}
	if (swapped)
		add_mm_rss(vma->vm_mm, MM_SWAPENTS, -swapped);
	/*
	 * A store through an old translation would not set the dirty bit again, so it must be gone
	 * before anyone takes the page for clean: before the table's lock is.
	 */
	tlb_flush_mmu(tlb);
	return end;
}

int madvise_free(const struct madvise_range *range)
{
	struct mmu_gather tlb;

	if (!vma_is_anonymous(range->vma) || !may_be_dropped(range->vma))
		return -EINVAL;
	/* Pages still in a thread's batch are on no list that reclaim looks at. */
	lru_add_drain(range->mm->quire);
	tlb_gather_mmu(&tlb, range->mm);
	walk_page_range(range->vma, range->start, range->end, free_ptes, &tlb);
	tlb_finish_mmu(&tlb);
	return 0;
}

struct cold_walk {
	struct mmu_gather tlb;
	struct list_head isolated; /* PAGEOUT: pages taken off their lists */
	bool pageout;
};

static void cold_pte(struct cold_walk *walk, struct quire *quire, pte_t *pte, uint64_t address)
{
	pteval_t value = pte_load(pte);
	struct page *page;

	if (!pte_present(value) || (value & PTE_SPECIAL))
		return;
	page = pfn_to_page(&quire->zone, pte_pfn(value));
	if (page_mapcount(page) != 1)
		return;
	if (value & PTE_ACCESSED) {
		pte_modify_bits(pte, PTE_ACCESSED, 0);
		tlb_note(&walk->tlb, address, pte_pfn(value));
	}
	page_clear(page, PG_referenced);
	if (!walk->pageout)
		deactivate_page(quire, page);
	else if (isolate_page(page))
		list_add_tail(&page->lru, &walk->isolated);
}

static uint64_t cold_ptes(struct vm_area_struct *vma, pte_t *pte, uint64_t address, uint64_t end,
			  void *argument)
{
	struct cold_walk *walk = argument;

	for (; address < end; address += PAGE_SIZE, pte++)
		cold_pte(walk, vma->vm_mm->quire, pte, address);
	return end;
}

int madvise_cold(const struct madvise_range *range)
{
	struct quire *quire = range->mm->quire;
	struct cold_walk walk = {
		.isolated = LIST_HEAD_INIT(walk.isolated),
		.pageout = range->advice == QUIRE_MADV_PAGEOUT,
	};

	if (!may_be_dropped(range->vma))
		return -EINVAL;
	lru_add_drain_all(quire);
	tlb_gather_mmu(&walk.tlb, range->mm);
	walk_page_range(range->vma, range->start, range->end, cold_ptes, &walk);
	tlb_finish_mmu(&walk.tlb);
	if (!list_empty(&walk.isolated))
		reclaim_pages(quire, &walk.isolated);
	return 0;
}
