/* SPDX-License-Identifier: MIT */
/*
 * From the flags of a VMA to the bits of its page-table entries.
 */
#include "core/file/address_space.h"
#include "core/pgtable/pgtable.h"
#include "core/vma/internal.h"

/* Hardware cannot forbid reading what may be written or executed. */
uint64_t vm_get_page_prot(uint64_t vm_flags)
{
	uint64_t prot = PTE_PRESENT;

	if (vm_flags & VM_ACCESS_FLAGS)
		prot |= PTE_USER;
	if (!(vm_flags & VM_EXEC))
		prot |= PTE_NX;
	if ((vm_flags & VM_SHARED) && (vm_flags & VM_WRITE))
		prot |= PTE_WRITE;
	return prot;
}

/* The first write to a page of a regular file must fault, so that the file knows it is dirty. */
static bool vma_wants_writenotify(const struct vm_area_struct *vma)
{
	return vma->vm_file && !mapping_is_shmem(vma->vm_file->f_mapping);
}

uint64_t vma_page_prot(const struct vm_area_struct *vma)
{
	uint64_t prot = vm_get_page_prot(vma->vm_flags);

	if ((prot & PTE_WRITE) && vma_wants_writenotify(vma))
		prot &= ~PTE_WRITE;
	return prot;
}

void vma_set_page_prot(struct vm_area_struct *vma)
{
	vma->vm_page_prot = vma_page_prot(vma);
}
