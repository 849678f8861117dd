/* SPDX-License-Identifier: MIT */
/*
 * Batched revocation (mmu_gather.h): first every CPU forgets the range, then the frames are put.
 */
#include "core/pgtable/mmu_gather.h"

#include "core/instance/instance.h"
#include "core/vma/mm.h"

static void tlb_reset_range(struct mmu_gather *tlb)
{
	tlb->start = UINT64_MAX;
	tlb->end = 0;
}

void tlb_gather_mmu(struct mmu_gather *tlb, struct mm_struct *mm)
{
	/* Field by field: the pages need no clearing. */
	tlb->mm = mm;
	tlb->count = 0;
	tlb_reset_range(tlb);
}

bool tlb_remove_page(struct mmu_gather *tlb, struct page *page)
{
	QUIRE_ASSERT(1, tlb->count < MMU_GATHER_BATCH);
	tlb->pages[tlb->count++] = page;
	return tlb->count == MMU_GATHER_BATCH;
}

void tlb_flush_mmu(struct mmu_gather *tlb)
{
	if (tlb->start < tlb->end) {
		flush_tlb_range(tlb->mm, tlb->start, tlb->end);
		tlb_reset_range(tlb);
	}
	for (uint32_t i = 0; i < tlb->count; i++)
		put_page(tlb->mm->quire, tlb->pages[i]);
	tlb->count = 0;
}

void tlb_finish_mmu(struct mmu_gather *tlb)
{
	tlb_flush_mmu(tlb);
}

void flush_tlb_range(struct mm_struct *mm, uint64_t start, uint64_t end)
{
	struct quire_machine *machine = mm->quire->machine;

	machine->ops->revoke(machine, mm->machine_context, start, end);
	count_event(mm->quire, EVENT_REVOKE, 1);
}
