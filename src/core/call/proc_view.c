/* SPDX-License-Identifier: MIT */
/*
 * An address space as /proc shows it (see proc_view.h).
 */
#include "core/call/proc_view.h"

#include "core/call/page_walk.h"
#include "core/call/special_mapping.h"
#include "core/file/address_space.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/swap.h"
#include "core/vma/vma.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* makedev(0, 1): the file system in memory that nobody mounted. */
#define SHMEM_DEV 1

static void view_file(const struct vm_area_struct *vma, struct vma_view *view)
{
	const struct inode *inode = vma->vm_file->f_inode;

	view->offset = vma->vm_pgoff << PAGE_SHIFT;
	view->dev = inode->dev;
	view->ino = inode->ino;
	view->regular = inode->kind == INODE_REGULAR;
	if (inode->kind == INODE_SHMEM && !inode->special) {
		view->dev = SHMEM_DEV;
		view->ino = inode->sequence;
	}
	inode_label(inode, vma->vm_file->f_path, view->name);
}

static void view_anonymous(const struct vm_area_struct *vma, struct vma_view *view)
{
	const struct mm_struct *mm = vma->vm_mm;

	if (vma->vm_start < mm->brk && vma->vm_end > mm->start_brk)
		snprintf(view->name, sizeof(view->name), "[heap]");
	else if (vma->vm_start <= mm->start_stack && mm->start_stack <= vma->vm_end)
		snprintf(view->name, sizeof(view->name), "[stack]");
	else if (vma->anon_name)
		snprintf(view->name, sizeof(view->name), "[anon:%s]", vma->anon_name->text);
}

static void view_vma(const struct vm_area_struct *vma, struct vma_view *view)
{
	view->start = vma->vm_start;
	view->end = vma->vm_end;
	view->vm_flags = vma->vm_flags;
	view->offset = view->dev = view->ino = 0;
	view->regular = false;
	view->name[0] = '\0';
	if (vma->vm_file)
		view_file(vma, view);
	else
		view_anonymous(vma, view);
}

/* How the pages of a VMA are looked at. */
struct smaps_walk {
	struct smaps_view *smaps;
	struct quire *quire;
	bool locked_vma;
};

/* A page of shmem has no store that could be newer or older: what was written through a mapping
 * says its entry. */
static bool smaps_dirty(const struct page *page, pteval_t pte)
{
	if (pte & PTE_DIRTY)
		return true;
	return page_test(page, PG_dirty) && (page_anon(page) || !page_test(page, PG_swapbacked));
}

static void smaps_kind(struct smaps_view *smaps, const struct page *page, pteval_t pte,
		       uint64_t pss)
{
	if (page_anon(page)) {
		smaps->anonymous += PAGE_SIZE;
		smaps->anon_pages++;
		smaps->pss_anon += pss;
		if (page_test(page, PG_lazyfree) && !(pte & PTE_DIRTY) &&
		    !page_test(page, PG_dirty))
			smaps->lazyfree += PAGE_SIZE;
	} else if (page_test(page, PG_swapbacked)) {
		smaps->file_pages++;
		smaps->pss_shmem += pss;
	} else {
		smaps->file_pages++;
		smaps->pss_file += pss;
	}
}

static void smaps_numa(struct smaps_view *smaps, const struct page *page, bool dirty,
		       uint64_t mapcount)
{
	smaps->dirty_pages += dirty;
	smaps->writeback_pages += page_test(page, PG_writeback);
	smaps->swapcache_pages += page_test(page, PG_swapcache);
	smaps->active_pages += page_test(page, PG_active) || page_test(page, PG_unevictable);
	smaps->mapcount_max = max_u64(smaps->mapcount_max, mapcount);
}

static void smaps_present(const struct smaps_walk *walk, pteval_t pte)
{
	const struct page *page = pfn_to_page(&walk->quire->zone, pte_pfn(pte));
	const bool dirty = smaps_dirty(page, pte);
	struct smaps_view *smaps = walk->smaps;
	uint64_t mapcount;
	uint64_t pss;

	if (pte & PTE_SPECIAL)
		return;
	mapcount = (uint64_t)page_mapcount(page);
	pss = ((uint64_t)PAGE_SIZE << PSS_SHIFT) / mapcount;
	smaps->rss += PAGE_SIZE;
	smaps->pss += pss;
	if (walk->locked_vma)
		smaps->pss_locked += pss;
	if (dirty)
		smaps->pss_dirty += pss;
	if (mapcount > 1)
		*(dirty ? &smaps->shared_dirty : &smaps->shared_clean) += PAGE_SIZE;
	else
		*(dirty ? &smaps->private_dirty : &smaps->private_clean) += PAGE_SIZE;
	if ((pte & PTE_ACCESSED) || page_test(page, PG_referenced))
		smaps->referenced += PAGE_SIZE;
	smaps_kind(smaps, page, pte, pss);
	smaps_numa(smaps, page, dirty, mapcount);
}

