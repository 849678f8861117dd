/* SPDX-License-Identifier: MIT */
/*
 * From a VMA to the counters of what it maps (mapping_stat.h). For whoever maps and unmaps pages.
 */
#ifndef QUIRE_CORE_VMA_VMA_STAT_H
#define QUIRE_CORE_VMA_VMA_STAT_H

#include "core/file/address_space.h"
#include "core/vma/mm.h"

static inline struct mapping_stat *mapping_stat_of(struct mm_struct *mm, struct file *file,
						   uint64_t vm_flags)
{
	if (file)
		return &file->f_inode->i_stat;
	if (unlikely(vm_flags & (VM_GROWSDOWN | VM_HEAP)))
		return &mm->parts[vm_flags & VM_HEAP ? MM_PART_HEAP : MM_PART_STACK];
	return &mm->parts[MM_PART_ANON];
}

/* The VMA is kept as it is by mmap_lock or by the lock of one of its reverse maps. */
static inline struct mapping_stat *vma_stat(const struct vm_area_struct *vma)
{
	return mapping_stat_of(vma->vm_mm, vma->vm_file, vma->vm_flags);
}

static inline void vma_event(const struct vm_area_struct *vma, enum mapping_event event)
{
	mapping_stat_event(vma_stat(vma), event, 1);
}

/* add_mm_rss() for pages of a VMA. */
static inline void add_vma_rss(const struct vm_area_struct *vma, enum mm_rss item, int64_t pages)
{
	struct mapping_stat *stat = vma_stat(vma);

	add_mm_rss(vma->vm_mm, item, pages);
	if (item != MM_SWAPENTS)
		mapping_stat_add(&stat->resident, &stat->peak_resident, pages);
}

#endif
