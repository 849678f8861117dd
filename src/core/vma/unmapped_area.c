/* SPDX-License-Identifier: MIT */
/*
 * The search for free address space: a descent by the gaps that the nodes of the tree know.
 *
 * A subtree is entered only when its largest gap is long enough and its range is not wholly outside
 * the limits, so only the two paths along the limits can be followed in vain: O(log n).
 */
#include "core/vma/vma.h"

#include <errno.h>

/* Not an address of a gap: those are page-aligned. */
#define NO_ADDRESS ((uint64_t)1)
/* Bottom-up searches start here, a third into the address space, as on x86-64 Linux. */
#define TASK_UNMAPPED_BASE PAGE_ALIGN(TASK_SIZE_MAX / 3)
#define MAP_32BIT_START ((uint64_t)0x40000000)
#define MAP_32BIT_END ((uint64_t)0x80000000)

#define to_vma(rb) rb_entry(rb, struct vm_area_struct, vm_rb)

static uint64_t fit_in_gap(uint64_t gap_start, uint64_t gap_end,
			   const struct vm_unmapped_area_info *info)
{
	gap_start = max_u64(gap_start, info->low_limit);
	gap_end = min_u64(gap_end, info->high_limit);
	if (gap_start >= gap_end || gap_end - gap_start < info->length)
		return NO_ADDRESS;
	return info->topdown ? gap_end - info->length : gap_start;
}

static uint64_t fit_below(struct vm_area_struct *vma, const struct vm_unmapped_area_info *info)
{
	struct vm_area_struct *prev = vma_prev(vma);

	return fit_in_gap(prev ? prev->vm_end : 0, vm_start_gap(vma), info);
}

/* Only gaps within [low_limit, high_limit) count: all gaps to the right of a VMA start at its end
 * or above, those to the left end at its start or below. */
static bool look_right(const struct vm_area_struct *vma, const struct vm_unmapped_area_info *info)
{
	return vma->vm_end < info->high_limit && info->high_limit - vma->vm_end >= info->length;
}

static bool look_left(const struct vm_area_struct *vma, const struct vm_unmapped_area_info *info)
{
	return vma->vm_start > info->low_limit && vma->vm_start - info->low_limit >= info->length;
}

static bool is_worth(const struct rb_node *rb, const struct vm_unmapped_area_info *info)
{
	return rb && to_vma(rb)->rb_subtree_gap >= info->length;
}

static uint64_t search(struct rb_node *rb, const struct vm_unmapped_area_info *info)
{
	uint64_t found = NO_ADDRESS;

	while (is_worth(rb, info)) {
		struct vm_area_struct *vma = to_vma(rb);
		struct rb_node *first = info->topdown ? rb->rb_right : rb->rb_left;
		struct rb_node *last = info->topdown ? rb->rb_left : rb->rb_right;
		bool enter_first = info->topdown ? look_right(vma, info) : look_left(vma, info);
		bool enter_last = info->topdown ? look_left(vma, info) : look_right(vma, info);

		if (enter_first && is_worth(first, info))
			found = search(first, info);
		if (found == NO_ADDRESS)
			found = fit_below(vma, info);
		if (found != NO_ADDRESS || !enter_last)
			break;
		rb = last;
	}
	return found;
}

int64_t vm_unmapped_area(struct mm_struct *mm, const struct vm_unmapped_area_info *info)
{
	uint64_t found = NO_ADDRESS;

	/* The gap above the last VMA is in no node. */
	if (info->topdown)
		found = fit_in_gap(mm->highest_vm_end, UINT64_MAX, info);
	if (found == NO_ADDRESS)
		found = search(mm->mm_rb.rb_node, info);
	if (found == NO_ADDRESS && !info->topdown)
		found = fit_in_gap(mm->highest_vm_end, UINT64_MAX, info);
	return found == NO_ADDRESS ? -ENOMEM : (int64_t)found;
}

static bool hint_is_free(struct mm_struct *mm, uint64_t hint, uint64_t length, uint64_t limit)
{
	struct vm_area_struct *vma;

	if (length > limit || hint > limit - length)
		return false;
	vma = find_vma(mm, hint);
	return !vma || hint + length <= vm_start_gap(vma);
}

int64_t get_unmapped_area(struct mm_struct *mm, uint64_t hint, uint64_t length, bool below_2g)
{
	struct vm_unmapped_area_info info = {
		.length = length,
		.low_limit = below_2g ? MAP_32BIT_START : TASK_UNMAPPED_BASE,
		.high_limit = below_2g ? MAP_32BIT_END : mm->task_size,
	};

	if (length > mm->task_size)
		return -ENOMEM;
	if (hint && hint_is_free(mm, hint, length, info.high_limit))
		return (int64_t)hint;
	if (!below_2g) {
		const struct vm_unmapped_area_info topdown = {
			.length = length,
			.low_limit = MMAP_MIN_ADDR,
			.high_limit = mm->mmap_base,
			.topdown = true,
		};
		int64_t address = vm_unmapped_area(mm, &topdown);

		if (address >= 0)
			return address;
	}
	return vm_unmapped_area(mm, &info);
}
