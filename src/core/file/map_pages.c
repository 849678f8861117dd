/* SPDX-License-Identifier: MIT */
/*
 * Fault-around: maps what is cached of the pages around a fault, under one lock of the page table.
 * Nothing here waits: a page that is locked, not uptodate, or the mark of the next readahead window
 * is left to a fault of its own.
 */
#include "core/fault/fault.h"
#include "core/file/filemap.h"
#include "core/file/internal.h"
#include "core/file/readahead.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma_stat.h"

/* Pages taken from the cache at a time. */
#define MAP_BATCH 32

/* Cached pages of [*index, last], locked and with a reference; *index moves on. */
static uint32_t collect_pages(struct address_space *mapping, pgoff_t *index, pgoff_t last,
			      struct page **pages)
{
	uint32_t count = 0;
	uint64_t at;
	struct page *page;

	spin_lock(&mapping->i_pages_lock);
	xa_for_each_range (&mapping->i_pages, at, page, *index, last) {
		*index = at + 1;
		if (xa_is_value(page) || !page_test(page, PG_uptodate) ||
		    page_test(page, PG_readahead) || !trylock_page(page))
			continue;
		get_page(page);
		pages[count++] = page;
		if (count == MAP_BATCH)
			break;
	}
	if (count < MAP_BATCH)
		*index = last + 1;
	spin_unlock(&mapping->i_pages_lock);
	return count;
}

/* Under the table's lock. The page's reference goes to the entry: true. */
static bool map_one_page(struct vm_fault *vmf, struct page *page)
{
	pte_t *entry = vmf->pte + ((int64_t)page->index - (int64_t)vmf->pgoff);
	pteval_t bits = vmf->vma->vm_page_prot & ~PTE_ACCESSED;

	if (!pte_none(pte_load(entry)))
		return false;
	/* Only what was really accessed counts as used when reclaim looks, unless the machine needs
	 * the bit. */
	if (page->index == vmf->pgoff || vmf->mm->quire->params.premark_accessed)
		bits |= PTE_ACCESSED;
	page_add_file_rmap(page);
	set_pte(entry, pfn_pte(page_to_pfn(&vmf->mm->quire->zone, page), bits));
	return true;
}

/* Maps the pages; how many. *hit: the faulting one is mapped now. */
static uint32_t map_batch(struct vm_fault *vmf, struct page **pages, uint32_t count, bool *hit)
{
	const bool locked_vma = vmf->vma->vm_flags & VM_LOCKED;
	struct quire *quire = vmf->mm->quire;
	struct spinlock *ptl = pte_lockptr(vmf->mm, vmf->pte);
	bool mapped[MAP_BATCH];
	uint32_t total = 0;

	spin_lock(ptl);
	for (uint32_t i = 0; i < count; i++) {
		mapped[i] = map_one_page(vmf, pages[i]);
		total += mapped[i];
	}
	spin_unlock(ptl);
	for (uint32_t i = 0; i < count; i++) {
		if (mapped[i] && pages[i]->index == vmf->pgoff)
			*hit = true;
		if (mapped[i] && locked_vma)
			mlock_page(quire, pages[i]);
		unlock_page(pages[i]);
		if (!mapped[i])
			put_page(quire, pages[i]);
	}
	return total;
}

static void publish_range(const struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct quire_machine *machine = vmf->mm->quire->machine;
	const uint64_t base = vmf->address - (vmf->pgoff << PAGE_SHIFT);

	if (machine->ops->publish)
		machine->ops->publish(machine, vmf->mm->machine_context,
				      base + (first << PAGE_SHIFT),
				      base + ((last + 1) << PAGE_SHIFT));
}

bool filemap_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct file *file = vmf->vma->vm_file;
	struct address_space *mapping = file->f_mapping;
	const uint64_t end = i_size_pages(mapping->host);
	struct page *pages[MAP_BATCH];
	pgoff_t index = first;
	uint32_t total = 0;
	bool hit = false;

	if (last >= end)
		last = end - 1;
	if (!end || first > last)
		return false;
	while (index <= last) {
		uint32_t count = collect_pages(mapping, &index, last, pages);

		if (count)
			total += map_batch(vmf, pages, count, &hit);
	}
	if (!total)
		return false;
	add_vma_rss(vmf->vma, mapping_is_shmem(mapping) ? MM_SHMEMPAGES : MM_FILEPAGES, total);
	if (total > hit)
		count_event(vmf->mm->quire, EVENT_FAULT_AROUND, total - hit);
	if (hit)
		readahead_note_hit(&file->f_ra);
	publish_range(vmf, first, last);
	return hit;
}
