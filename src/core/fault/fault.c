/* SPDX-License-Identifier: MIT */
/*
 * Page faults, entry: finds the VMA, checks the access, grows a stack, looks at the page-table
 * entry and hands over to the step for what it holds.
 */
#include "core/fault/fault_steps.h"
#include "core/instance/instance.h"
#include "core/instance/trace.h"
#include "core/reclaim/vmscan.h"
#include "core/vma/vma.h"
#include "core/vma/vma_stat.h"

static bool access_allowed(const struct vm_area_struct *vma, uint32_t flags)
{
	if (flags & FAULT_WRITE)
		return vma->vm_flags & VM_WRITE;
	if (flags & FAULT_EXEC)
		return vma->vm_flags & VM_EXEC;
	/* x86-64 has no mapping that can be written or executed but not read. */
	return vma->vm_flags & VM_ACCESS_FLAGS;
}

/* What mprotect() could allow; but a shared mapping would show everybody what it was not allowed to
 * write. */
static bool force_allowed(const struct vm_area_struct *vma, uint32_t flags)
{
	if (vma->vm_flags & (VM_IO | VM_PFNMAP))
		return false;
	if (access_allowed(vma, flags))
		return true;
	if (flags & FAULT_WRITE)
		return (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
	return vma->vm_flags & VM_MAYREAD;
}

bool fault_lock_pte(struct vm_fault *vmf)
{
	vmf->ptl = pte_lockptr(vmf->mm, vmf->pte);
	spin_lock(vmf->ptl);
	if (likely(pte_load(vmf->pte) == vmf->orig_pte))
		return true;
	spin_unlock(vmf->ptl);
	return false;
}

void fault_publish_range(struct vm_fault *vmf, uint64_t start, uint64_t end)
{
	struct quire_machine *machine = vmf->mm->quire->machine;

	if (machine->ops->publish)
		machine->ops->publish(machine, vmf->mm->machine_context, start, end);
}

void fault_publish(struct vm_fault *vmf)
{
	fault_publish_range(vmf, vmf->address, vmf->address + PAGE_SIZE);
}

/*
 * The entry is present: a write that it forbids, or nothing is wrong any more because another CPU
 * was faster (or only the accessed bit is missing).
 */
static uint32_t do_present_fault(struct vm_fault *vmf)
{
	if (!fault_lock_pte(vmf))
		return VM_FAULT_RETRY;
	if ((vmf->flags & FAULT_WRITE) && !(vmf->orig_pte & PTE_WRITE))
		return do_wp_page(vmf);
	pte_modify_bits(vmf->pte, 0, PTE_ACCESSED | (vmf->flags & FAULT_WRITE ? PTE_DIRTY : 0));
	spin_unlock(vmf->ptl);
	fault_publish(vmf);
	return VM_FAULT_DONE;
}

static uint32_t handle_pte_fault(struct vm_fault *vmf)
{
	vmf->orig_pte = pte_load(vmf->pte);
	if (pte_none(vmf->orig_pte))
		return vma_is_anonymous(vmf->vma) ? do_anonymous_page(vmf) : do_file_fault(vmf);
	if (pte_present(vmf->orig_pte))
		return do_present_fault(vmf);
	if (pte_guard(vmf->orig_pte))
		return VM_FAULT_MAPERR;
	return do_swap_page(vmf);
}

uint32_t handle_mm_fault(struct vm_area_struct *vma, uint64_t address, uint32_t flags)
{
	struct vm_fault vmf = {
		.mm = vma->vm_mm,
		.vma = vma,
		.address = PAGE_ALIGN_DOWN(address),
		.flags = flags,
	};
	uint32_t result;

	vmf.pgoff = linear_page_index(vma, vmf.address);
	vmf.pte = pte_alloc(vmf.mm, vmf.address);
	if (unlikely(!vmf.pte))
		return VM_FAULT_OOM;
	do {
		vmf.page = NULL;
		result = handle_pte_fault(&vmf);
	} while (result & VM_FAULT_RETRY);

	result |= vmf.result;
	count_event(vmf.mm->quire, EVENT_FAULT, 1);
	if (unlikely(result & VM_FAULT_MAJOR))
		count_event(vmf.mm->quire, EVENT_FAULT_MAJOR, 1);
	vma_event(vma, result & VM_FAULT_MAJOR ? MAPPING_MAJOR_FAULT : MAPPING_MINOR_FAULT);
	return result;
}

/*
 * The address lies below a stack: grows it, which needs the lock for writing. Returns the VMA with
 * the lock held for reading again, or NULL.
 */
static struct vm_area_struct *grow_stack(struct mm_struct *mm, uint64_t address)
{
	struct vm_area_struct *vma;

	mmap_read_unlock(mm);
	mmap_write_lock(mm);
	vma = find_vma(mm, address);
	if (vma && address < vma->vm_start &&
	    (!(vma->vm_flags & VM_GROWSDOWN) || expand_downwards(vma, PAGE_ALIGN_DOWN(address))))
		vma = NULL;
	percpu_write_downgrade(&mm->mmap_lock);
	return vma;
}

/* mmap_lock held for reading; may be dropped and taken again before the VMA is found. */
static struct vm_area_struct *find_vma_or_grow(struct mm_struct *mm, uint64_t address)
{
	struct vm_area_struct *vma = find_vma(mm, address);

	if (!vma || likely(address >= vma->vm_start))
		return vma;
	return vma->vm_flags & VM_GROWSDOWN ? grow_stack(mm, address) : NULL;
}

/* When memory ran out, *memcg is the group that was to be charged, with a reference. */
static uint32_t fault_locked(struct mm_struct *mm, uint64_t address, uint32_t flags,
			     struct mem_cgroup **memcg)
{
	const int64_t start = trace_enabled(mm->quire) ? quire_now(mm->quire) : 0;
	struct vm_area_struct *vma = find_vma_or_grow(mm, address);
	uint32_t result;

	if (!vma)
		result = VM_FAULT_MAPERR;
	else if (!(flags & FAULT_FORCE ? force_allowed(vma, flags) : access_allowed(vma, flags)))
		result = VM_FAULT_ACCERR;
	else
		result = handle_mm_fault(vma, address, flags);
	if (trace_enabled(mm->quire))
		trace_fault(mm, vma, address, flags, result, start);
	if (unlikely(result & VM_FAULT_OOM)) {
		*memcg = vma_memcg(vma);
		memcg_get(*memcg);
	}
	return result;
}

uint32_t handle_user_fault(struct mm_struct *mm, uint64_t address, uint32_t flags)
{
	struct mem_cgroup *memcg = NULL;
	uint32_t result;

	mmap_read_lock(mm);
	result = fault_locked(mm, address, flags, &memcg);
	mmap_read_unlock(mm);

	if (unlikely(memcg)) {
		/* A call gets -ENOMEM; a program that cannot go on needs a verdict. */
		if (!(flags & FAULT_REMOTE))
			out_of_memory(mm->quire, memcg);
		memcg_put(memcg);
	}
	return result;
}
