/* SPDX-License-Identifier: MIT */
/*
 * Faults of file and shmem mappings. A read maps the cached page (and its cached neighbours), a
 * write to a private mapping a copy of it, a write to a shared mapping the page itself after
 * marking it dirty.
 */
#include "core/fault/fault_steps.h"
#include "core/file/filemap.h"
#include "core/file/writeback.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma_stat.h"

#include <errno.h>

static uint32_t error_to_result(int error)
{
	return error == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/*
 * Brings in the page of the fault: locked, uptodate, still in the file and within its size, in
 * vmf->page with a reference.
 */
static uint32_t get_locked_page(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct address_space *mapping = vma->vm_file->f_mapping;
	bool major = false;
	const struct filemap_context context = {
		.memcg = vma_memcg(vma),
		.ra = &vma->vm_file->f_ra,
		.vm_flags = vma->vm_flags,
		.mmap = true,
		.major = &major,
	};
	int error = filemap_get_page(mapping, vmf->pgoff, &context, &vmf->page);

	if (major)
		vmf->result |= VM_FAULT_MAJOR;
	if (unlikely(error))
		return error_to_result(error);
	lock_page(vmf->page);
	if (likely(vmf->pgoff << PAGE_SHIFT < i_size_read(mapping->host) &&
		   page_mapping(vmf->page) == mapping))
		return VM_FAULT_DONE;
	/* Truncated, or moved to swap, between the look-up and the lock. */
	unlock_page(vmf->page);
	put_page(vmf->mm->quire, vmf->page);
	return VM_FAULT_RETRY;
}

static void release_locked_page(struct vm_fault *vmf, struct page *page)
{
	unlock_page(page);
	put_page(vmf->mm->quire, page);
}

/* Maps the locked vmf->page, whose reference becomes the entry's. */
static uint32_t map_file_page(struct vm_fault *vmf, pteval_t extra_bits)
{
	struct page *page = vmf->page;

	if (!fault_lock_pte(vmf)) {
		release_locked_page(vmf, page);
		return VM_FAULT_RETRY;
	}
	page_add_file_rmap(page);
	add_vma_rss(vmf->vma, page_test(page, PG_swapbacked) ? MM_SHMEMPAGES : MM_FILEPAGES, 1);
	set_pte(vmf->pte, pfn_pte(page_to_pfn(&vmf->mm->quire->zone, page),
				  vmf->vma->vm_page_prot | PTE_ACCESSED | extra_bits));
	spin_unlock(vmf->ptl);
	unlock_page(page);
	fault_publish(vmf);
	return VM_FAULT_DONE;
}

/*
 * Maps what is cached around the address: within the VMA, one aligned window of params.fault_around
 * bytes, one last-level table.
 */
static bool fault_around(struct vm_fault *vmf)
{
	const struct vm_area_struct *vma = vmf->vma;
	const uint64_t window = vmf->mm->quire->params.fault_around;
	uint64_t start, end;

	if (window <= PAGE_SIZE || (vma->vm_flags & VM_RAND_READ))
		return false;
	start = max_u64(vmf->address & ~(window - 1), vmf->address & ~(PMD_SIZE - 1));
	end = min_u64(start + window, (vmf->address & ~(PMD_SIZE - 1)) + PMD_SIZE);
	start = max_u64(start, vma->vm_start);
	end = min_u64(end, vma->vm_end);
	return filemap_map_pages(vmf, linear_page_index(vma, start),
				 linear_page_index(vma, end - PAGE_SIZE));
}

static uint32_t do_read_fault(struct vm_fault *vmf)
{
	uint32_t result;

	if (fault_around(vmf))
		return VM_FAULT_DONE;
	result = get_locked_page(vmf);
	return unlikely(result) ? result : map_file_page(vmf, 0);
}

/* The file's page stays locked while it is copied, so that no truncation comes between. */
static uint32_t do_cow_fault(struct vm_fault *vmf)
{
	struct page *source;
	uint32_t result;

	/* Before the page is known to be there: this is what a failed write leaves behind. */
	if (unlikely(!fault_prepare_anon(vmf)))
		return VM_FAULT_OOM;
	result = get_locked_page(vmf);
	if (unlikely(result))
		return result;
	source = vmf->page;
	result = fault_alloc_anon(vmf, source);
	if (likely(!result)) {
		if (fault_lock_pte(vmf)) {
			fault_map_new_anon(vmf);
			add_vma_rss(vmf->vma, MM_ANONPAGES, 1);
			spin_unlock(vmf->ptl);
			count_event(vmf->mm->quire, EVENT_COW_COPY, 1);
			vma_event(vmf->vma, MAPPING_COPY);
			fault_publish(vmf);
		} else {
			put_page(vmf->mm->quire, vmf->page);
			result = VM_FAULT_RETRY;
		}
	}
	release_locked_page(vmf, source);
	if (!result)
		fault_cow_around(vmf);
	return result;
}

static uint32_t do_shared_fault(struct vm_fault *vmf)
{
	uint32_t result;

	/* Before the entry allows the store: writing this very page after it would forbid it again.
	 */
	balance_dirty_pages(vmf->vma->vm_file->f_mapping);
	result = get_locked_page(vmf);
	if (unlikely(result))
		return result;
	/* A store reads the memory while it writes: it should see one state of it. */
	wait_on_page_writeback(vmf->page);
	set_page_dirty(vmf->page);
	return map_file_page(vmf, PTE_WRITE | PTE_DIRTY);
}

uint32_t do_file_fault(struct vm_fault *vmf)
{
	if (!(vmf->flags & FAULT_WRITE))
		return do_read_fault(vmf);
	return vma_is_shared(vmf->vma) ? do_shared_fault(vmf) : do_cow_fault(vmf);
}
