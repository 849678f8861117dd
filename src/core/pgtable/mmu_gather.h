/* SPDX-License-Identifier: MIT */
/*
 * mmu_gather: batched revocation. Pages whose entries were dropped, and table frames, are kept here
 * until the machine has revoked the range from every CPU; only then are they put. Never fails: when
 * the batch is full it flushes.
 */
#ifndef QUIRE_CORE_PGTABLE_MMU_GATHER_H
#define QUIRE_CORE_PGTABLE_MMU_GATHER_H

#include "core/pgtable/pgtable.h"

#define MMU_GATHER_BATCH 256

struct mmu_gather {
	struct mm_struct *mm;
	uint64_t start; /* bytes: revoke [start, end), empty when start >= end */
	uint64_t end;
	uint32_t count;
	struct page *pages[MMU_GATHER_BATCH];
};

void tlb_gather_mmu(struct mmu_gather *tlb, struct mm_struct *mm);
/* The entry for `address` became absent or less permissive. */
static inline void tlb_note(struct mmu_gather *tlb, uint64_t address)
{
	if (address < tlb->start)
		tlb->start = address;
	if (address + PAGE_SIZE > tlb->end)
		tlb->end = address + PAGE_SIZE;
}
/* True when the batch is full: the caller drops the table's lock, calls tlb_flush_mmu() and goes
 * on. The reference moves to the gather. */
bool tlb_remove_page(struct mmu_gather *tlb, struct page *page);
void tlb_flush_mmu(struct mmu_gather *tlb);
void tlb_finish_mmu(struct mmu_gather *tlb);

/* Revokes at once, with nothing to free. */
void flush_tlb_range(struct mm_struct *mm, uint64_t start, uint64_t end);
static inline void flush_tlb_page(struct mm_struct *mm, uint64_t address)
{
	flush_tlb_range(mm, address, address + PAGE_SIZE);
}

#endif
