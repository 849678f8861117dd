/* SPDX-License-Identifier: MIT */
/*
 * Batched revocation (mmu_gather.h): first every CPU forgets the entries, then the frames are put.
 */
#include "core/pgtable/mmu_gather.h"

#include "core/instance/instance.h"
#include "core/pgtable/stale_tables.h"
#include "core/vma/mm.h"

static void revoke(struct mm_struct *mm, const struct quire_revoke *what)
{
	struct quire_machine *machine = mm->quire->machine;

	machine->ops->revoke(machine, mm->machine_context, what);
	count_event(mm->quire, EVENT_REVOKE, 1);
}

static void tlb_reset(struct mmu_gather *tlb)
{
	tlb->start = UINT64_MAX;
	tlb->end = 0;
	frame_ranges_init(&tlb->frames);
}

void tlb_gather_mmu(struct mmu_gather *tlb, struct mm_struct *mm)
{
	/* Field by field: the arrays need no clearing. */
	tlb->mm = mm;
	tlb->count = 0;
	tlb_reset(tlb);
}

bool tlb_remove_page(struct mmu_gather *tlb, struct page *page)
{
	QUIRE_ASSERT(1, tlb->count < MMU_GATHER_BATCH);
	tlb->pages[tlb->count++] = page;
	return tlb->count == MMU_GATHER_BATCH;
}

void tlb_revoke(struct mmu_gather *tlb)
{
	const struct quire_revoke what = {
		.start = tlb->start,
		.end = tlb->end,
		.frames = tlb->frames.ranges,
		.nr_frames = tlb->frames.count,
	};

	if (tlb->start >= tlb->end)
		return;
	revoke(tlb->mm, &what);
	tlb_reset(tlb);
}

void tlb_flush_mmu(struct mmu_gather *tlb)
{
	struct quire *quire = tlb->mm->quire;

	tlb_revoke(tlb);
	for (uint32_t i = 0; i < tlb->count; i++) {
		if (unlikely(page_test(tlb->pages[i], PG_table)))
			table_put(quire, tlb->pages[i]);
		else
			put_page(quire, tlb->pages[i]);
	}
	tlb->count = 0;
}

void tlb_finish_mmu(struct mmu_gather *tlb)
{
	tlb_flush_mmu(tlb);
	mm_wait_revokes(tlb->mm);
}

void flush_tlb_page(struct mm_struct *mm, uint64_t address, pfn_t pfn)
{
	const struct quire_frame_range frame = {.first = pfn, .count = 1};
	const struct quire_revoke what = {
		.start = address,
		.end = address + PAGE_SIZE,
		.frames = &frame,
		.nr_frames = 1,
	};

	revoke(mm, &what);
}

void flush_tlb_mm(struct mm_struct *mm, const struct frame_ranges *frames)
{
	const struct quire_revoke what = {
		.end = mm->task_size,
		.frames = frames->ranges,
		.nr_frames = frames->all ? 0 : frames->count,
		.all_frames = frames->all,
	};

	if (frames->count)
		revoke(mm, &what);
}

void revoke_batch_add(struct revoke_batch *batch, struct mm_struct *mm, uint64_t address, pfn_t pfn)
{
	if (!batch) {
		flush_tlb_page(mm, address, pfn);
		return;
	}
	if (batch->mm != mm || !frame_ranges_add(&batch->frames, pfn)) {
		revoke_batch_flush(batch);
		batch->mm = mm;
		atomic_fetch_add_explicit(&mm->revokes_pending, 1, memory_order_relaxed);
		batch->start = UINT64_MAX;
		batch->end = 0;
		frame_ranges_init(&batch->frames);
		frame_ranges_add(&batch->frames, pfn);
	}
	batch->start = min_u64(batch->start, address);
	batch->end = max_u64(batch->end, address + PAGE_SIZE);
}

/* The count is the last that is touched of the mm, which may end then. */
void revoke_batch_flush(struct revoke_batch *batch)
{
	struct mm_struct *mm = batch ? batch->mm : NULL;

	if (!mm)
		return;

	const struct quire_revoke what = {
		.start = batch->start,
		.end = batch->end,
		.frames = batch->frames.ranges,
		.nr_frames = batch->frames.count,
	};

	revoke(mm, &what);
	batch->mm = NULL;
	atomic_fetch_sub_explicit(&mm->revokes_pending, 1, memory_order_release);
}

/* Who saw an entry changed, under its lock, sees the count as well. */
void mm_wait_revokes(struct mm_struct *mm)
{
	for (uint32_t spins = 0; atomic_load_explicit(&mm->revokes_pending, memory_order_acquire);
	     spins++)
		quire_relax(spins);
}
