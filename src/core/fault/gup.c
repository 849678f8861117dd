/* SPDX-License-Identifier: MIT */
/*
 * Access to an mm's memory on behalf of calls: pinning frames, populating ranges, copying in and
 * out. Pages are faulted in as the program itself would do it, but failures are errors, not
 * signals.
 */
#include "base/contents.h"
#include "core/fault/fault.h"
#include "core/file/filemap.h"
#include "core/instance/instance.h"
#include "core/reclaim/swap.h"
#include "core/vma/vma.h"

#include <errno.h>

#define ACCESS_BATCH 16

static int result_to_error(uint32_t result)
{
	if (!(result & VM_FAULT_ERROR))
		return 0;
	return result & VM_FAULT_OOM ? -ENOMEM : -EFAULT;
}

static bool pte_allows(pteval_t pte, bool write)
{
	const pteval_t need = PTE_PRESENT | PTE_USER | (write ? PTE_WRITE : 0);

	return (pte & need) == need;
}

/*
 * The same for a forced access: any page may be read, and written the mm's own copy, where no fault
 * can make the entry writable. mmap_lock and the entry's lock held.
 */
static bool force_allows(struct mm_struct *mm, uint64_t address, pteval_t pte, bool write)
{
	const struct vm_area_struct *vma = vma_lookup(mm, address);
	const struct page *page;

	if (!pte_present(pte) || (vma->vm_flags & (VM_IO | VM_PFNMAP)))
		return false;
	if (pte_allows(pte, write))
		return true;
	if (!write)
		return vma->vm_flags & VM_MAYREAD;
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE | VM_WRITE)) != VM_MAYWRITE ||
	    (pte & PTE_SPECIAL))
		return false;
	page = pfn_to_page(&mm->quire->zone, pte_pfn(pte));
	return page_anon(page) && page_test(page, PG_anon_exclusive);
}

/* The page that the entry maps, pinned; NULL: the access must fault first. `flags` are those of the
 * fault. mmap_lock held. */
static struct page *pin_mapped_page(struct mm_struct *mm, uint64_t address, uint32_t flags)
{
	const bool write = flags & FAULT_WRITE;
	pte_t *entry = pte_find(mm, address);
	struct page *page = NULL;
	struct spinlock *ptl;
	pteval_t pte;

	if (!entry)
		return NULL;
	ptl = pte_lockptr(mm, entry);
	spin_lock(ptl);
	pte = pte_load(entry);
	if (flags & FAULT_FORCE ? force_allows(mm, address, pte, write) : pte_allows(pte, write)) {
		page = pfn_to_page(&mm->quire->zone, pte_pfn(pte));
		get_page_many(page, GUP_PIN_BIAS);
		pte_modify_bits(entry, 0,
				PTE_ACCESSED | (write && (pte & PTE_WRITE) ? PTE_DIRTY : 0));
	}
	spin_unlock(ptl);
	return page;
}

static struct page *pin_page(struct mm_struct *mm, uint64_t address, uint32_t flags, int *error)
{
	for (;;) {
		struct page *page;

		mmap_read_lock(mm);
		page = pin_mapped_page(mm, address, flags);
		mmap_read_unlock(mm);
		if (page)
			return page;
		*error = result_to_error(handle_user_fault(mm, address, flags));
		if (*error)
			return NULL;
	}
}

static int64_t pin_pages(struct mm_struct *mm, uint64_t address, uint32_t nr, uint32_t flags,
			 struct page **pages)
{
	int error = 0;
	uint32_t done;

	for (done = 0; done < nr; done++) {
		pages[done] = pin_page(mm, address + ((uint64_t)done << PAGE_SHIFT), flags, &error);
		if (!pages[done])
			break;
	}
	return done ? (int64_t)done : error;
}

