/* SPDX-License-Identifier: MIT */
/*
 * Merging: whether neighbours may become one VMA, and the three operations that try it: a new range
 * among its neighbours, new flags, a new group or name for part of a VMA.
 *
 * Two neighbours may be one when they touch, have equal flags, file, operations, group and name,
 * continue each other's page offsets, and have compatible anonymous identities: the same anon_vma,
 * or one has none and the other is no child of a fork (its pages would otherwise be looked for in
 * all relatives of the family). Special VMAs never merge, and one with a close operation is never
 * deleted by a merge.
 */
#include "core/instance/instance.h"
#include "core/rmap/rmap.h"
#include "core/vma/internal.h"

#include <errno.h>

static bool is_fork_child(const struct vm_area_struct *vma)
{
	return vma && vma_anon(vma) && vma->anon_vma_chain.next != vma->anon_vma_chain.prev;
}

/* `a` and `b` are VMAs, or NULL for a range without pages. */
static bool anon_compatible(const struct vm_area_struct *a, const struct vm_area_struct *b)
{
	const struct anon_vma *anon_a = a ? vma_anon(a) : NULL;
	const struct anon_vma *anon_b = b ? vma_anon(b) : NULL;

	if (anon_a && anon_b)
		return anon_a == anon_b;
	return !is_fork_child(a) && !is_fork_child(b);
}

static bool is_mergeable(const struct vm_area_struct *vma, const struct vma_range *range)
{
	return !((vma->vm_flags ^ range->vm_flags) & ~VM_STICKY) && !(vma->vm_flags & VM_SPECIAL) &&
	       vma->vm_file == range->file && vma->vm_ops == range->vm_ops &&
	       vma->vm_memcg == range->memcg &&
	       anon_vma_name_equal(vma_anon_name(vma), range->anon_name) &&
	       anon_compatible(vma, range->copied_from);
}

static bool can_merge_prev(const struct vm_area_struct *prev, const struct vma_range *range)
{
	return prev && prev->vm_end == range->start && is_mergeable(prev, range) &&
	       vma_end_pgoff(prev) == range->pgoff;
}

static bool can_merge_next(const struct vm_area_struct *next, const struct vma_range *range)
{
	return next && next->vm_start == range->end && is_mergeable(next, range) &&
	       range->pgoff + ((range->end - range->start) >> PAGE_SHIFT) == next->vm_pgoff;
}

static bool can_remove(const struct vm_area_struct *vma)
{
	return !vma->vm_ops || !vma->vm_ops->close;
}

/* With flags, group and name of the range, but not yet its addresses. */
static struct vma_change change_of(struct vm_area_struct *vma, const struct vma_range *range)
{
	struct vma_change change = vma_change_end(vma, vma->vm_end);

	change.vm_flags = range->vm_flags;
	change.memcg = range->memcg;
	change.anon_name = range->anon_name;
	return change;
}

/* `next` is the first VMA that ends behind the start of the range, or NULL. */
static struct vm_area_struct *merge_new_range(const struct vma_range *range,
					      struct vm_area_struct *prev,
					      struct vm_area_struct *next)
{
	bool left = can_merge_prev(prev, range);
	bool right = can_merge_next(next, range);
	struct vma_change change;

	QUIRE_ASSERT(1, !next || next->vm_start >= range->end);
	if (!left && !right)
		return NULL;
	if (left && right && (!can_remove(next) || !anon_compatible(prev, next)))
		right = false;

	change = change_of(left ? prev : next, range);
	if (left) {
		change.end = right ? next->vm_end : range->end;
		change.removed[0] = right ? next : NULL;
	} else {
		change.start = range->start;
		change.pgoff = range->pgoff;
	}
	if (range->copied_from && vma_dup_anon(change.vma, range->copied_from))
		return NULL;
	if (left && right && vma_dup_anon(prev, next))
		return NULL;
	vma_commit(&change);
	return change.vma;
}

struct vm_area_struct *vma_merge_new_range(const struct vma_range *range)
{
	struct vm_area_struct *prev;
	struct vm_area_struct *next = find_vma_prev(range->mm, range->start, &prev);

	return merge_new_range(range, prev, next);
}

void vma_merge_or_link(const struct vma_range *range, struct vm_area_struct *vma)
{
	struct vm_area_struct *prev;
	struct vm_area_struct *next = find_vma_prev(range->mm, range->start, &prev);

	if (merge_new_range(range, prev, next)) {
		vm_area_free(vma);
		return;
	}
	vma_insert_before(range->mm, vma, next);
	vma_link_file(vma);
}

