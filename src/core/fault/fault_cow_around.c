/* SPDX-License-Identifier: MIT */
/*
 * Copying around: a program writes most of its data segment, page after page, while it starts. So
 * when one page of it is copied for a write, its neighbours are copied too, for one fault and one
 * revocation.
 *
 * A page that was copied ahead no longer follows the file, which a program could see. So this is
 * for segments of programs alone, which say by MAP_DENYWRITE that their file rests. It takes only
 * what is in the page cache, never waits, and neither reclaims nor comes near the end of a budget.
 */
#include "base/contents.h"
#include "core/fault/fault_steps.h"
#include "core/file/filemap.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma_stat.h"

#define WINDOW_PAGES 16u

/* One page that is to be copied. */
struct neighbour {
	uint64_t address;
	pteval_t value;      /* of its entry: empty, or the source without write permission */
	struct page *source; /* locked, with a reference */
	struct page *copy;   /* charged, with a reference; NULL: given to the entry */
	bool changed;        /* the entry is no longer what it was: passed over */
};

struct neighbours {
	uint32_t count;
	struct neighbour list[WINDOW_PAGES];
};

static bool may_copy_around(const struct vm_fault *vmf)
{
	const struct vm_area_struct *vma = vmf->vma;

	return (vma->vm_flags & (VM_DENYWRITE | VM_WRITE)) == (VM_DENYWRITE | VM_WRITE) &&
	       !(vma->vm_flags & (VM_LOCKED_MASK | VM_SPECIAL)) &&
	       vmf->mm->quire->params.anon_fault_around > PAGE_SIZE &&
	       !mapping_is_shmem(vma->vm_file->f_mapping);
}

/* The cached page of the file at `address`, uptodate, within the file, locked; or NULL. */
static struct page *lock_source(struct vm_fault *vmf, uint64_t address)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	const pgoff_t index = linear_page_index(vmf->vma, address);
	struct page *page = filemap_lookup(mapping, index);

	if (!page)
		return NULL;
	if (trylock_page(page)) {
		if (page_test(page, PG_uptodate) && page_mapping(page) == mapping &&
		    index << PAGE_SHIFT < i_size_read(mapping->host))
			return page;
		unlock_page(page);
	}
	put_page(vmf->mm->quire, page);
	return NULL;
}

static void release_source(struct quire *quire, struct page *source)
{
	unlock_page(source);
	put_page(quire, source);
}

/* An entry that has nothing yet, or the file's own page. */
static bool is_candidate(const struct vm_fault *vmf, pteval_t value, const struct page *source)
{
	const struct zone *zone = &vmf->mm->quire->zone;

	if (pte_none(value))
		return true;
	return pte_present(value) && !(value & (PTE_WRITE | PTE_SPECIAL)) &&
	       pte_pfn(value) == page_to_pfn(zone, source);
}

static void find_neighbours(struct vm_fault *vmf, struct neighbours *found)
{
	const uint64_t bytes = min_u64((uint64_t)WINDOW_PAGES << PAGE_SHIFT,
				       vmf->mm->quire->params.anon_fault_around);
	const uint64_t start = vmf->address & ~(bytes - 1);
	const uint64_t end = min_u64(start + bytes, vmf->vma->vm_end);

	found->count = 0;
	for (uint64_t at = max_u64(start, vmf->vma->vm_start); at < end; at += PAGE_SIZE) {
		const pteval_t value = pte_load(fault_entry_for(vmf, at));
		struct page *source = at == vmf->address ? NULL : lock_source(vmf, at);

		if (!source)
			continue;
		if (is_candidate(vmf, value, source))
			found->list[found->count++] =
				(struct neighbour){at, value, source, NULL, false};
		else
			release_source(vmf->mm->quire, source);
	}
}

/* Makes as many copies as there is memory for; the others are given up. */
static void copy_neighbours(struct vm_fault *vmf, struct neighbours *found)
{
	struct quire *quire = vmf->mm->quire;
	struct page *pages[WINDOW_PAGES];
	const uint32_t taken = zone_alloc_ahead(&quire->zone, pages, found->count, WMARK_HIGH);
	const uint32_t count = memcg_charge_ahead(vma_memcg(vmf->vma), pages, taken, true);

	for (uint32_t i = count; i < taken; i++)
		put_page(quire, pages[i]);
	while (found->count > count)
		release_source(quire, found->list[--found->count].source);
	for (uint32_t i = 0; i < count; i++) {
		contents_copy(page_address(&quire->zone, pages[i]),
			      page_address(&quire->zone, found->list[i].source), PAGE_SIZE);
		atomic_store_explicit(&pages[i]->flags, 1u << PG_uptodate | 1u << PG_swapbacked,
				      memory_order_release);
		found->list[i].copy = pages[i];
	}
}

