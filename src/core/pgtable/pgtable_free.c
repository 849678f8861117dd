/* SPDX-License-Identifier: MIT */
/*
 * Freeing page tables: those around an unmapped range, and all that is left of an mm.
 *
 * A CPU may be walking a table that is taken out here, so its frame goes through the mmu_gather: it
 * is freed only after the machine has revoked the range that it served.
 */
#include "core/pgtable/pgtable.h"

#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/pgtable/stale_tables.h"
#include "core/vma/mm.h"

/* How far around the range nothing is mapped, in bytes; the upper end is inclusive, so that none (0
 * as a ceiling) is the top of all addresses. */
struct free_range {
	struct mmu_gather *tlb;
	uint64_t floor;
	uint64_t ceiling_last;
};

static bool table_is_empty(const void *base, pfn_t table)
{
	for (uint32_t i = 0; i < PTRS_PER_TABLE; i++)
		if (pte_load(&table_entries(base, table)[i]))
			return false;
	return true;
}

/* Takes the table below `entry` out of the tree and hands its frame to the gather. */
static void table_remove(struct mmu_gather *tlb, pte_t *entry, uint64_t address)
{
	struct mm_struct *mm = tlb->mm;
	pfn_t table = pte_pfn(pte_load(entry));

	QUIRE_ASSERT(2, table_is_empty(mm->quire->zone.base, table));
	spin_lock(&mm->page_table_lock);
	set_pte(entry, 0);
	spin_unlock(&mm->page_table_lock);
	atomic_fetch_sub_explicit(&mm->pgtables, 1, memory_order_relaxed);
	tlb_note_table(tlb, address);
	if (tlb_remove_page(tlb, pfn_to_page(&mm->quire->zone, table)))
		tlb_flush_mmu(tlb);
}

/* Frees what it may of the tables below `table`, whose entries span 1 << shift bytes, between
 * `first` and `last`. */
static void free_tables_below(const struct free_range *range, pfn_t table, uint32_t shift,
			      uint64_t first, uint64_t last)
{
	const void *base = range->tlb->mm->quire->zone.base;
	uint64_t span = (uint64_t)1 << shift;

	for (uint64_t address = first & ~(span - 1); address <= last; address += span) {
		pte_t *entry = &table_entries(base, table)[table_index(address, shift)];
		pteval_t value = pte_load(entry);
		uint64_t span_last = address + span - 1;

		if (!pte_present(value))
			continue;
		if (shift > PMD_SHIFT)
			free_tables_below(range, pte_pfn(value), shift - (PGD_SHIFT - PUD_SHIFT),
					  max_u64(address, first), min_u64(span_last, last));
		if (address >= range->floor && span_last <= range->ceiling_last)
			table_remove(range->tlb, entry, address);
	}
}

void free_pgtables(struct mmu_gather *tlb, uint64_t start, uint64_t end, uint64_t floor,
		   uint64_t ceiling)
{
	struct free_range range = {
		.tlb = tlb,
		.floor = floor,
		.ceiling_last = ceiling - 1,
	};

	if (start < end)
		free_tables_below(&range, tlb->mm->pgd, PGD_SHIFT, start, end - 1);
}

static void free_all_below(struct mm_struct *mm, pfn_t table, uint32_t shift)
{
	struct zone *zone = &mm->quire->zone;

	for (uint32_t i = 0; shift > PAGE_SHIFT && i < table_entries_of_mm(shift); i++) {
		pteval_t entry = pte_load(&table_entries(zone->base, table)[i]);

		if (pte_present(entry))
			free_all_below(mm, pte_pfn(entry), shift - (PGD_SHIFT - PUD_SHIFT));
	}
	QUIRE_ASSERT(2, shift > PAGE_SHIFT || table_is_empty(zone->base, table));
	atomic_fetch_sub_explicit(&mm->pgtables, 1, memory_order_relaxed);
	table_put(mm->quire, pfn_to_page(zone, table));
}

void pgd_free(struct mm_struct *mm)
{
	free_all_below(mm, mm->pgd, PGD_SHIFT);
	QUIRE_ASSERT(1, !atomic_load_explicit(&mm->pgtables, memory_order_relaxed));
}
