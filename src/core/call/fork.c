/* SPDX-License-Identifier: MIT */
/*
 * fork(2) of an address space: the VMAs and the page-table entries are copied, the pages only when
 * one side writes.
 *
 * A parent with a group of its own gives the child one too, with the same budget, as it gives it
 * the same limits; so it is with budgets of single mappings then. In a group that the parent was
 * put into the child stays, as in Linux's control groups, and shares the budgets of mappings, too.
 * Memory locks are not inherited.
 */
#include "core/call/call.h"
#include "core/call/copy_page_range.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/memcg.h"
#include "core/rmap/rmap.h"
#include "core/vma/account.h"
#include "core/vma/vma.h"

#include <errno.h>

/* What the child inherits besides VMAs. The counts are brought down by what it does not get. */
static void copy_mm_fields(struct mm_struct *child, const struct mm_struct *parent)
{
	child->task_size = parent->task_size;
	child->mmap_base = parent->mmap_base;
	child->start_code = parent->start_code;
	child->end_code = parent->end_code;
	child->start_data = parent->start_data;
	child->end_data = parent->end_data;
	child->start_brk = parent->start_brk;
	child->brk = parent->brk;
	child->start_stack = parent->start_stack;
	child->arg_start = parent->arg_start;
	child->arg_end = parent->arg_end;
	child->env_start = parent->env_start;
	child->env_end = parent->env_end;
	child->def_flags = parent->def_flags & ~(uint64_t)VM_LOCKED_MASK;
	child->may_lock = parent->may_lock;
	child->may_map_low = parent->may_map_low;
	child->mdwe = mdwe_inherited(parent);
	for (int limit = 0; limit < MM_LIMITS; limit++)
		child->limit[limit] = parent->limit[limit];
}

/* Committed memory that the copies of the parent's VMAs will account for, in pages. */
static uint64_t pages_to_commit(struct mm_struct *parent)
{
	struct vm_area_struct *vma;
	uint64_t pages = 0;

	for_each_vma (parent, vma)
		if ((vma->vm_flags & VM_ACCOUNT) && !(vma->vm_flags & VM_DONTCOPY))
			pages += vma_pages(vma);
	return pages;
}

/* The child's group for the mapping of `src`: that of an earlier VMA with the same budget, or NULL.
 */
static struct mem_cgroup *copied_mapping_group(struct mm_struct *child, struct vm_area_struct *src)
{
	const struct mem_cgroup *memcg = src->vm_memcg;

	while ((src = vma_prev(src))) {
		struct vm_area_struct *copy;

		if (src->vm_memcg != memcg)
			continue;
		copy = vma_lookup(child, src->vm_start);
		if (copy)
			return copy->vm_memcg;
	}
	return NULL;
}

static int dup_mapping_group(struct vm_area_struct *dst, struct vm_area_struct *src)
{
	struct mm_struct *child = dst->vm_mm;
	struct mem_cgroup *memcg;
	int error;

	if (!src->vm_memcg || child->memcg == src->vm_mm->memcg)
		return 0;
	memcg = copied_mapping_group(child, src);
	if (memcg) {
		vma_set_memcg(dst, memcg);
		return 0;
	}
	error = memcg_create(child->quire, child->memcg, src->vm_memcg->name, NULL, &memcg);
	if (error)
		return error;
	memcg_copy_max(memcg, src->vm_memcg);
	vma_set_memcg(dst, memcg);
	memcg_put(memcg);
	return 0;
}

/* A linked VMA of the child, without entries, or NULL: no memory. */
static struct vm_area_struct *dup_vma(struct mm_struct *child, struct vm_area_struct *src)
{
	struct vm_area_struct *dst = vm_area_dup(child, src);

	if (!dst)
		return NULL;
	dst->vm_flags &= ~(uint64_t)VM_LOCKED_MASK;
	/* A VMA whose contents are wiped begins without a past. */
	if (dup_mapping_group(dst, src) ||
	    (!(src->vm_flags & VM_WIPEONFORK) && anon_vma_fork(dst, src))) {
		vm_area_free(dst);
		return NULL;
	}
	vma_link(child, dst);
	vm_stat_account(child, dst->vm_file, dst->vm_flags, (int64_t)vma_pages(dst));
	if (dst->vm_ops && dst->vm_ops->open)
		dst->vm_ops->open(dst);
	return dst;
}

/* `committed` pages are charged for the child; what no VMA of it took over at an error is given
 * back. */
static int dup_vmas(struct mm_struct *child, struct mm_struct *parent, uint64_t committed,
		    struct frame_ranges *write_protected)
{
	struct vm_area_struct *src;
	int error = 0;

	for_each_vma (parent, src) {
		struct vm_area_struct *dst;

		if (src->vm_flags & VM_DONTCOPY)
			continue;
		dst = dup_vma(child, src);
		if (!dst) {
			error = -ENOMEM;
			break;
		}
		if (dst->vm_flags & VM_ACCOUNT)
			committed -= vma_pages(dst);
		if (vma_needs_copy(src))
			error = copy_page_range(dst, src, write_protected);
		if (error)
			break;
	}
	vm_unacct_memory(child->quire, committed);
	return error;
}

/* Both mmap_locks held for writing. */
static int dup_mmap(struct mm_struct *child, struct mm_struct *parent)
{
	const uint64_t committed = pages_to_commit(parent);
	struct frame_ranges write_protected;
	int error = security_vm_enough_memory(parent, committed);

	if (error)
		return error;
	copy_mm_fields(child, parent);
	frame_ranges_init(&write_protected);
	error = dup_vmas(child, parent, committed, &write_protected);
	/* No store of the parent may reach a page that the child shares. */
	flush_tlb_mm(parent, &write_protected);
	mm_wait_revokes(parent);
	return error;
}

int dup_mm(struct mm_struct *mm, const char *name, struct mm_struct **child)
{
	struct mm_struct *copy;
	int error = mm_alloc(mm->quire, name, mm->own_memcg ? NULL : mm->memcg, &copy);

	if (error)
		return error;
	if (copy->own_memcg)
		memcg_copy_max(copy->memcg, mm->memcg);
	mmap_write_lock(mm);
	percpu_write_lock_nested(&copy->mmap_lock);
	error = dup_mmap(copy, mm);
	mmap_write_unlock(mm);
	mmap_write_unlock(copy);
	if (error) {
		mm_destroy(copy);
		return error;
	}
	*child = copy;
	return 0;
}
