/* SPDX-License-Identifier: MIT */
/*
 * Validation of an mm's page tables: every entry of every level.
 */
#include "core/pgtable/pgtable.h"

#include "core/instance/instance.h"
#include "core/vma/mm.h"

#define PTE_KNOWN_BITS \
	(PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY | PTE_SPECIAL | PTE_NX | \
	 PTE_FRAME_MASK)

struct table_check {
	struct zone *zone;
	struct check_report *report;
	uint64_t tables;
};

static void check_mapped_page(struct table_check *check, uint64_t address, pteval_t pte)
{
	const struct page *page = pfn_to_page(check->zone, pte_pfn(pte));
	unsigned long long at = address;

	CHECK_THAT(check->report,
		   page_count(page) > 0 && !page_test(page, PG_table) &&
			   !page_test(page, PG_buddy) && !page_test(page, PG_tail),
		   "%#llx maps frame %llu, which is not a page in use", at,
		   (unsigned long long)pte_pfn(pte));
	if (pte & PTE_SPECIAL) {
		CHECK_THAT(check->report, page_test(page, PG_reserved) && !(pte & PTE_WRITE),
			   "%#llx maps frame %llu uncounted, but it is not the zero page", at,
			   (unsigned long long)pte_pfn(pte));
		return;
	}
	CHECK_THAT(check->report,
		   page_mapped(page) && page_count(page) >= page_mapcount(page) &&
			   !page_test(page, PG_reserved),
		   "%#llx maps frame %llu, which counts %d mappings and %d references", at,
		   (unsigned long long)pte_pfn(pte), page_mapcount(page), page_count(page));
}

static void check_pte(struct table_check *check, uint64_t address, pteval_t pte)
{
	unsigned long long at = address;

	if (pte_none(pte))
		return;
	if (!pte_present(pte)) {
		CHECK_THAT(check->report, pte_swap(pte) || pte_guard(pte),
			   "%#llx holds %#llx, which is no swap entry", at,
			   (unsigned long long)pte);
		CHECK_THAT(check->report,
			   swp_entry_to_pte(pte_to_swp_entry(pte)) == (pte & ~SWP_EXCLUSIVE),
			   "%#llx holds a swap entry with stray bits: %#llx", at,
			   (unsigned long long)pte);
		return;
	}
	CHECK_THAT(check->report, !(pte & ~PTE_KNOWN_BITS), "%#llx holds unknown bits: %#llx", at,
		   (unsigned long long)pte);
	CHECK_THAT(check->report, pte_pfn(pte) < check->zone->nr_frames,
		   "%#llx maps frame %llu outside of the arena", at,
		   (unsigned long long)pte_pfn(pte));
	if (pte_pfn(pte) < check->zone->nr_frames)
		check_mapped_page(check, address, pte);
}

/* Whether the frame may be walked as a table. */
static bool check_table_frame(struct table_check *check, uint64_t address, pfn_t table)
{
	struct page *page = pfn_to_page(check->zone, table);
	bool sane = table < check->zone->nr_frames && page_test(page, PG_table);

	CHECK_THAT(check->report, sane, "the table for %#llx is frame %llu, which is none",
		   (unsigned long long)address, (unsigned long long)table);
	if (!sane)
		return false;
	check->tables++;
	CHECK_THAT(check->report, page_count(page) == 1 && !page_mapped(page),
		   "table frame %llu has %d references", (unsigned long long)table,
		   page_count(page));
	CHECK_THAT(check->report, !spin_is_locked(&page->ptl),
		   "the lock of table frame %llu is held", (unsigned long long)table);
	return true;
}

static void check_table(struct table_check *check, pfn_t table, uint32_t shift, uint64_t address)
{
	if (!check_table_frame(check, address, table))
		return;
	for (uint32_t i = 0; i < table_entries_of_mm(shift); i++) {
		uint64_t at = address + ((uint64_t)i << shift);
		pteval_t entry = pte_load(&table_entries(check->zone->base, table)[i]);

		if (shift == PAGE_SHIFT) {
			check_pte(check, at, entry);
		} else if (entry) {
			CHECK_THAT(check->report,
				   (entry & ~PTE_FRAME_MASK) == PTE_TABLE && at < TASK_SIZE_MAX,
				   "the upper entry for %#llx is %#llx", (unsigned long long)at,
				   (unsigned long long)entry);
			check_table(check, pte_pfn(entry), shift - (PGD_SHIFT - PUD_SHIFT), at);
		}
	}
}

void pgtable_validate(struct mm_struct *mm, struct check_report *report)
{
	struct table_check check = {.zone = &mm->quire->zone, .report = report};

	check_table(&check, mm->pgd, PGD_SHIFT, 0);
	CHECK_THAT(report, check.tables == atomic_load(&mm->pgtables),
		   "mm %s has %llu page tables, counted %llu", mm->name,
		   (unsigned long long)check.tables,
		   (unsigned long long)atomic_load(&mm->pgtables));
	CHECK_THAT(report, !spin_is_locked(&mm->page_table_lock),
		   "the page-table lock of mm %s is held", mm->name);
}
