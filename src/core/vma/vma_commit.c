/* SPDX-License-Identifier: MIT */
/*
 * The one place where boundaries, flags and groups of VMAs that are in use change: merge, split,
 * expand and shrink prepare a struct vma_change, which is carried out here and cannot fail.
 *
 * Both reverse maps are locked meanwhile: a walk finds each page either by the old VMA or by the
 * new one.
 */
#include "core/file/address_space.h"
#include "core/reclaim/memcg.h"
#include "core/rmap/rmap.h"
#include "core/vma/internal.h"

#include <errno.h>

int vma_dup_anon(struct vm_area_struct *target, struct vm_area_struct *source)
{
	if (vma_anon(target) || !vma_anon(source))
		return 0;
	return anon_vma_clone(target, source);
}

void vma_set_memcg(struct vm_area_struct *vma, struct mem_cgroup *memcg)
{
	if (vma->vm_memcg == memcg)
		return;
	if (memcg)
		memcg_get(memcg);
	if (vma->vm_memcg)
		memcg_put(vma->vm_memcg);
	vma->vm_memcg = memcg;
}

static void set_range(struct vm_area_struct *vma, uint64_t start, uint64_t end, pgoff_t pgoff)
{
	vma_index_move(vma->vm_mm, vma->vm_end, end);
	vma->vm_start = start;
	vma->vm_end = end;
	vma->vm_pgoff = pgoff;
}

/* What may be said of any part of the ranges that change hands is said of all. */
static uint64_t sticky_flags(const struct vma_change *change)
{
	uint64_t flags = change->vma->vm_flags;

	if (change->adjacent)
		flags |= change->adjacent->vm_flags;
	for (int i = 0; i < 2; i++)
		if (change->removed[i])
			flags |= change->removed[i]->vm_flags;
	return flags & VM_STICKY;
}

/* Only flags and group change: the VMA stays where it is in every tree. */
static bool keeps_range(const struct vma_change *change)
{
	const struct vm_area_struct *vma = change->vma;

	return change->start == vma->vm_start && change->end == vma->vm_end && !change->adjacent &&
	       !change->removed[0];
}

static void commit_flags(const struct vma_change *change)
{
	vma_rmap_lock(change->vma);
	change->vma->vm_flags = change->vm_flags;
	vma_rmap_unlock(change->vma);
}

static void commit_ranges(const struct vma_change *change)
{
	struct vm_area_struct *vma = change->vma;
	struct vm_area_struct *adjacent = change->adjacent;
	const uint64_t sticky = sticky_flags(change);

	/* An adjacent or removed VMA is in the same reverse maps, or in none. */
	vma_rmap_lock(vma);
	vma_interval_remove(vma);
	if (adjacent) {
		vma_interval_remove(adjacent);
		set_range(adjacent, change->adjacent_start, change->adjacent_end,
			  adjacent->vm_pgoff +
				  ((change->adjacent_start - adjacent->vm_start) >> PAGE_SHIFT));
		adjacent->vm_flags |= sticky;
		vma_interval_insert(adjacent);
	}
	set_range(vma, change->start, change->end, change->pgoff);
	vma->vm_flags = change->vm_flags | sticky;
	vma_interval_insert(vma);
	for (int i = 0; i < 2; i++)
		if (change->removed[i])
			vma_unlink_file_locked(change->removed[i]);
	vma_rmap_unlock(vma);
}

static void update_gaps(struct vm_area_struct *vma)
{
	struct vm_area_struct *next = vma_next(vma);

	vma_gap_update(vma);
	if (next)
		vma_gap_update(next);
	else
		vma->vm_mm->highest_vm_end = vma->vm_end;
}

static void free_removed(struct vm_area_struct *removed)
{
	unlink_anon_vmas(removed);
	vm_area_free(removed);
}

void vma_commit(const struct vma_change *change)
{
	struct vm_area_struct *vma = change->vma;

	mmap_assert_write_locked(vma->vm_mm);
	if (keeps_range(change)) {
		commit_flags(change);
	} else {
		for (int i = 0; i < 2; i++)
			if (change->removed[i])
				vma_erase(vma->vm_mm, change->removed[i]);
		commit_ranges(change);
		update_gaps(vma);
	}
	/* Group and name may be held by those that go. */
	vma_set_memcg(vma, change->memcg);
	vma_set_anon_name(vma, change->anon_name);
	vma_set_page_prot(vma);
	for (int i = 0; i < 2; i++)
		if (change->removed[i])
			free_removed(change->removed[i]);
}

struct vma_change vma_change_end(struct vm_area_struct *vma, uint64_t end)
{
	return (struct vma_change){
		.vma = vma,
		.start = vma->vm_start,
		.end = end,
		.pgoff = vma->vm_pgoff,
		.vm_flags = vma->vm_flags,
		.memcg = vma->vm_memcg,
		.anon_name = vma_anon_name(vma),
	};
}

int vma_expand(struct vm_area_struct *vma, uint64_t start, uint64_t end,
	       struct vm_area_struct *next)
{
	struct vma_change change = vma_change_end(vma, end);

	QUIRE_ASSERT(1, start <= vma->vm_start && end >= vma->vm_end);
	if (next && vma_dup_anon(vma, next))
		return -ENOMEM;
	change.start = start;
	change.pgoff -= (vma->vm_start - start) >> PAGE_SHIFT;
	change.removed[0] = next;
	vma_commit(&change);
	return 0;
}

void vma_shrink(struct vm_area_struct *vma, uint64_t start, uint64_t end)
{
	struct vma_change change = vma_change_end(vma, end);

	QUIRE_ASSERT(1, vma->vm_start <= start && start < end && end <= vma->vm_end);
	change.start = start;
	change.pgoff += (start - vma->vm_start) >> PAGE_SHIFT;
	vma_commit(&change);
}
