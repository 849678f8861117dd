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
		      const struct vma_range *becomes, struct vm_area_struct **part)
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
	if (becomes) {
		copy->vm_flags = becomes->vm_flags;
		vma_set_memcg(copy, becomes->memcg);
		vma_set_anon_name(copy, becomes->anon_name);
		vma_set_page_prot(copy);
	}
	if (vma_anon(vma) && anon_vma_clone(copy, vma)) {
		vm_area_free(copy);
		return -ENOMEM;
	}
	*part = copy;
	return 0;
}

void vma_split_cancel(struct vm_area_struct *part)
{
	unlink_anon_vmas(part);
	vm_area_free(part);
}

void vma_split_commit(const struct vma_change *change, struct vm_area_struct *const parts[2])
{
	struct vm_area_struct *vma = change->vma;
	struct vm_area_struct *next = vma_next(vma);

	/* First the parts join the file's tree, so that no walk misses their pages. */
	for (int i = 0; i < 2; i++)
		if (parts[i])
			vma_link_file(parts[i]);
	vma_commit(change);
	for (int i = 0; i < 2; i++) {
		if (!parts[i])
			continue;
		vma_insert_before(vma->vm_mm, parts[i], next);
		if (parts[i]->vm_ops && parts[i]->vm_ops->open)
			parts[i]->vm_ops->open(parts[i]);
	}
}

int split_vma(struct vm_area_struct *vma, uint64_t address)
{
	struct vm_area_struct *parts[2] = {NULL, NULL};
	struct vma_change change;
	int error;

	if (vma->vm_mm->map_count >= vma->vm_mm->quire->params.max_map_count)
		return -ENOMEM;
	error = vma_split_prepare(vma, address, vma->vm_end, NULL, &parts[0]);
	if (error)
		return error;
	change = vma_change_end(vma, address);
	vma_split_commit(&change, parts);
	return 0;
}
