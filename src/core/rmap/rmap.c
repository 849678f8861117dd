/* SPDX-License-Identifier: MIT */
/*
 * Reverse-map walks, the counts of mappings, and the walks that look at accessed bits and clean
 * entries.
 *
 * What keeps a VMA that a walk meets alive is the lock of its tree, for its page table see
 * core/pgtable/pgtable.h.
 */
#include "core/rmap/rmap.h"

#include "core/file/address_space.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/vmscan.h"

#include <errno.h>

static uintptr_t anon_mapping(struct anon_vma *anon_vma)
{
	return (uintptr_t)anon_vma | PAGE_MAPPING_ANON;
}

static void set_anon_rmap(struct page *page, struct anon_vma *anon_vma, pgoff_t index)
{
	page->index = index;
	atomic_store_explicit(&page->mapping, anon_mapping(anon_vma), memory_order_release);
}

static void page_map_one_more(struct page *page)
{
	atomic_fetch_add_explicit(&page->mapcount, 1, memory_order_acq_rel);
}

void page_add_new_anon_rmap(struct page *page, struct vm_area_struct *vma, uint64_t address)
{
	struct anon_vma *anon_vma = atomic_load_explicit(&vma->anon_vma, memory_order_acquire);

	QUIRE_ASSERT(1, anon_vma && !page_mapped(page));
	set_anon_rmap(page, anon_vma, linear_page_index(vma, address));
	atomic_store_explicit(&page->mapcount, 1, memory_order_release);
	/* Nobody else knows the page yet, so its flags need no atomic change. */
	atomic_store_explicit(&page->flags,
			      atomic_load_explicit(&page->flags, memory_order_relaxed) |
				      1u << PG_swapbacked | 1u << PG_anon_exclusive,
			      memory_order_release);
}

void page_add_anon_rmap(struct page *page, struct vm_area_struct *vma, uint64_t address,
			bool exclusive)
{
	struct anon_vma *anon_vma = atomic_load_explicit(&vma->anon_vma, memory_order_acquire);

	QUIRE_ASSERT(1, anon_vma && page_locked(page));
	/* An unmapped page may come from any process of the family: only all of it is sure to hold
	 * the others who have its entry. */
	if (!page_mapped(page))
		set_anon_rmap(page, exclusive ? anon_vma : anon_vma_root(anon_vma),
			      linear_page_index(vma, address));
	page_map_one_more(page);
	if (exclusive)
		page_set(page, PG_anon_exclusive);
}

void page_add_file_rmap(struct page *page)
{
	page_map_one_more(page);
}

int page_try_dup_anon_rmap(struct page *page)
{
	if (page_test(page, PG_anon_exclusive)) {
		if (page_maybe_pinned(page))
			return -EBUSY;
		page_clear(page, PG_anon_exclusive);
	}
	page_map_one_more(page);
	return 0;
}

void page_remove_rmap(struct page *page)
{
	struct quire *quire;
	int32_t before = atomic_fetch_sub_explicit(&page->mapcount, 1, memory_order_acq_rel);

	QUIRE_ASSERT(1, before > 0);
	if (before > 1 || likely(!(atomic_load_explicit(&page->flags, memory_order_acquire) &
				   (1u << PG_mlocked | 1u << PG_swapcache))))
		return;
	quire = atomic_load_explicit(&page->memcg, memory_order_acquire)->quire;
	if (page_test(page, PG_mlocked))
		munlock_page(quire, page);
	swap_cache_release(quire, page);
}

void page_move_anon_rmap(struct page *page, struct vm_area_struct *vma)
{
	struct anon_vma *anon_vma = atomic_load_explicit(&vma->anon_vma, memory_order_acquire);

	QUIRE_ASSERT(1, anon_vma && page_locked(page));
	atomic_store_explicit(&page->mapping, anon_mapping(anon_vma), memory_order_release);
}

static uint64_t index_address_in_vma(pgoff_t index, const struct vm_area_struct *vma)
{
	if (index < vma->vm_pgoff || index - vma->vm_pgoff >= vma_pages(vma))
		return UINT64_MAX;
	return vma->vm_start + ((index - vma->vm_pgoff) << PAGE_SHIFT);
}

uint64_t page_address_in_vma(const struct page *page, const struct vm_area_struct *vma)
{
	if (page_anon(page)) {
		struct anon_vma *anon_vma =
			atomic_load_explicit(&vma->anon_vma, memory_order_acquire);

		if (!anon_vma || anon_vma_root(anon_vma) != anon_vma_root(page_anon_vma(page)))
			return UINT64_MAX;
	} else if (vma_is_anonymous(vma) || vma->vm_file->f_mapping != page_mapping(page)) {
		return UINT64_MAX;
	}
	return index_address_in_vma(page->index, vma);
}

static bool rmap_read_lock(struct rwlock *lock, bool try_lock)
{
	if (try_lock)
		return read_trylock(lock);
	read_lock(lock);
	return true;
}

static bool walk_anon_tree(struct page *page, struct anon_vma *anon_vma,
			   const struct rmap_walk_control *control)
{
	const pgoff_t index = page->index;
	struct interval_tree_node *node;

	for (node = interval_tree_iter_first(&anon_vma->rb_root, index, index); node;
	     node = interval_tree_iter_next(node, index, index)) {
		struct vm_area_struct *vma = container_of(node, struct anon_vma_chain, node)->vma;

		if (!control->one(page, vma, index_address_in_vma(index, vma), control->argument))
			return false;
	}
	return true;
}

