/* SPDX-License-Identifier: MIT */
/*
 * Copying page-table entries at fork, one table of the parent to one of the child at a time, with
 * both tables' locks held: the child's first (nobody else waits for it while holding the parent's).
 *
 * For each mapped page this is one addition to the reference count, one to the map count and, where
 * the entry was writable, one atomic change of the parent's entry. Counters are added up for each
 * table.
 */
#include "core/call/copy_page_range.h"

#include "base/contents.h"
#include "core/call/page_walk.h"
#include "core/file/address_space.h"
#include "core/reclaim/memcg.h"
#include "core/reclaim/swap.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma_stat.h"

#include <errno.h>

/* Copying one VMA; local to the thread. */
struct page_copy {
	struct vm_area_struct *dst;
	struct vm_area_struct *src;
	struct zone *zone;
	struct quire *quire;
	struct page *spare; /* charged to the child, for a page that is pinned and so copied now */
	int64_t rss[MM_RSS_ITEMS];
	enum mm_rss file_item;
	struct frame_ranges *write_protected; /* the parent's */
};

bool vma_needs_copy(const struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WIPEONFORK)
		return false;
	return (vma->vm_flags & VM_MAYBE_GUARD) ||
	       atomic_load_explicit(&vma->anon_vma, memory_order_acquire);
}

/* Swap entries are shared and no longer exclusive; markers stand for themselves. */
static void copy_nonpresent_pte(struct page_copy *copy, pte_t *dst, pte_t *src, pteval_t pte)
{
	if (pte_swap(pte)) {
		swap_duplicate(copy->quire, pte_to_swp_entry(pte));
		copy->rss[MM_SWAPENTS]++;
		if (pte & SWP_EXCLUSIVE) {
			pte &= ~SWP_EXCLUSIVE;
			set_pte(src, pte);
		}
	}
	set_pte(dst, pte);
}

/* The spare page becomes the child's copy of a pinned page. False: there is no spare. */
static bool copy_pinned_page(struct page_copy *copy, pte_t *dst, struct page *pinned,
			     uint64_t address)
{
	struct vm_area_struct *vma = copy->dst;
	struct page *page = copy->spare;
	pteval_t bits = vma->vm_page_prot | PTE_DIRTY;

	if (!page)
		return false;
	copy->spare = NULL;
	contents_copy(page_address(copy->zone, page), page_address(copy->zone, pinned), PAGE_SIZE);
	atomic_store_explicit(&page->flags, 1u << PG_uptodate | 1u << PG_swapbacked,
			      memory_order_release);
	page_add_new_anon_rmap(page, vma, address);
	lru_add_page(copy->quire, page);
	if (vma->vm_flags & VM_WRITE)
		bits |= PTE_WRITE;
	set_pte(dst, pfn_pte(page_to_pfn(copy->zone, page), bits));
	copy->rss[MM_ANONPAGES]++;
	return true;
}

/* False: a spare page is needed first. */
static inline bool copy_present_pte(struct page_copy *copy, pte_t *dst, pte_t *src,
				    uint64_t address)
{
	pteval_t pte = pte_load(src);
	struct page *page;

	if (unlikely(pte & PTE_SPECIAL)) {
		set_pte(dst, pte & ~PTE_ACCESSED);
		return true;
	}
	page = pfn_to_page(copy->zone, pte_pfn(pte));
	if (likely(page_anon(page))) {
		if (unlikely(page_try_dup_anon_rmap(page)))
			return copy_pinned_page(copy, dst, page, address);
		copy->rss[MM_ANONPAGES]++;
	} else {
		page_add_file_rmap(page);
		copy->rss[copy->file_item]++;
	}
	get_page(page);
	if (copy->src->vm_flags & VM_SHARED) {
		/* The parent's entry answers for what is dirty so far. */
		pte &= ~PTE_DIRTY;
	} else if (pte & PTE_WRITE) {
		pte = atomic_fetch_and_explicit(src, ~PTE_WRITE, memory_order_acq_rel) & ~PTE_WRITE;
		if (unlikely(!frame_ranges_add(copy->write_protected, pte_pfn(pte))))
			copy->write_protected->all = true;
	}
	set_pte(dst, pte & ~PTE_ACCESSED);
	return true;
}

/* Entries of one table on both sides; returns where it stopped for want of a spare page, or `end`.
 */
static uint64_t copy_pte_range(struct page_copy *copy, pte_t *dst, pte_t *src, uint64_t address,
			       uint64_t end)
{
	for (; address < end; address += PAGE_SIZE, dst++, src++) {
		pteval_t pte = pte_load(src);

		if (pte_none(pte))
			continue;
		if (unlikely(!pte_present(pte)))
			copy_nonpresent_pte(copy, dst, src, pte);
		else if (unlikely(!copy_present_pte(copy, dst, src, address)))
			break;
	}
	return address;
}

static uint64_t copy_table(struct page_copy *copy, pte_t *dst, pte_t *src, uint64_t address,
			   uint64_t end)
{
	struct spinlock *dst_ptl = pte_lockptr(copy->dst->vm_mm, dst);
	struct spinlock *src_ptl = pte_lockptr(copy->src->vm_mm, src);

	spin_lock(dst_ptl);
	spin_lock_nested(src_ptl);
	address = copy_pte_range(copy, dst, src, address, end);
	spin_unlock(src_ptl);
	spin_unlock(dst_ptl);
	for (int item = 0; item < MM_RSS_ITEMS; item++) {
		if (copy->rss[item])
			add_vma_rss(copy->dst, (enum mm_rss)item, copy->rss[item]);
		copy->rss[item] = 0;
	}
	return address;
}

static int alloc_spare(struct page_copy *copy)
{
	struct page *page = alloc_page(copy->quire, GFP_RECLAIM);

	if (!page)
		return -ENOMEM;
	if (memcg_charge(copy->quire, vma_memcg(copy->dst), page, GFP_RECLAIM)) {
		put_page(copy->quire, page);
		return -ENOMEM;
	}
	copy->spare = page;
	return 0;
}

/* From `address` to the end of the VMA, or of what memory allows. */
static int copy_tables(struct page_copy *copy)
{
	const uint64_t end = copy->src->vm_end;
	uint64_t address = copy->src->vm_start;
	pte_t *src;

	while ((address = pte_find_next(copy->src->vm_mm, address, end, &src)) < end) {
		uint64_t stop = min_u64(end, pte_table_end(address));
		pte_t *dst = pte_alloc(copy->dst->vm_mm, address);

		if (!dst)
			return -ENOMEM;
		address = copy_table(copy, dst, src, address, stop);
		if (address < stop && alloc_spare(copy))
			return -ENOMEM;
	}
	return 0;
}

int copy_page_range(struct vm_area_struct *dst, struct vm_area_struct *src,
		    struct frame_ranges *write_protected)
{
	struct quire *quire = src->vm_mm->quire;
	struct page_copy copy = {
		.dst = dst,
		.src = src,
		.zone = &quire->zone,
		.quire = quire,
		.file_item = src->vm_file && src->vm_file->f_inode->kind == INODE_SHMEM
				     ? MM_SHMEMPAGES
				     : MM_FILEPAGES,
		.write_protected = write_protected,
	};
	int error = copy_tables(&copy);

	if (copy.spare)
		put_page(quire, copy.spare);
	publish_range(dst->vm_mm, dst->vm_start, dst->vm_end);
	return error;
}
