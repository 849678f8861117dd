/* SPDX-License-Identifier: MIT */
/*
 * mmu_gather: batched revocation. Pages whose entries were dropped, and table frames, are kept here
 * until the machine has revoked the range from every CPU; only then are they put. Never fails: when
 * the batch is full it flushes.
 *
 * A machine may know translations by address or by frame, so both are noted: a range that covers
 * all addresses, and each frame that a changed entry mapped.
 */
#ifndef QUIRE_CORE_PGTABLE_MMU_GATHER_H
#define QUIRE_CORE_PGTABLE_MMU_GATHER_H

#include "core/pgtable/pgtable.h"

#include <quire/machine.h>

#define MMU_GATHER_BATCH 256

/* Frames, in ranges of neighbours as far as they come in order, up or down. */
struct frame_ranges {
	uint32_t count;
	bool all; /* more than there was room for */
	struct quire_frame_range ranges[MMU_GATHER_BATCH];
};

static inline void frame_ranges_init(struct frame_ranges *frames)
{
	/* Field by field: the ranges need no clearing. */
	frames->count = 0;
	frames->all = false;
}

/* False: there is no room for one more range. */
static inline bool frame_ranges_add(struct frame_ranges *frames, pfn_t pfn)
{
	if (likely(frames->count)) {
		struct quire_frame_range *last = &frames->ranges[frames->count - 1];

		if (pfn - last->first < last->count)
			return true;
		if (pfn == last->first + last->count) {
			last->count++;
			return true;
		}
		if (pfn + 1 == last->first) {
			last->first = pfn;
			last->count++;
			return true;
		}
		if (unlikely(frames->count == MMU_GATHER_BATCH))
			return false;
	}
	frames->ranges[frames->count++] = (struct quire_frame_range){.first = pfn, .count = 1};
	return true;
}

struct mmu_gather {
	struct mm_struct *mm;
	uint64_t start; /* bytes: revoke [start, end), empty when start >= end */
	uint64_t end;
	uint32_t count;
	struct page *pages[MMU_GATHER_BATCH];
	struct frame_ranges frames;
};

void tlb_gather_mmu(struct mmu_gather *tlb, struct mm_struct *mm);
/* Revokes what was noted so far; the pages stay in the gather. */
void tlb_revoke(struct mmu_gather *tlb);

/* A table that served the address is gone. */
static inline void tlb_note_table(struct mmu_gather *tlb, uint64_t address)
{
	if (address < tlb->start)
		tlb->start = address;
	if (address + PAGE_SIZE > tlb->end)
		tlb->end = address + PAGE_SIZE;
}

/*
 * The entry for `address`, which maps or mapped frame `pfn`, became absent or less permissive: it
 * has changed already. May revoke at once, so the caller may hold the table's lock but nothing
 * inside.
 */
static inline void tlb_note(struct mmu_gather *tlb, uint64_t address, pfn_t pfn)
{
	if (unlikely(!frame_ranges_add(&tlb->frames, pfn))) {
		tlb_revoke(tlb);
		frame_ranges_add(&tlb->frames, pfn);
	}
	tlb_note_table(tlb, address);
}
/* True when the batch is full: the caller drops the table's lock, calls tlb_flush_mmu() and goes
 * on. The reference moves to the gather. */
bool tlb_remove_page(struct mmu_gather *tlb, struct page *page);
void tlb_flush_mmu(struct mmu_gather *tlb);
/* The end of a gather also waits for what reclaim has put off in this mm: nothing that is gone from
 * the page tables can be used any more. No spin lock is held. */
void tlb_finish_mmu(struct mmu_gather *tlb);

/* Revokes at once, with nothing to free: one entry, which maps or mapped frame `pfn`, */
void flush_tlb_page(struct mm_struct *mm, uint64_t address, pfn_t pfn);
/* or entries anywhere in the mm, which map these frames (none: nothing is revoked). */
void flush_tlb_mm(struct mm_struct *mm, const struct frame_ranges *frames);

/*
 * Revocations that reclaim puts off, to make one of many: entries of one mm at a time, perhaps all
 * over it. Until they are flushed, none of the pages is freed, written, or read to be written, by
 * whoever put them off; and a call that changes the mm ends only after the flush
 * (mm_wait_revokes()). What is put off must be harmless meanwhile for the program itself: a fault
 * at the same address that comes in between must find the same frame, or revoke it.
 */
struct revoke_batch {
	struct mm_struct *mm; /* NULL: nothing is put off; kept in memory by mm->revokes_pending */
	uint64_t start;
	uint64_t end;
	struct frame_ranges frames;
};

static inline void revoke_batch_init(struct revoke_batch *batch)
{
	batch->mm = NULL;
}
/* As flush_tlb_page(), later. Under the entry's lock, which keeps the mm. `batch` NULL: at once. */
void revoke_batch_add(struct revoke_batch *batch, struct mm_struct *mm, uint64_t address,
		      pfn_t pfn);
/* May be called with any lock inside which a revocation may be, and before every wait. NULL: none.
 */
void revoke_batch_flush(struct revoke_batch *batch);
/* Returns when no revocation that was put off before is outstanding. No spin lock is held, nor
 * anything that reclaim waits for. */
void mm_wait_revokes(struct mm_struct *mm);

#endif
