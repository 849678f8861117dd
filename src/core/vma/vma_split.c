/* SPDX-License-Identifier: MIT */
/*
 * Splitting a VMA in two, in two steps so that several splits can be prepared before the first is
 * carried out.
 */
#include "core/instance/instance.h"
#include "core/rmap/rmap.h"
#include "core/vma/internal.h"

#include <errno.h>

int vma_may_split(struct vm_area_struct *vma, uint64_t address)
{
	QUIRE_ASSERT(1, vma->vm_start < address && address < vma->vm_end && !PAGE_OFFSET(address));
	if (vma->vm_ops && vma->vm_ops->may_split)
		return vma->vm_ops->may_split(vma, address);
	return 0;
}

int vma_split_prepare(struct vm_area_struct *vma, uint64_t start, uint64_t end,
		      struct vm_area_struct **upper)
{
	struct vm_area_struct *copy;
	int error = vma_may_split(vma, start);

	if (error)
		return error;
	copy = vm_area_dup(vma->vm_mm, vma);
	if (!copy)
		return -ENOMEM;
	copy->vm_start = start;
	copy->vm_end = end;
	copy->vm_pgoff = linear_page_index(vma, start);
	if (vma_anon(vma) && anon_vma_clone(copy, vma)) {
		vm_area_free(copy);
		return -ENOMEM;
	}
	*upper = copy;
	return 0;
}

void vma_split_cancel(struct vm_area_struct *upper)
{
	unlink_anon_vmas(upper);
	vm_area_free(upper);
}

void vma_split_commit(struct vm_area_struct *vma, struct vm_area_struct *upper)
{
	struct vm_area_struct *next = vma_next(vma);

	/* First the upper part joins the file's tree, so that no walk misses its pages. */
	vma_link_file(upper);
	vma_shrink(vma, vma->vm_start, upper->vm_start);
	vma_insert_before(vma->vm_mm, upper, next);
	if (upper->vm_ops && upper->vm_ops->open)
		upper->vm_ops->open(upper);
}

int split_vma(struct vm_area_struct *vma, uint64_t address)
{
	struct vm_area_struct *upper;
	int error;

	if (vma->vm_mm->map_count >= vma->vm_mm->quire->params.max_map_count)
		return -ENOMEM;
	error = vma_split_prepare(vma, address, vma->vm_end, &upper);
	if (error)
		return error;
	vma_split_commit(vma, upper);
	return 0;
}