static uint64_t smaps_ptes(struct vm_area_struct *vma, pte_t *pte, uint64_t address, uint64_t end,
			   void *argument)
{
	const struct smaps_walk *walk = argument;

	(void)vma;
	for (; address < end; address += PAGE_SIZE, pte++) {
		pteval_t value = pte_load(pte);

		if (pte_present(value)) {
			smaps_present(walk, value);
		} else if (pte_swap(value)) {
			walk->smaps->swap += PAGE_SIZE;
			walk->smaps->swap_pss += ((uint64_t)PAGE_SIZE << PSS_SHIFT) /
						 swap_count(walk->quire, pte_to_swp_entry(value));
		}
	}
	return end;
}

/* Entries of an object that are looked at under one holding of its lock. */
#define SHMEM_BATCH 1024

/* Swapped pages from *index on, which moves to behind the last one looked at. */
static uint64_t count_swapped(struct address_space *mapping, pgoff_t *index, pgoff_t end)
{
	uint32_t left = SHMEM_BATCH;
	uint64_t swapped = 0;
	pgoff_t next = end;
	uint64_t at;
	void *entry;

	spin_lock(&mapping->i_pages_lock);
	xa_for_each_range (&mapping->i_pages, at, entry, *index, end - 1) {
		swapped += xa_is_value(entry);
		if (!--left) {
			next = at + 1;
			break;
		}
	}
	spin_unlock(&mapping->i_pages_lock);
	*index = next;
	return swapped;
}

/* Pages of an object that are in swap: their entries are in the object, not in page tables. */
static uint64_t shmem_swap_usage(const struct vm_area_struct *vma)
{
	const pgoff_t end = vma->vm_pgoff + vma_pages(vma);
	pgoff_t index = vma->vm_pgoff;
	uint64_t pages = 0;

	while (index < end)
		pages += count_swapped(vma->vm_file->f_mapping, &index, end);
	return pages << PAGE_SHIFT;
}

static void view_smaps(struct vm_area_struct *vma, struct smaps_view *smaps)
{
	struct smaps_walk walk = {
		.smaps = smaps,
		.quire = vma->vm_mm->quire,
		.locked_vma = vma->vm_flags & VM_LOCKED,
	};

	if (vma->vm_flags & VM_PFNMAP)
		return;
	walk_page_range(vma, vma->vm_start, vma->vm_end, smaps_ptes, &walk);
	if (vma->vm_file && mapping_is_shmem(vma->vm_file->f_mapping))
		smaps->swap += shmem_swap_usage(vma);
}

bool mm_view_next(struct mm_struct *mm, uint64_t address, struct vma_view *view,
		  struct smaps_view *smaps)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = find_vma(mm, address);
	if (vma) {
		view_vma(vma, view);
		if (smaps)
			view_smaps(vma, smaps);
	}
	mmap_read_unlock(mm);
	return vma;
}

void vm_flags_text(uint64_t vm_flags, char text[VM_FLAGS_TEXT])
{
	static const struct {
		uint64_t flag;
		char letters[4];
	} flags[] = {
		{VM_READ, "rd "},       {VM_WRITE, "wr "},       {VM_EXEC, "ex "},
		{VM_SHARED, "sh "},     {VM_MAYREAD, "mr "},     {VM_MAYWRITE, "mw "},
		{VM_MAYEXEC, "me "},    {VM_MAYSHARE, "ms "},    {VM_GROWSDOWN, "gd "},
		{VM_PFNMAP, "pf "},     {VM_MAYBE_GUARD, "gu "}, {VM_LOCKED, "lo "},
		{VM_IO, "io "},         {VM_SEQ_READ, "sr "},    {VM_RAND_READ, "rr "},
		{VM_DONTCOPY, "dc "},   {VM_DONTEXPAND, "de "},  {VM_LOCKONFAULT, "lf "},
		{VM_ACCOUNT, "ac "},    {VM_NORESERVE, "nr "},   {VM_WIPEONFORK, "wf "},
		{VM_DONTDUMP, "dd "},   {VM_MIXEDMAP, "mm "},    {VM_HUGEPAGE, "hg "},
		{VM_NOHUGEPAGE, "nh "}, {VM_MERGEABLE, "mg "},   {VM_DROPPABLE, "dp "},
		{VM_SEALED, "sl "},
	};

	_Static_assert(sizeof(flags) / sizeof(flags[0]) * 3 < VM_FLAGS_TEXT, "all at once fit");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!(vm_flags & flags[i].flag))
			continue;
		memcpy(text, flags[i].letters, 3);
		text += 3;
	}
	*text = '\0';
}

