/* SPDX-License-Identifier: MIT */
/*
 * Copying the page-table entries of a VMA to a forked child: the inner loop of fork.
 */
#ifndef QUIRE_CORE_CALL_COPY_PAGE_RANGE_H
#define QUIRE_CORE_CALL_COPY_PAGE_RANGE_H

#include "core/pgtable/mmu_gather.h"
#include "core/vma/mm.h"

/*
 * Whether the child gets entries at all: what a fault can bring back from the file alone it gets by
 * faults. An anon_vma is the sign that the VMA has private pages, VM_MAYBE_GUARD that it has guard
 * markers.
 */
bool vma_needs_copy(const struct vm_area_struct *vma);

/*
 * Gives the child's VMA `dst`, linked in all trees and without entries, what `src` maps: private
 * pages are shared from now on and write-protected on both sides. Both mmap_locks held for writing.
 *
 * *write_protected gets the frames whose entries in the parent lost write permission: the caller
 * revokes them before it lets go of the parent's mmap_lock, also after an error. 0 or -ENOMEM; then
 * the child has a part of the entries, all accounted, and the parent is as right as before.
 */
QUIRE_MUST_CHECK int copy_page_range(struct vm_area_struct *dst, struct vm_area_struct *src,
				     struct frame_ranges *write_protected);

#endif