/* prev takes the range over from the start of `vma`, and with `right` all of next too. */
static struct vm_area_struct *merge_into_prev(struct vm_area_struct *vma,
					      const struct vma_range *range, bool right)
{
	struct vm_area_struct *prev = vma_prev(vma);
	struct vm_area_struct *next = right ? vma_next(vma) : NULL;
	struct vma_change change = change_of(prev, range);

	change.end = next ? next->vm_end : range->end;
	if (range->end == vma->vm_end) {
		change.removed[0] = vma;
		change.removed[1] = next;
	} else {
		change.adjacent = vma;
		change.adjacent_start = range->end;
		change.adjacent_end = vma->vm_end;
	}
	if (vma_dup_anon(prev, vma) || (next && vma_dup_anon(prev, next)))
		return NULL;
	vma_commit(&change);
	return prev;
}

/* next takes the range over up to the end of `vma`. */
static struct vm_area_struct *merge_into_next(struct vm_area_struct *vma,
					      const struct vma_range *range)
{
	struct vm_area_struct *next = vma_next(vma);
	struct vma_change change = change_of(next, range);

	change.start = range->start;
	change.pgoff = range->pgoff;
	if (range->start == vma->vm_start) {
		change.removed[0] = vma;
	} else {
		change.adjacent = vma;
		change.adjacent_start = vma->vm_start;
		change.adjacent_end = range->start;
	}
	if (vma_dup_anon(next, vma))
		return NULL;
	vma_commit(&change);
	return next;
}

/* The VMA that took the range over from `vma`, or NULL: none can, or no memory. */
static struct vm_area_struct *merge_existing_range(struct vm_area_struct *vma,
						   const struct vma_range *range)
{
	bool whole = range->start == vma->vm_start && range->end == vma->vm_end;
	bool left = range->start == vma->vm_start && can_merge_prev(vma_prev(vma), range);
	bool right = range->end == vma->vm_end && can_merge_next(vma_next(vma), range);

	if (whole && !can_remove(vma))
		return NULL;
	if (left && right &&
	    (!can_remove(vma_next(vma)) || !anon_compatible(vma_prev(vma), vma_next(vma))))
		right = false;
	if (left)
		return merge_into_prev(vma, range, right);
	return right ? merge_into_next(vma, range) : NULL;
}

/* Makes the range a VMA of its own, the part above it and the one below it being split off. */
static int isolate_range(struct vm_area_struct *vma, const struct vma_range *range,
			 struct vm_area_struct **result)
{
	bool below = range->start > vma->vm_start;
	bool above = range->end < vma->vm_end;
	struct vm_area_struct *parts[2] = {NULL, NULL};
	struct vma_change change;
	int error;

	if (vma->vm_mm->map_count + below + above > vma->vm_mm->quire->params.max_map_count)
		return -ENOMEM;
	if (above) {
		error = vma_split_prepare(vma, range->end, vma->vm_end, NULL, &parts[1]);
		if (error)
			return error;
	}
	if (below) {
		error = vma_split_prepare(vma, range->start, range->end, range, &parts[0]);
		if (error)
			goto cancel_above;
		change = vma_change_end(vma, range->start);
		*result = parts[0];
	} else {
		change = change_of(vma, range);
		change.end = range->end;
		*result = vma;
	}
	vma_split_commit(&change, parts);
	return 0;

cancel_above:
	if (above)
		vma_split_cancel(parts[1]);
	return error;
}

static int vma_modify(struct vm_area_struct *vma, const struct vma_range *range,
		      struct vm_area_struct **result)
{
	mmap_assert_write_locked(vma->vm_mm);
	QUIRE_ASSERT(1, vma->vm_start <= range->start && range->end <= vma->vm_end);
	*result = merge_existing_range(vma, range);
	return *result ? 0 : isolate_range(vma, range, result);
}

static struct vma_range range_within(struct vm_area_struct *vma, uint64_t start, uint64_t end)
{
	return (struct vma_range){
		.mm = vma->vm_mm,
		.start = start,
		.end = end,
		.vm_flags = vma->vm_flags,
		.file = vma->vm_file,
		.pgoff = linear_page_index(vma, start),
		.copied_from = vma,
		.vm_ops = vma->vm_ops,
		.memcg = vma->vm_memcg,
		.anon_name = vma_anon_name(vma),
	};
}

int vma_modify_flags(struct vm_area_struct *vma, uint64_t start, uint64_t end, uint64_t vm_flags,
		     struct vm_area_struct **result)
{
	struct vma_range range = range_within(vma, start, end);

	range.vm_flags = vm_flags;
	return vma_modify(vma, &range, result);
}

int vma_modify_memcg(struct vm_area_struct *vma, uint64_t start, uint64_t end,
		     struct mem_cgroup *memcg, struct vm_area_struct **result)
{
	struct vma_range range = range_within(vma, start, end);

	range.memcg = memcg;
	return vma_modify(vma, &range, result);
}

int vma_modify_anon_name(struct vm_area_struct *vma, uint64_t start, uint64_t end,
			 struct anon_vma_name *name, struct vm_area_struct **result)
{
	struct vma_range range = range_within(vma, start, end);

	range.anon_name = name;
	return vma_modify(vma, &range, result);
}
