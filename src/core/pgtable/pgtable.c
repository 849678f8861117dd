/* SPDX-License-Identifier: MIT */
/*
 * Finding and making page-table entries (pgtable.h has the format and the locks).
 *
 * A table once hung into its parent stays until free_pgtables() or pgd_free(), so walks need no
 * lock: an entry of an upper level changes once from empty to present while mmap_lock is held.
 */
#include "core/pgtable/pgtable.h"

#include "core/instance/instance.h"
#include "core/vma/mm.h"

#include <errno.h>

/* A table frame that belongs to no mm yet; contents zero. NULL: no memory. */
static struct page *table_alloc(struct mm_struct *mm)
{
	struct page *page = alloc_page(mm->quire, GFP_RECLAIM | GFP_RESERVE | GFP_ZERO);

	if (page) {
		page_set(page, PG_table);
		spin_lock_init(&page->ptl, LOCK_PTE);
	}
	return page;
}

static void count_table(struct mm_struct *mm)
{
	atomic_fetch_add_explicit(&mm->pgtables, 1, memory_order_relaxed);
}

int pgd_alloc(struct mm_struct *mm)
{
	struct page *page = table_alloc(mm);

	if (!page)
		return -ENOMEM;
	mm->pgd = page_to_pfn(&mm->quire->zone, page);
	count_table(mm);
	return 0;
}

/* Fills an empty entry of an upper level; another thread may be faster. False: no memory. */
static bool table_make(struct mm_struct *mm, pte_t *entry)
{
	struct page *page = table_alloc(mm);

	if (!page)
		return false;
	spin_lock(&mm->page_table_lock);
	if (likely(!pte_present(pte_load(entry)))) {
		set_pte(entry, pfn_pte(page_to_pfn(&mm->quire->zone, page), PTE_TABLE));
		count_table(mm);
		page = NULL;
	}
	spin_unlock(&mm->page_table_lock);
	if (unlikely(page != NULL))
		put_page(mm->quire, page);
	return true;
}

pte_t *pte_alloc(struct mm_struct *mm, uint64_t address)
{
	const void *base = mm->quire->zone.base;
	pfn_t table = mm->pgd;

	QUIRE_ASSERT(1, address < TASK_SIZE_MAX);
	for (uint32_t shift = PGD_SHIFT; shift > PAGE_SHIFT; shift -= PGD_SHIFT - PUD_SHIFT) {
		pte_t *entry = &table_entries(base, table)[table_index(address, shift)];

		if (unlikely(!pte_present(pte_load(entry))) && !table_make(mm, entry))
			return NULL;
		table = pte_pfn(pte_load(entry));
	}
	return &table_entries(base, table)[pte_index(address)];
}

pte_t *pte_find(struct mm_struct *mm, uint64_t address)
{
	return pte_walk(mm->quire->zone.base, mm->pgd, address);
}

uint64_t pte_find_next(struct mm_struct *mm, uint64_t address, uint64_t end, pte_t **pte)
{
	const void *base = mm->quire->zone.base;

	while (address < end) {
		pfn_t table = mm->pgd;
		uint32_t shift = PGD_SHIFT;

		while (shift > PAGE_SHIFT) {
			pteval_t entry =
				pte_load(&table_entries(base, table)[table_index(address, shift)]);

			if (!pte_present(entry))
				break;
			table = pte_pfn(entry);
			shift -= PGD_SHIFT - PUD_SHIFT;
		}
		if (shift == PAGE_SHIFT) {
			*pte = &table_entries(base, table)[pte_index(address)];
			return address;
		}
		/* Nothing is mapped up to the end of what the empty entry spans. */
		address = (address | (((uint64_t)1 << shift) - 1)) + 1;
	}
	*pte = NULL;
	return end;
}

struct spinlock *pte_lockptr(struct mm_struct *mm, pte_t *pte)
{
	struct zone *zone = &mm->quire->zone;
	pfn_t table = ((uintptr_t)pte - (uintptr_t)zone->base) >> PAGE_SHIFT;
	struct page *page = pfn_to_page(zone, table);

	QUIRE_ASSERT(1, table < zone->nr_frames && page_test(page, PG_table));
	return &page->ptl;
}