static bool rmap_walk_anon(struct page *page, const struct rmap_walk_control *control)
{
	struct anon_vma *anon_vma = page_anon_vma(page);
	bool complete = true;
	struct anon_vma *root;

	if (!page_mapped(page))
		return true;
	root = anon_vma_root(anon_vma);
	if (!rmap_read_lock(&root->rwlock, control->try_lock))
		return false;
	/* Still mapped: then the VMA is in this anon_vma's tree, and neither can go now. */
	if (page_mapped(page) && anon_vma_root(anon_vma) == root)
		complete = walk_anon_tree(page, anon_vma, control);
	read_unlock(&root->rwlock);
	return complete;
}

static bool rmap_walk_file(struct page *page, const struct rmap_walk_control *control)
{
	struct address_space *mapping = page_mapping(page);
	const pgoff_t index = page->index;
	struct interval_tree_node *node;
	bool complete = true;

	if (!mapping)
		return true;
	if (!rmap_read_lock(&mapping->i_mmap_lock, control->try_lock))
		return false;
	for (node = interval_tree_iter_first(&mapping->i_mmap, index, index); node && complete;
	     node = interval_tree_iter_next(node, index, index)) {
		struct vm_area_struct *vma = container_of(node, struct vm_area_struct, shared);

		complete = control->one(page, vma, index_address_in_vma(index, vma),
					control->argument);
	}
	read_unlock(&mapping->i_mmap_lock);
	return complete;
}

bool rmap_walk(struct page *page, const struct rmap_walk_control *control)
{
	QUIRE_ASSERT(1, page_locked(page));
	return page_anon(page) ? rmap_walk_anon(page, control) : rmap_walk_file(page, control);
}

static bool pte_maps_page(pteval_t pte, const struct zone *zone, const struct page *page)
{
	return pte_present(pte) && !(pte & PTE_SPECIAL) && pte_pfn(pte) == page_to_pfn(zone, page);
}

pte_t *page_vma_mapped(struct page *page, struct vm_area_struct *vma, uint64_t address,
		       struct spinlock **ptl)
{
	struct mm_struct *mm = vma->vm_mm;
	const struct zone *zone = &mm->quire->zone;
	pte_t *pte = pte_find(mm, address);

	if (!pte || !pte_maps_page(pte_load(pte), zone, page))
		return NULL;
	*ptl = pte_lockptr(mm, pte);
	spin_lock(*ptl);
	if (likely(pte_maps_page(pte_load(pte), zone, page)))
		return pte;
	spin_unlock(*ptl);
	return NULL;
}

struct referenced {
	struct revoke_batch *batch;
	uint32_t count;
	uint64_t vm_flags;
};

/*
 * The machine must forget its translation too, or it would not set the bit again and a page in
 * constant use would look idle.
 */
static bool page_referenced_one(struct page *page, struct vm_area_struct *vma, uint64_t address,
				void *argument)
{
	struct referenced *referenced = argument;
	struct spinlock *ptl;
	pte_t *pte = page_vma_mapped(page, vma, address, &ptl);
	bool accessed;

	if (!pte)
		return true;
	accessed = pte_load(pte) & PTE_ACCESSED;
	if (accessed)
		pte_modify_bits(pte, PTE_ACCESSED, 0);
	if (accessed)
		revoke_batch_add(referenced->batch, vma->vm_mm, address,
				 page_to_pfn(&vma->vm_mm->quire->zone, page));
	spin_unlock(ptl);

	referenced->vm_flags |= vma->vm_flags;
	/* Who declared the order of accesses to say nothing about the next ones is taken at his
	 * word. */
	if (accessed && !(vma->vm_flags & (VM_SEQ_READ | VM_RAND_READ)))
		referenced->count++;
	return !(vma->vm_flags & VM_LOCKED);
}

uint32_t page_referenced(struct page *page, uint64_t *vm_flags, struct revoke_batch *batch)
{
	struct referenced referenced = {.batch = batch};
	const struct rmap_walk_control control = {
		.one = page_referenced_one,
		.argument = &referenced,
		.try_lock = true,
	};

	if (page_mapped(page))
		rmap_walk(page, &control);
	*vm_flags = referenced.vm_flags;
	return referenced.count;
}

/*
 * First no more writes, on any CPU, then the dirty bit: a write that comes before the flush is part
 * of what is about to be written out, a later one faults.
 */
static bool page_mkclean_one(struct page *page, struct vm_area_struct *vma, uint64_t address,
			     void *argument)
{
	uint32_t *cleaned = argument;
	struct spinlock *ptl;
	pte_t *pte;
	pteval_t old;

	if (!vma_is_shared(vma))
		return true;
	pte = page_vma_mapped(page, vma, address, &ptl);
	if (!pte)
		return true;
	old = pte_modify_bits(pte, PTE_WRITE, 0);
	if (old & PTE_WRITE)
		flush_tlb_page(vma->vm_mm, address, pte_pfn(old));
	old |= pte_modify_bits(pte, PTE_DIRTY, 0);
	spin_unlock(ptl);
	if (old & (PTE_WRITE | PTE_DIRTY))
		(*cleaned)++;
	return true;
}

uint32_t page_mkclean(struct page *page)
{
	uint32_t cleaned = 0;
	const struct rmap_walk_control control = {
		.one = page_mkclean_one,
		.argument = &cleaned,
	};

	if (page_mapped(page) && page_mapping(page))
		rmap_walk(page, &control);
	return cleaned;
}
