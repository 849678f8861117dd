/* SPDX-License-Identifier: MIT */
/*
 * Unmapping a range of a file from everybody who maps it: for truncation and hole punching.
 */
#include "core/rmap/rmap.h"

#include "core/fault/fault.h"
#include "core/file/address_space.h"
#include "core/pgtable/mmu_gather.h"

static void unmap_range_of_vma(struct vm_area_struct *vma, pgoff_t first, pgoff_t last,
			       const struct zap_details *details)
{
	const pgoff_t start = max_u64(first, vma->shared.start);
	const pgoff_t end = min_u64(last, vma->shared.last) + 1;
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, vma->vm_mm);
	zap_page_range(&tlb, vma, vma->vm_start + ((start - vma->vm_pgoff) << PAGE_SHIFT),
		       vma->vm_start + ((end - vma->vm_pgoff) << PAGE_SHIFT), details);
	tlb_finish_mmu(&tlb);
}

void unmap_mapping_pages(struct address_space *mapping, pgoff_t first, pgoff_t last, bool even_cows)
{
	const struct zap_details details = {.keep_guards = true, .file_only = !even_cows};
	struct interval_tree_node *node;

	read_lock(&mapping->i_mmap_lock);
	for (node = interval_tree_iter_first(&mapping->i_mmap, first, last); node;
	     node = interval_tree_iter_next(node, first, last))
		unmap_range_of_vma(container_of(node, struct vm_area_struct, shared), first, last,
				   &details);
	read_unlock(&mapping->i_mmap_lock);
}