/* Empties the entries that map a source, as long as they are what they were, and revokes them
 * together. */
static void empty_entries(struct vm_fault *vmf, struct neighbours *found)
{
	struct frame_ranges frames;

	frame_ranges_init(&frames);
	for (uint32_t i = 0; i < found->count; i++) {
		struct neighbour *neighbour = &found->list[i];
		pte_t *pte = fault_entry_for(vmf, neighbour->address);

		if ((pte_load(pte) ^ neighbour->value) & ~(pteval_t)PTE_ACCESSED) {
			neighbour->changed = true;
		} else if (!pte_none(neighbour->value)) {
			pte_exchange(pte, 0);
			/* There is room: the window has fewer pages. */
			(void)frame_ranges_add(&frames, pte_pfn(neighbour->value));
		}
	}
	flush_tlb_mm(vmf->mm, &frames);
}

/* The copies take the places; how many. */
static uint32_t map_copies(struct vm_fault *vmf, struct neighbours *found)
{
	const pteval_t bits = vmf->vma->vm_page_prot | PTE_ACCESSED | PTE_WRITE | PTE_DIRTY;
	struct quire *quire = vmf->mm->quire;
	struct page *mapped[WINDOW_PAGES];
	uint32_t replaced = 0;
	uint32_t count = 0;

	for (uint32_t i = 0; i < found->count; i++) {
		struct neighbour *neighbour = &found->list[i];

		if (neighbour->changed)
			continue;
		page_add_new_anon_rmap(neighbour->copy, vmf->vma, neighbour->address);
		set_pte(fault_entry_for(vmf, neighbour->address),
			pfn_pte(page_to_pfn(&quire->zone, neighbour->copy), bits));
		mapped[count++] = neighbour->copy;
		neighbour->copy = NULL;
		if (!pte_none(neighbour->value)) {
			page_remove_rmap(neighbour->source);
			replaced++;
		}
	}
	lru_add_pages(mapped, count);
	add_mm_rss(vmf->mm, MM_FILEPAGES, -(int64_t)replaced);
	add_mm_rss(vmf->mm, MM_ANONPAGES, replaced);
	add_vma_rss(vmf->vma, MM_ANONPAGES, count - replaced);
	return count;
}

/* What the entries held goes, and what is not needed. */
static void release_neighbours(struct quire *quire, struct neighbours *found)
{
	for (uint32_t i = 0; i < found->count; i++) {
		struct neighbour *neighbour = &found->list[i];

		if (neighbour->copy)
			put_page(quire, neighbour->copy);
		else if (!pte_none(neighbour->value))
			put_page(quire, neighbour->source); /* the entry's */
		release_source(quire, neighbour->source);
	}
}

void fault_cow_around(struct vm_fault *vmf)
{
	struct quire *quire = vmf->mm->quire;
	struct neighbours found;
	uint32_t count;

	if (!may_copy_around(vmf))
		return;
	find_neighbours(vmf, &found);
	if (!found.count)
		return;
	copy_neighbours(vmf, &found);
	if (!found.count)
		return;
	vmf->ptl = pte_lockptr(vmf->mm, vmf->pte);
	spin_lock(vmf->ptl);
	empty_entries(vmf, &found);
	count = map_copies(vmf, &found);
	spin_unlock(vmf->ptl);
	release_neighbours(quire, &found);
	count_event(quire, EVENT_COW_COPY, count);
	count_event(quire, EVENT_FAULT_AROUND, count);
	mapping_stat_event(vma_stat(vmf->vma), MAPPING_COPY, count);
	fault_publish_range(vmf, vmf->address & ~(((uint64_t)WINDOW_PAGES << PAGE_SHIFT) - 1),
			    (vmf->address | (((uint64_t)WINDOW_PAGES << PAGE_SHIFT) - 1)) + 1);
}
