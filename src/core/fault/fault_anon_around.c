/* SPDX-License-Identifier: MIT */
/*
 * Fault-around of private anonymous memory: one fault fills the empty entries of a window with
 * zeroed pages, so that a program pays one fault for many pages.
 *
 * The window is aligned and a power of two. It is small where memory is touched here and there, and
 * grows where it is used densely: at most as many pages are filled ahead as there are in use beside
 * the fault, on either side. So a program that fills memory in order meets ever larger windows,
 * whatever else it does meanwhile, and no more than about half of what is filled is for nothing.
 *
 * Filling ahead never reclaims. What is filled on suspicion takes frames above the high watermark
 * alone, and nothing near the end of a budget. Where memory is used densely the pages would be
 * asked for in a moment anyway, so all that is free may be taken, which keeps faults few under
 * pressure, too. Pages that are never written are found by reclaim, which drops pages of zeros
 * without writing them.
 */
#include "base/contents.h"
#include "core/fault/fault_steps.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma_stat.h"

#define WINDOW_FIRST 16u

/* Bytes: [start, end) lies in one last-level table. */
struct window {
	uint64_t start;
	uint64_t end;
	bool dense; /* larger than the first one */
};

static bool has_page(const struct vm_fault *vmf, uint64_t address)
{
	pteval_t value;
	pte_t *pte;

	if (address < vmf->vma->vm_start || address >= vmf->vma->vm_end)
		return false;
	pte = pte_find(vmf->mm, address);
	value = pte ? pte_load(pte) : 0;
	return pte_present(value) && !(value & PTE_SPECIAL);
}

/* How far memory is in use above (direction 1) or below (-1): a power of two up to `most`, or 0.
 * Distances that double are looked at, which is enough for a guess. */
static uint32_t used_beside(const struct vm_fault *vmf, int direction, uint32_t most)
{
	uint32_t used = 0;

	for (uint32_t pages = 1; pages <= most; pages *= 2) {
		const uint64_t bytes = (uint64_t)pages << PAGE_SHIFT;

		if (!has_page(vmf, direction > 0 ? vmf->address + bytes : vmf->address - bytes))
			break;
		used = pages;
	}
	return used;
}

static struct window choose_window(const struct vm_fault *vmf)
{
	const uint32_t most = vmf->mm->quire->params.anon_fault_around >> PAGE_SHIFT;
	uint32_t pages = most < WINDOW_FIRST ? most : WINDOW_FIRST;
	struct window window;
	uint64_t bytes;

	for (int direction = -1; direction <= 1; direction += 2) {
		const uint32_t used = used_beside(vmf, direction, most / 2);

		pages = 2 * used > pages ? 2 * used : pages;
	}
	window.dense = pages > WINDOW_FIRST;
	bytes = (uint64_t)pages << PAGE_SHIFT;
	window.start = vmf->address & ~(bytes - 1);
	window.end = min_u64(window.start + bytes, vmf->vma->vm_end);
	window.start = max_u64(window.start, vmf->vma->vm_start);
	return window;
}

static uint32_t count_empty(const struct vm_fault *vmf, const struct window *window)
{
	uint32_t count = 0;

	for (uint64_t at = window->start; at < window->end; at += PAGE_SIZE)
		count += pte_none(pte_load(fault_entry_for(vmf, at)));
	return count;
}

static void put_pages(struct quire *quire, struct page **pages, uint32_t count)
{
	while (count)
		put_page(quire, pages[--count]);
}

/* Charged, zeroed pages; how many there are. */
static uint32_t alloc_pages(struct vm_fault *vmf, struct page **pages, uint32_t wanted, bool dense)
{
	struct quire *quire = vmf->mm->quire;
	const uint32_t droppable = vmf->vma->vm_flags & VM_DROPPABLE ? 1u << PG_lazyfree : 0;
	const uint32_t taken =
		zone_alloc_ahead(&quire->zone, pages, wanted, dense ? WMARK_MIN : WMARK_HIGH);
	const uint32_t count = memcg_charge_ahead(vma_memcg(vmf->vma), pages, taken, !dense);

	put_pages(quire, pages + count, taken - count);
	for (uint32_t i = 0; i < count; i++) {
		memset(page_address(&quire->zone, pages[i]), 0, PAGE_SIZE);
		atomic_store_explicit(&pages[i]->flags,
				      1u << PG_uptodate | 1u << PG_swapbacked | droppable,
				      memory_order_release);
	}
	return count;
}

/* Under the table's lock: maps the pages, lowest address first, as far as they go; how many. */
static uint32_t map_window(struct vm_fault *vmf, const struct window *window, struct page **pages,
			   uint32_t count)
{
	const pteval_t bits = vmf->vma->vm_page_prot | PTE_ACCESSED | PTE_WRITE | PTE_DIRTY;
	uint32_t mapped = 0;

	for (uint64_t at = window->start; at < window->end && mapped < count; at += PAGE_SIZE) {
		pte_t *pte = fault_entry_for(vmf, at);

		if (!pte_none(pte_load(pte)))
			continue;
		page_add_new_anon_rmap(pages[mapped], vmf->vma, at);
		set_pte(pte, pfn_pte(page_to_pfn(&vmf->mm->quire->zone, pages[mapped]), bits));
		mapped++;
	}
	lru_add_pages(pages, mapped);
	add_vma_rss(vmf->vma, MM_ANONPAGES, mapped);
	return mapped;
}

static uint32_t fill_window(struct vm_fault *vmf, struct window *window, struct page **pages,
			    uint32_t count)
{
	struct quire *quire = vmf->mm->quire;
	uint32_t mapped;

	if (!fault_lock_pte(vmf)) {
		put_pages(quire, pages, count);
		return VM_FAULT_RETRY;
	}
	/* Too few, and so for what lies ahead; the page of the fault itself comes first. */
	if (count < count_empty(vmf, window))
		window->start = vmf->address;
	mapped = map_window(vmf, window, pages, count);
	spin_unlock(vmf->ptl);
	put_pages(quire, pages + mapped, count - mapped);
	count_event(quire, EVENT_FAULT_AROUND, mapped - 1);
	fault_publish_range(vmf, window->start, window->end);
	return VM_FAULT_DONE;
}

static bool may_fill_around(const struct vm_fault *vmf)
{
	const uint64_t flags = vmf->vma->vm_flags;

	return (flags & VM_WRITE) &&
	       !(flags & (VM_RAND_READ | VM_SEQ_READ | VM_LOCKED_MASK | VM_SPECIAL));
}

bool fault_anon_around(struct vm_fault *vmf, uint32_t *result)
{
	struct page *pages[PTRS_PER_TABLE];
	struct window window;
	uint32_t count;

	if (!may_fill_around(vmf))
		return false;
	window = choose_window(vmf);
	count = count_empty(vmf, &window);
	if (count < 2)
		return false;
	count = alloc_pages(vmf, pages, count, window.dense);
	if (!count)
		return false;
	*result = fill_window(vmf, &window, pages, count);
	return true;
}
