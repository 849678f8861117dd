/* SPDX-License-Identifier: MIT */
/*
 * copy_vma(): where mremap moves a mapping to, a VMA that continues the old one.
 */
#include "core/rmap/rmap.h"
#include "core/vma/internal.h"

static struct vm_area_struct *link_copy(struct vm_area_struct *vma, const struct vma_range *range)
{
	struct vm_area_struct *copy = vm_area_dup(range->mm, vma);

	if (!copy)
		return NULL;
	copy->vm_start = range->start;
	copy->vm_end = range->end;
	copy->vm_pgoff = range->pgoff;
	if (vma_anon(vma) && anon_vma_clone(copy, vma)) {
		vm_area_free(copy);
		return NULL;
	}
	vma_link(range->mm, copy);
	if (copy->vm_ops && copy->vm_ops->open)
		copy->vm_ops->open(copy);
	return copy;
}

struct vm_area_struct *copy_vma(struct vm_area_struct **vmap, uint64_t address, uint64_t length,
				pgoff_t pgoff, bool *need_rmap_locks)
{
	struct vm_area_struct *vma = *vmap;
	uint64_t vma_start = vma->vm_start;
	struct vm_area_struct *target;
	struct vma_range range = {
		.mm = vma->vm_mm,
		.start = address,
		.end = address + length,
		.vm_flags = vma->vm_flags,
		.file = vma->vm_file,
		.pgoff = pgoff,
		.copied_from = vma,
		.vm_ops = vma->vm_ops,
		.memcg = vma->vm_memcg,
		.anon_name = vma_anon_name(vma),
	};

	*need_rmap_locks = false;
	/* No page has a place in the numbering yet, so it may start anew: neighbours merge better.
	 */
	if (vma_is_anonymous(vma) && !vma_anon(vma))
		range.pgoff = address >> PAGE_SHIFT;

	target = vma_merge_new_range(&range);
	if (!target)
		return link_copy(vma, &range);
	if (target->vm_start <= vma_start && vma_start < target->vm_end)
		*vmap = target;
	/* A walk in the order of offsets may meet the new place before the old one. */
	*need_rmap_locks = target->vm_pgoff <= (*vmap)->vm_pgoff;
	return target;
}
