/* SPDX-License-Identifier: MIT */
/*
 * The end of an address space: every page, swap entry and table goes, then every VMA, then the mm
 * itself.
 *
 * Order: entries are dropped while the VMAs still stand in the reverse maps, so that a walk that
 * meets them finds valid tables; the VMAs leave the reverse maps before the tables are freed.
 */
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/vma/account.h"
#include "core/vma/vma.h"

static void unmap_all(struct mmu_gather *tlb, struct mm_struct *mm)
{
	const struct zap_details all = {0};
	struct vm_area_struct *vma;

	for_each_vma (mm, vma)
		zap_page_range(tlb, vma, vma->vm_start, vma->vm_end, &all);
}

/* Takes every VMA out of the mm and its trees; they are left on `vmas`. */
static void unlink_all(struct mm_struct *mm, struct list_head *vmas)
{
	struct vm_area_struct *vma, *next;

	list_for_each_entry_safe (vma, next, &mm->mmap, vm_list) {
		if (vma->vm_ops && vma->vm_ops->close)
			vma->vm_ops->close(vma);
		vma_unlink(mm, vma);
		list_add_tail(&vma->vm_list, vmas);
	}
}

static void free_all(struct mm_struct *mm, struct list_head *vmas)
{
	struct vm_area_struct *vma, *next;

	list_for_each_entry_safe (vma, next, vmas, vm_list) {
		vm_stat_account(mm, vma->vm_file, vma->vm_flags, -(int64_t)vma_pages(vma));
		if (vma->vm_flags & VM_LOCKED)
			mm->locked_vm -= vma_pages(vma);
		if (vma->vm_flags & VM_ACCOUNT)
			vm_unacct_memory(mm->quire, vma_pages(vma));
		list_del(&vma->vm_list);
		vm_area_free(vma);
	}
}

void exit_mmap(struct mm_struct *mm)
{
	struct list_head vmas = LIST_HEAD_INIT(vmas);
	struct mmu_gather tlb;

	mmap_write_lock(mm);
	tlb_gather_mmu(&tlb, mm);
	unmap_all(&tlb, mm);
	unlink_all(mm, &vmas);
	free_pgtables(&tlb, 0, mm->task_size, 0, 0);
	tlb_finish_mmu(&tlb);
	free_all(mm, &vmas);
	mm->brk = mm->start_brk;
	mmap_write_unlock(mm);
	QUIRE_ASSERT(1, !mm->map_count && !mm->total_vm && !mm->locked_vm);
}

void mm_destroy(struct mm_struct *mm)
{
	exit_mmap(mm);
	mm_free(mm);
}
