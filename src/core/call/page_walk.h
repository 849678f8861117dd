/* SPDX-License-Identifier: MIT */
/*
 * What the calls share that look at the page-table entries of a range: a walk over the last-level
 * tables that exist.
 */
#ifndef QUIRE_CORE_CALL_PAGE_WALK_H
#define QUIRE_CORE_CALL_PAGE_WALK_H

#include "core/instance/instance.h"
#include "core/pgtable/pgtable.h"
#include "core/vma/mm.h"

/* First byte behind what one last-level table covers. */
static inline uint64_t pte_table_end(uint64_t address)
{
	return (address & ~(PMD_SIZE - 1)) + PMD_SIZE;
}

/*
 * Entries of one table, from `pte` on, for the addresses [address, end) of the VMA, the table's
 * lock held. Returns the address up to which it came: where it stopped early, the walk drops the
 * lock and calls again from there.
 */
typedef uint64_t (*walk_ptes_fn)(struct vm_area_struct *vma, pte_t *pte, uint64_t address,
				 uint64_t end, void *argument);

/* Calls `walk` for every table that there is in [start, end) of the VMA. mmap_lock held. */
static inline void walk_page_range(struct vm_area_struct *vma, uint64_t start, uint64_t end,
				   walk_ptes_fn walk, void *argument)
{
	uint64_t address = start;
	pte_t *pte;

	while ((address = pte_find_next(vma->vm_mm, address, end, &pte)) < end) {
		struct spinlock *ptl = pte_lockptr(vma->vm_mm, pte);

		spin_lock(ptl);
		address = walk(vma, pte, address, min_u64(end, pte_table_end(address)), argument);
		spin_unlock(ptl);
	}
}

/* Entries of [start, end) became present: tells a machine that wants to know. */
static inline void publish_range(struct mm_struct *mm, uint64_t start, uint64_t end)
{
	struct quire_machine *machine = mm->quire->machine;

	if (machine->ops->publish)
		machine->ops->publish(machine, mm->machine_context, start, end);
}

#endif
