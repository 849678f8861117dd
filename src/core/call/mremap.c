/* SPDX-License-Identifier: MIT */
/*
 * mremap(2): grows, shrinks and moves mappings.
 *
 * A move prepares everything that may fail (the charge, the tables, the split of the source, the
 * VMA at the destination), then moves page-table entries and drops the source, which cannot fail
 * any more. Only the old contents of a fixed destination are gone in any case.
 *
 * With MREMAP_FIXED and equal lengths the range may span several VMAs and holes between them; they
 * move one by one and an error leaves the rest where it was.
 */
#include "core/call/call.h"
#include "core/call/move_page_tables.h"
#include "core/instance/instance.h"
#include "core/rmap/rmap.h"
#include "core/vma/account.h"
#include "core/vma/vma.h"

#include <errno.h>

/* One call, or one VMA of a move of several; all lengths in bytes, page-aligned. */
struct vma_remap {
	struct mm_struct *mm;
	struct vm_area_struct *vma; /* the source */
	uint64_t address, old_length, new_length;
	uint64_t new_address;
	uint32_t flags;
	uint64_t populate; /* out: first byte of a locked area's new part; 0: none */
};

static bool implies_new_address(const struct vma_remap *vrm)
{
	return vrm->flags & (QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP);
}

static bool ranges_overlap(const struct vma_remap *vrm)
{
	return vrm->address < vrm->new_address + vrm->new_length &&
	       vrm->new_address < vrm->address + vrm->old_length;
}

/* Some VMAs of room are asked for, since a move may split its source twice before it is dropped. */
static bool near_map_count_limit(const struct mm_struct *mm, uint32_t more)
{
	return mm->map_count + more + 3 >= mm->quire->params.max_map_count;
}

/* What is wrong whatever is mapped; lengths are rounded up already. */
static int check_params(const struct vma_remap *vrm)
{
	const uint64_t task_size = vrm->mm->task_size;

	if (!vrm->new_length || vrm->new_length > task_size)
		return -EINVAL;
	if (!implies_new_address(vrm))
		return 0;
	if (vrm->new_address > task_size - vrm->new_length || PAGE_OFFSET(vrm->new_address))
		return -EINVAL;
	if (!(vrm->flags & QUIRE_MREMAP_MAYMOVE))
		return -EINVAL;
	if ((vrm->flags & QUIRE_MREMAP_DONTUNMAP) && vrm->old_length != vrm->new_length)
		return -EINVAL;
	return ranges_overlap(vrm) ? -EINVAL : 0;
}

/* May the VMA grow by so much? */
static int check_growth(const struct vma_remap *vrm)
{
	const struct vm_area_struct *vma = vrm->vma;
	const uint64_t pages = (vrm->new_length - vrm->old_length) >> PAGE_SHIFT;
	const pgoff_t pgoff = linear_page_index(vma, vrm->address);

	if (pgoff + (vrm->new_length >> PAGE_SHIFT) < pgoff)
		return -EINVAL;
	if (vma->vm_flags & (VM_DONTEXPAND | VM_PFNMAP))
		return -EFAULT;
	if ((vma->vm_flags & VM_LOCKED) && mlock_limit_check(vrm->mm, pages, -EAGAIN))
		return -EAGAIN;
	return may_expand_vm(vrm->mm, vma->vm_flags, pages) ? 0 : -ENOMEM;
}

