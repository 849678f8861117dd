/* SPDX-License-Identifier: MIT */
/*
 * Moving page-table entries between two ranges of an mm (see move_page_tables.h).
 *
 * Entries move table by table with the locks of both tables held, the lower address of the two
 * struct pages first. The old translations are revoked before the locks are released: a reverse-map
 * walk that then finds the page at its new place, and revokes that, must be sure to have reached
 * every CPU.
 */
#include "core/call/move_page_tables.h"

#include "core/call/page_walk.h"
#include "core/pgtable/mmu_gather.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma.h"

#include <errno.h>

/* Bytes from both addresses on that lie in one table each. */
static uint64_t common_span(uint64_t from, uint64_t to, uint64_t bytes)
{
	return min_u64(bytes, min_u64(pte_table_end(from) - from, pte_table_end(to) - to));
}

int prepare_page_tables(struct mm_struct *mm, uint64_t from, uint64_t to, uint64_t bytes)
{
	const uint64_t end = from + bytes;
	const uint64_t shift = to - from;
	uint64_t address = from;
	pte_t *pte;

	while ((address = pte_find_next(mm, address, end, &pte)) < end) {
		if (!pte_alloc(mm, address + shift))
			return -ENOMEM;
		address += common_span(address, address + shift, end - address);
	}
	return 0;
}

void discard_page_tables(struct mm_struct *mm, uint64_t start, uint64_t end)
{
	struct vm_area_struct *prev;
	struct vm_area_struct *next = find_vma_prev(mm, start, &prev);
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, mm);
	free_pgtables(&tlb, start, end, prev ? prev->vm_end : 0, next ? next->vm_start : 0);
	tlb_finish_mmu(&tlb);
}

static void lock_two_tables(struct spinlock *a, struct spinlock *b)
{
	spin_lock(a < b ? a : b);
	if (a != b)
		spin_lock_nested(a < b ? b : a);
}

static void unlock_two_tables(struct spinlock *a, struct spinlock *b)
{
	if (a != b)
		spin_unlock(b);
	spin_unlock(a);
}

/* `bytes` bytes that lie in one table on both sides; the source's first entry is `from_pte`. */
static void move_ptes(struct mm_struct *mm, pte_t *from_pte, uint64_t from, uint64_t to,
		      uint64_t bytes)
{
	pte_t *to_pte = pte_find(mm, to);
	struct spinlock *from_lock = pte_lockptr(mm, from_pte);
	struct spinlock *to_lock = pte_lockptr(mm, to_pte);
	struct mmu_gather tlb;
	bool present = false;

	tlb_gather_mmu(&tlb, mm);
	lock_two_tables(from_lock, to_lock);
	for (uint64_t i = 0; i < bytes >> PAGE_SHIFT; i++) {
		pteval_t value = pte_load(&from_pte[i]);

		if (pte_none(value))
			continue;
		value = pte_exchange(&from_pte[i], 0);
		QUIRE_ASSERT(1, pte_none(pte_load(&to_pte[i])));
		set_pte(&to_pte[i], value);
		if (pte_present(value)) {
			tlb_note(&tlb, from + (i << PAGE_SHIFT), pte_pfn(value));
			present = true;
		}
	}
	tlb_revoke(&tlb);
	unlock_two_tables(from_lock, to_lock);
	if (present)
		publish_range(mm, to, to + bytes);
}

void move_page_tables(const struct page_table_move *move)
{
	struct mm_struct *mm = move->vma->vm_mm;
	const uint64_t end = move->from + move->bytes;
	const uint64_t shift = move->to - move->from;
	uint64_t address = move->from;
	pte_t *pte;

	while ((address = pte_find_next(mm, address, end, &pte)) < end) {
		uint64_t span = common_span(address, address + shift, end - address);

		if (move->need_rmap_locks)
			vma_rmap_lock(move->vma);
		move_ptes(mm, pte, address, address + shift, span);
		if (move->need_rmap_locks)
			vma_rmap_unlock(move->vma);
		address += span;
	}
	mm_wait_revokes(mm);
}