int64_t pin_user_pages(struct mm_struct *mm, uint64_t address, uint32_t nr, bool write,
		       struct page **pages)
{
	return pin_pages(mm, address, nr, FAULT_REMOTE | (write ? FAULT_WRITE : 0), pages);
}

void unpin_user_pages(struct quire *quire, struct page **pages, uint32_t nr, bool dirty)
{
	for (uint32_t i = 0; i < nr; i++) {
		/*
		 * The entry's dirty bit may have been harvested, and the page written, between
		 * pinning and copying: only this mark covers the data for certain.
		 */
		if (dirty && !page_test(pages[i], PG_reserved)) {
			lock_page(pages[i]);
			set_page_dirty(pages[i]);
			unlock_page(pages[i]);
			/* It may have been unmapped meanwhile, by somebody who found it locked. */
			swap_cache_release(quire, pages[i]);
		}
		put_page_many(quire, pages[i], GUP_PIN_BIAS);
	}
}

/* Whether the entry needs no fault to be used so. */
static bool already_mapped(struct mm_struct *mm, uint64_t address, bool write)
{
	pte_t *entry = pte_find(mm, address);

	return entry && pte_allows(pte_load(entry), write);
}

int populate_vma_range(struct vm_area_struct *vma, uint64_t start, uint64_t end, bool write)
{
	const uint32_t flags = FAULT_REMOTE | (write ? FAULT_WRITE : 0);

	if (!(vma->vm_flags & (write ? VM_WRITE : VM_ACCESS_FLAGS)))
		return -EFAULT;
	for (uint64_t address = start; address < end; address += PAGE_SIZE) {
		int error;

		if (already_mapped(vma->vm_mm, address, write))
			continue;
		error = result_to_error(handle_mm_fault(vma, address, flags));
		if (error)
			return error;
	}
	return 0;
}

static void copy_pinned(struct quire *quire, struct page *page, uint64_t offset, void *buffer,
			uint64_t bytes, bool write)
{
	char *memory = (char *)page_address(&quire->zone, page) + offset;

	if (write)
		contents_copy(memory, buffer, bytes);
	else
		contents_copy(buffer, memory, bytes);
}

static int64_t access_vm(struct mm_struct *mm, uint64_t address, void *buffer, uint64_t bytes,
			 uint32_t flags)
{
	const bool write = flags & FAULT_WRITE;
	struct page *pages[ACCESS_BATCH] = {NULL};
	uint64_t done = 0;

	while (done < bytes) {
		uint64_t at = address + done;
		uint64_t span = PAGE_OFFSET(at) + (bytes - done);
		uint32_t nr = (uint32_t)min_u64((span + PAGE_SIZE - 1) >> PAGE_SHIFT, ACCESS_BATCH);
		int64_t pinned = pin_pages(mm, PAGE_ALIGN_DOWN(at), nr, flags, pages);

		if (pinned < 0)
			return done ? (int64_t)done : pinned;
		for (int64_t i = 0; i < pinned && done < bytes; i++) {
			uint64_t offset = PAGE_OFFSET(address + done);
			uint64_t chunk = min_u64(PAGE_SIZE - offset, bytes - done);

			copy_pinned(mm->quire, pages[i], offset, (char *)buffer + done, chunk,
				    write);
			done += chunk;
		}
		unpin_user_pages(mm->quire, pages, (uint32_t)pinned, write);
	}
	return (int64_t)done;
}

int64_t access_process_vm(struct mm_struct *mm, uint64_t address, void *buffer, uint64_t bytes,
			  bool write)
{
	return access_vm(mm, address, buffer, bytes, FAULT_REMOTE | (write ? FAULT_WRITE : 0));
}

int64_t force_access_process_vm(struct mm_struct *mm, uint64_t address, void *buffer,
				uint64_t bytes, bool write)
{
	return access_vm(mm, address, buffer, bytes,
			 FAULT_REMOTE | FAULT_FORCE | (write ? FAULT_WRITE : 0));
}