static int check_source(const struct vma_remap *vrm)
{
	const struct vm_area_struct *vma = vrm->vma;
	const bool grows = vrm->new_length > vrm->old_length;

	if (!vma)
		return -EFAULT;
	if (vma->vm_flags & VM_SEALED)
		return -EPERM;
	if (!grows && !implies_new_address(vrm))
		return 0;
	/* Old size 0 asks for one more mapping of the same pages, which private memory has not. */
	if (!vrm->old_length && !(vma->vm_flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL;
	if ((vrm->flags & QUIRE_MREMAP_DONTUNMAP) && (vma->vm_flags & (VM_DONTEXPAND | VM_PFNMAP)))
		return -EINVAL;
	/* What a shrinking move unmaps may lie in other VMAs; what it moves may not. */
	if (min_u64(vrm->old_length, vrm->new_length) > vma->vm_end - vrm->address)
		return -EFAULT;
	return grows ? check_growth(vrm) : 0;
}

static void account(struct mm_struct *mm, struct file *file, uint64_t vm_flags, uint64_t pages)
{
	vm_stat_account(mm, file, vm_flags, (int64_t)pages);
	if (vm_flags & VM_LOCKED)
		mm->locked_vm += pages;
}

/* Committed memory that the call adds, in pages. */
static uint64_t pages_to_commit(const struct vma_remap *vrm)
{
	if (!(vrm->vma->vm_flags & VM_ACCOUNT))
		return 0;
	if (vrm->flags & QUIRE_MREMAP_DONTUNMAP)
		return vrm->new_length >> PAGE_SHIFT;
	return (vrm->new_length - vrm->old_length) >> PAGE_SHIFT;
}

static int shrink(const struct vma_remap *vrm)
{
	if (vrm->old_length > vrm->mm->task_size - vrm->address)
		return -EINVAL;
	return do_munmap_locked(vrm->mm, vrm->address + vrm->new_length,
				vrm->address + vrm->old_length);
}

/* The VMA ends where the old range does, and the space behind it is free. */
static bool can_grow_in_place(const struct vma_remap *vrm)
{
	const struct vm_area_struct *vma = vrm->vma;
	const uint64_t end = vma->vm_end + (vrm->new_length - vrm->old_length);

	return vma->vm_end - vrm->address == vrm->old_length && end > vma->vm_end &&
	       end <= vrm->mm->task_size && !find_vma_intersection(vrm->mm, vma->vm_end, end);
}

/* The new part is a range of the same kind that merges with the VMA before it, and perhaps with the
 * one behind. */
static int grow_in_place(struct vma_remap *vrm)
{
	struct mm_struct *mm = vrm->mm;
	struct vm_area_struct *vma = vrm->vma;
	const uint64_t vm_flags = vma->vm_flags;
	const uint64_t commit = pages_to_commit(vrm);
	const struct vma_range range = {
		.mm = mm,
		.start = vma->vm_end,
		.end = vma->vm_end + (vrm->new_length - vrm->old_length),
		.vm_flags = vm_flags,
		.file = vma->vm_file,
		.pgoff = linear_page_index(vma, vma->vm_end),
		.copied_from = vma,
		.vm_ops = vma->vm_ops,
		.memcg = vma->vm_memcg,
		.anon_name = vma_anon_name(vma),
	};
	int error = security_vm_enough_memory(mm, commit);

	if (error)
		return error;
	if (!vma_merge_new_range(&range)) {
		vm_unacct_memory(mm->quire, commit);
		return -ENOMEM;
	}
	account(mm, range.file, vm_flags, (range.end - range.start) >> PAGE_SHIFT);
	if (vm_flags & VM_LOCKED)
		vrm->populate = range.start;
	return 0;
}

/* Free space for the mapping, or the fixed address. */
static int set_new_address(struct vma_remap *vrm)
{
	int64_t found;

	if (vrm->flags & QUIRE_MREMAP_FIXED)
		return may_map_at(vrm->mm, vrm->new_address) ? 0 : -EPERM;
	found = get_unmapped_area(vrm->mm,
				  vrm->flags & QUIRE_MREMAP_DONTUNMAP ? vrm->new_address : 0,
				  vrm->new_length, false);
	if (found < 0)
		return (int)found;
	vrm->new_address = (uint64_t)found;
	return 0;
}

static int ask_vm_ops(const struct vma_remap *vrm)
{
	struct vm_area_struct *vma = vrm->vma;
	const struct vm_operations_struct *ops = vma->vm_ops;
	int error = 0;

	if (!ops)
		return 0;
	if (ops->may_split && vma->vm_start != vrm->address)
		error = ops->may_split(vma, vrm->address);
	if (!error && ops->may_split && vma->vm_end != vrm->address + vrm->old_length)
		error = ops->may_split(vma, vrm->address + vrm->old_length);
	if (!error && ops->mremap)
		error = ops->mremap(vma);
	return error;
}

/*
 * The source becomes a VMA of its own, since dropping it later must not need a split. Nothing to do
 * when it stays mapped.
 */
static int isolate_source(struct vma_remap *vrm)
{
	const uint64_t end = vrm->address + vrm->old_length;

	if (!vrm->old_length || (vrm->flags & QUIRE_MREMAP_DONTUNMAP))
		return 0;
	if (vrm->vma->vm_start < vrm->address) {
		int error = split_vma(vrm->vma, vrm->address);

		if (error)
			return error;
		vrm->vma = vma_next(vrm->vma);
	}
	return vrm->vma->vm_end > end ? split_vma(vrm->vma, end) : 0;
}

/* MREMAP_DONTUNMAP: the source stays, empty, and locked no longer: the lock has moved. If it merged
 * with the destination, neither is locked, as on Linux. */
static void keep_source(struct vma_remap *vrm, struct vm_area_struct *new_vma)
{
	struct vm_area_struct *vma = vrm->vma;

	if (vma->vm_flags & VM_LOCKED) {
		vma_rmap_lock(vma);
		vma->vm_flags &= ~(uint64_t)VM_LOCKED_MASK;
		vma_rmap_unlock(vma);
		vrm->mm->locked_vm -= vma_pages(vma);
	}
	/* Without a page of its own it may merge with any neighbour. */
	if (vma != new_vma && vma->vm_start == vrm->address &&
	    vma->vm_end == vrm->address + vrm->old_length)
		unlink_anon_vmas(vma);
}

/* The source was split off, so that unmapping it, which at most shrinks a VMA, cannot fail. */
static void drop_source(struct vma_remap *vrm, uint64_t vm_flags)
{
	const uint64_t end = vrm->address + vrm->old_length;
	int error;

	if (!vrm->old_length)
		return;
	error = do_munmap_locked(vrm->mm, vrm->address, end);
	QUIRE_ASSERT(1, !error);
	(void)error;
	/* The commitment has not ended but moved. */
	if (vm_flags & VM_ACCOUNT)
		vm_acct_memory(vrm->mm->quire, vrm->old_length >> PAGE_SHIFT);
}

/* Undoes isolate_source(), as far as it got: equal flags let the parts merge again. */
static void rejoin_source(struct vma_remap *vrm)
{
	struct vm_area_struct *vma = vrm->vma;
	int error = vma_modify_flags(vma, vma->vm_start, vma->vm_end, vma->vm_flags, &vrm->vma);

	QUIRE_ASSERT(1, !error);
	(void)error;
}

/* The VMA at the destination with everything in it, or NULL: nothing has moved. */
static struct vm_area_struct *copy_vma_and_data(struct vma_remap *vrm)
{
	struct mm_struct *mm = vrm->mm;
	const uint64_t moved = min_u64(vrm->old_length, vrm->new_length);
	const pgoff_t pgoff = linear_page_index(vrm->vma, vrm->address);
	struct page_table_move move = {
		.from = vrm->address, .to = vrm->new_address, .bytes = moved};

	if (prepare_page_tables(mm, move.from, move.to, moved))
		goto discard;
	if (isolate_source(vrm))
		goto rejoin;
	move.vma = copy_vma(&vrm->vma, vrm->new_address, vrm->new_length, pgoff,
			    &move.need_rmap_locks);
	if (!move.vma)
		goto rejoin;
	move_page_tables(&move);
	return move.vma;

rejoin:
	rejoin_source(vrm);
discard:
	discard_page_tables(mm, vrm->new_address, vrm->new_address + vrm->new_length);
	return NULL;
}

/* Moves the source to new_address, where nothing is mapped. */
static int move_vma(struct vma_remap *vrm)
{
	struct mm_struct *mm = vrm->mm;
	const uint64_t vm_flags = vrm->vma->vm_flags;
	const uint64_t commit = pages_to_commit(vrm);
	struct vm_area_struct *new_vma;
	int error;

	if (near_map_count_limit(mm, 0))
		return -ENOMEM;
	error = ask_vm_ops(vrm);
	if (error)
		return error;
	error = security_vm_enough_memory(mm, commit);
	if (error)
		return error;
	new_vma = copy_vma_and_data(vrm);
	if (!new_vma) {
		vm_unacct_memory(mm->quire, commit);
		return -ENOMEM;
	}
	account(mm, new_vma->vm_file, vm_flags, vrm->new_length >> PAGE_SHIFT);
	if (vrm->flags & QUIRE_MREMAP_DONTUNMAP)
		keep_source(vrm, new_vma);
	else
		drop_source(vrm, vm_flags);
	if ((vm_flags & VM_LOCKED) && vrm->new_length > vrm->old_length)
		vrm->populate = vrm->new_address + vrm->old_length;
	return 0;
}

/* A destination is given, or the source stays. */
static int mremap_to(struct vma_remap *vrm)
{
	int error;

	if (vrm->flags & QUIRE_MREMAP_FIXED) {
		error = do_munmap_locked(vrm->mm, vrm->new_address,
					 vrm->new_address + vrm->new_length);
		if (error)
			return error;
		/* The source may have lost a part of itself to the destination. */
		vrm->vma = vma_lookup(vrm->mm, vrm->address);
		if (!vrm->vma)
			return -EFAULT;
	}
	if (vrm->new_length < vrm->old_length) {
		error = shrink(vrm);
		if (error)
			return error;
		vrm->old_length = vrm->new_length;
		vrm->vma = vma_lookup(vrm->mm, vrm->address);
	}
	if ((vrm->flags & QUIRE_MREMAP_DONTUNMAP) &&
	    !may_expand_vm(vrm->mm, vrm->vma->vm_flags, vrm->old_length >> PAGE_SHIFT))
		return -ENOMEM;
	error = set_new_address(vrm);
	return error ? error : move_vma(vrm);
}

/* No destination is given: in place if that can be. */
static int mremap_at(struct vma_remap *vrm)
{
	int error;

	vrm->new_address = vrm->address;
	if (vrm->new_length == vrm->old_length)
		return 0;
	if (vrm->new_length < vrm->old_length)
		return shrink(vrm);
	if (can_grow_in_place(vrm))
		return grow_in_place(vrm);
	if (!(vrm->flags & QUIRE_MREMAP_MAYMOVE))
		return -ENOMEM;
	error = set_new_address(vrm);
	return error ? error : move_vma(vrm);
}

/* Every VMA of a range moves by the same distance. */
static int move_several(struct vma_remap *vrm)
{
	const uint64_t start = vrm->address;
	const uint64_t end = start + vrm->old_length;
	const uint64_t shift = vrm->new_address - start;
	uint64_t address = start;

	for (;;) {
		struct vm_area_struct *vma = find_vma(vrm->mm, address);
		int error;

		/* A hole at the start is an error, later ones stay holes. */
		if (!vma || vma->vm_start >= end)
			return address == start ? -EFAULT : 0;
		if (vma->vm_start > address && address == start)
			return -EFAULT;
		vrm->vma = vma;
		vrm->address = max_u64(vma->vm_start, address);
		vrm->old_length = min_u64(end, vma->vm_end) - vrm->address;
		vrm->new_length = vrm->old_length;
		vrm->new_address = vrm->address + shift;
		address = vrm->address + vrm->old_length;
		error = check_source(vrm);
		if (!error)
			error = mremap_to(vrm);
		if (error || address >= end)
			return error;
	}
}

static int mremap_locked(struct vma_remap *vrm)
{
	int error;

	if ((vrm->flags & QUIRE_MREMAP_FIXED) && vrm->old_length == vrm->new_length)
		return move_several(vrm);
	vrm->vma = vma_lookup(vrm->mm, vrm->address);
	error = check_source(vrm);
	if (error)
		return error;
	return implies_new_address(vrm) ? mremap_to(vrm) : mremap_at(vrm);
}

int64_t do_mremap(struct mm_struct *mm, uint64_t address, uint64_t old_length, uint64_t new_length,
		  uint32_t flags, uint64_t new_address)
{
	struct vma_remap vrm = {
		.mm = mm,
		.address = address,
		.old_length = PAGE_ALIGN(old_length),
		.new_length = PAGE_ALIGN(new_length),
		.new_address = new_address,
		.flags = flags,
	};
	const uint64_t growth = vrm.new_length - vrm.old_length;
	const uint32_t known = QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP;
	int error;

	if ((flags & ~known) || PAGE_OFFSET(address))
		return -EINVAL;
	error = check_params(&vrm);
	if (error)
		return error;
	mmap_write_lock(mm);
	if (implies_new_address(&vrm) && near_map_count_limit(mm, 2))
		error = -ENOMEM;
	else
		error = mremap_locked(&vrm);
	mmap_write_unlock(mm);
	if (error)
		return error;
	/* As on Linux, a locked area that grew is brought in as far as memory allows. */
	if (vrm.populate)
		error = mm_populate(mm, vrm.populate, growth, true);
	QUIRE_ASSERT(1, !error);
	return flags & QUIRE_MREMAP_FIXED ? (int64_t)new_address : (int64_t)vrm.new_address;
}