void mm_view(struct mm_struct *mm, struct mm_view *view)
{
	mmap_read_lock(mm);
	*view = (struct mm_view){
		.total_vm = mm->total_vm,
		.hiwater_vm = mm->hiwater_vm,
		.locked_vm = mm->locked_vm,
		.data_vm = mm->data_vm,
		.exec_vm = mm->exec_vm,
		.stack_vm = mm->stack_vm,
		.rss_anon = stat_read(&mm->rss, MM_ANONPAGES),
		.rss_file = stat_read(&mm->rss, MM_FILEPAGES),
		.rss_shmem = stat_read(&mm->rss, MM_SHMEMPAGES),
		.swapents = stat_read(&mm->rss, MM_SWAPENTS),
		.hiwater_rss = mm_hiwater_rss(mm),
		.pgtables = atomic_load_explicit(&mm->pgtables, memory_order_relaxed),
		.map_count = mm->map_count,
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
	};
	mmap_read_unlock(mm);
}

static uint64_t pagemap_present(const struct quire *quire, pteval_t pte)
{
	const struct page *page = pfn_to_page(&quire->zone, pte_pfn(pte));
	uint64_t word = PM_PRESENT | pte_pfn(pte);

	if (pte & PTE_SPECIAL)
		return word;
	if (!page_anon(page))
		word |= PM_FILE;
	if (page_mapcount(page) == 1)
		word |= PM_MMAP_EXCLUSIVE;
	return word;
}

static uint64_t pagemap_word(const struct quire *quire, pteval_t pte)
{
	swp_entry_t entry;

	if (pte_none(pte))
		return 0;
	if (pte_present(pte))
		return pagemap_present(quire, pte);
	entry = pte_to_swp_entry(pte);
	return PM_SWAP | (pte_guard(pte) ? PM_GUARD_REGION : 0) | swp_type(entry) |
	       swp_slot(entry) << 5;
}

void mm_pagemap(struct mm_struct *mm, uint64_t address, uint64_t pages, uint64_t *words)
{
	const uint64_t end = address + (pages << PAGE_SHIFT);
	uint64_t at = address;
	pte_t *pte;

	memset(words, 0, pages * sizeof(*words));
	mmap_read_lock(mm);
	while ((at = pte_find_next(mm, at, end, &pte)) < end) {
		const uint64_t stop = min_u64(end, pte_table_end(at));
		struct spinlock *ptl = pte_lockptr(mm, pte);

		spin_lock(ptl);
		for (; at < stop; at += PAGE_SIZE, pte++)
			words[(at - address) >> PAGE_SHIFT] =
				pagemap_word(mm->quire, pte_load(pte));
		spin_unlock(ptl);
	}
	mmap_read_unlock(mm);
}

static uint64_t clear_refs_ptes(struct vm_area_struct *vma, pte_t *pte, uint64_t address,
				uint64_t end, void *argument)
{
	struct mmu_gather *tlb = argument;

	for (; address < end; address += PAGE_SIZE, pte++) {
		pteval_t value = pte_load(pte);

		if (!pte_present(value) || (value & PTE_SPECIAL))
			continue;
		if (pte_modify_bits(pte, PTE_ACCESSED, 0) & PTE_ACCESSED)
			tlb_note(tlb, address, pte_pfn(value));
		page_clear(pfn_to_page(&vma->vm_mm->quire->zone, pte_pfn(value)), PG_referenced);
	}
	return end;
}

static bool clear_refs_wanted(const struct vm_area_struct *vma, int type)
{
	if (vma->vm_flags & VM_PFNMAP)
		return false;
	switch (type) {
	case CLEAR_REFS_ALL:
		return true;
	case CLEAR_REFS_ANON:
		return !vma->vm_file;
	default:
		return type == CLEAR_REFS_MAPPED && vma->vm_file;
	}
}

int mm_clear_refs(struct mm_struct *mm, int type)
{
	struct vm_area_struct *vma;
	struct mmu_gather tlb;

	if (type < CLEAR_REFS_ALL || type > CLEAR_REFS_MM_HIWATER_RSS)
		return -EINVAL;
	mmap_read_lock(mm);
	if (type == CLEAR_REFS_MM_HIWATER_RSS)
		mm_reset_hiwater_rss(mm);
	tlb_gather_mmu(&tlb, mm);
	for_each_vma (mm, vma)
		if (clear_refs_wanted(vma, type))
			walk_page_range(vma, vma->vm_start, vma->vm_end, clear_refs_ptes, &tlb);
	tlb_finish_mmu(&tlb);
	mmap_read_unlock(mm);
	return 0;
}
