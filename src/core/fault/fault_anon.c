/* SPDX-License-Identifier: MIT */
/*
 * Faults of anonymous private memory: a read of nothing maps the shared zero page (unless the
 * machine would rather not fault twice), the first write a fresh one.
 */
#include "base/contents.h"
#include "core/fault/fault_steps.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma_stat.h"

bool fault_prepare_anon(struct vm_fault *vmf)
{
	return likely(atomic_load_explicit(&vmf->vma->anon_vma, memory_order_acquire)) ||
	       !anon_vma_prepare(vmf->vma);
}

uint32_t fault_alloc_anon(struct vm_fault *vmf, const struct page *source)
{
	struct quire *quire = vmf->mm->quire;
	struct page *page;

	if (unlikely(!fault_prepare_anon(vmf)))
		return VM_FAULT_OOM;
	page = alloc_page(quire, GFP_RECLAIM | (source ? 0 : GFP_ZERO));
	if (unlikely(!page))
		return VM_FAULT_OOM;
	if (unlikely(memcg_charge(quire, vma_memcg(vmf->vma), page, GFP_RECLAIM))) {
		put_page(quire, page);
		return VM_FAULT_OOM;
	}
	if (source)
		contents_copy(page_address(&quire->zone, page), page_address(&quire->zone, source),
			      PAGE_SIZE);
	atomic_store_explicit(&page->flags, 1u << PG_uptodate | 1u << PG_swapbacked,
			      memory_order_release);
	vmf->page = page;
	return VM_FAULT_DONE;
}

void fault_map_new_anon(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct mm_struct *mm = vmf->mm;
	pteval_t bits = vma->vm_page_prot | PTE_ACCESSED;

	if (vma->vm_flags & VM_WRITE)
		bits |= PTE_WRITE | PTE_DIRTY;
	page_add_new_anon_rmap(vmf->page, vma, vmf->address);
	/* Before it is on any list: this flag chooses the list. */
	if (unlikely(vma->vm_flags & VM_DROPPABLE))
		page_set(vmf->page, PG_lazyfree);
	lru_add_page(mm->quire, vmf->page);
	if (unlikely(vma->vm_flags & VM_LOCKED))
		mlock_page(mm->quire, vmf->page);
	set_pte(vmf->pte, pfn_pte(page_to_pfn(&mm->quire->zone, vmf->page), bits));
}

/* The zero page is mapped without reference, reverse map or charge: PTE_SPECIAL says so. */
static uint32_t map_zero_page(struct vm_fault *vmf)
{
	struct quire *quire = vmf->mm->quire;
	pteval_t bits = (vmf->vma->vm_page_prot & ~PTE_WRITE) | PTE_ACCESSED | PTE_SPECIAL;

	if (!fault_lock_pte(vmf))
		return VM_FAULT_RETRY;
	set_pte(vmf->pte, pfn_pte(page_to_pfn(&quire->zone, quire->zero_page), bits));
	spin_unlock(vmf->ptl);
	count_event(quire, EVENT_ZERO_PAGE, 1);
	fault_publish(vmf);
	return VM_FAULT_DONE;
}

uint32_t do_anonymous_page(struct vm_fault *vmf)
{
	uint32_t result;

	if (!(vmf->flags & FAULT_WRITE) && !vmf->mm->quire->params.no_zero_page)
		return map_zero_page(vmf);
	if (unlikely(!fault_prepare_anon(vmf)))
		return VM_FAULT_OOM;
	if (vmf->mm->quire->params.anon_fault_around > PAGE_SIZE && fault_anon_around(vmf, &result))
		return result;
	result = fault_alloc_anon(vmf, NULL);
	if (unlikely(result))
		return result;
	if (!fault_lock_pte(vmf)) {
		put_page(vmf->mm->quire, vmf->page);
		return VM_FAULT_RETRY;
	}
	fault_map_new_anon(vmf);
	add_vma_rss(vmf->vma, MM_ANONPAGES, 1);
	spin_unlock(vmf->ptl);
	fault_publish(vmf);
	return VM_FAULT_DONE;
}
