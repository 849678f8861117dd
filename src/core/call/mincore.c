/* SPDX-License-Identifier: MIT */
/*
 * mincore(2): which pages of a range an access would find in memory.
 *
 * The answer is the truth and not a guess from the mapping: a present entry, a page of the page
 * cache (whoever brought it in) or of the swap cache. An entry that was never used says nothing for
 * private anonymous memory and leaves the question to the cache for a file's. Page by page the
 * answer may be old when it arrives.
 */
#include "core/call/call.h"
#include "core/call/page_walk.h"
#include "core/file/filemap.h"
#include "core/reclaim/swap.h"
#include "core/vma/vma.h"

#include <errno.h>
#include <string.h>

struct mincore_range {
	uint64_t start;
	unsigned char *vector;
};

static uint64_t mincore_ptes(struct vm_area_struct *vma, pte_t *pte, uint64_t address, uint64_t end,
			     void *argument)
{
	struct mincore_range *range = argument;
	unsigned char *out = range->vector + ((address - range->start) >> PAGE_SHIFT);

	for (; address < end; address += PAGE_SIZE, pte++, out++) {
		pteval_t value = pte_load(pte);

		if (pte_present(value))
			*out = 1;
		else if (pte_swap(value))
			*out = swap_cache_resident(vma->vm_mm->quire, pte_to_swp_entry(value));
	}
	return end;
}

static void mincore_vma(struct vm_area_struct *vma, struct mincore_range *range, uint64_t end)
{
	const uint64_t pages = (end - range->start) >> PAGE_SHIFT;
	const pgoff_t first = linear_page_index(vma, range->start);

	/* First as if every entry were empty or a marker; the entries that say more correct it. */
	memset(range->vector, 0, pages);
	if (!vma_is_anonymous(vma))
		for (uint64_t i = 0; i < pages; i++)
			range->vector[i] = filemap_resident(vma->vm_file->f_mapping, first + i);
	walk_page_range(vma, range->start, end, mincore_ptes, range);
}

int do_mincore(struct mm_struct *mm, uint64_t start, uint64_t length, unsigned char *vector)
{
	struct mincore_range range = {.start = start, .vector = vector};
	const uint64_t end = start + PAGE_ALIGN(length);
	int error = 0;

	if (PAGE_OFFSET(start))
		return -EINVAL;
	if (end < start || PAGE_ALIGN(length) < length || end > mm->task_size)
		return -ENOMEM;
	if (start == end)
		return 0;
	if (!vector)
		return -EFAULT;
	mmap_read_lock(mm);
	while (range.start < end) {
		struct vm_area_struct *vma = vma_lookup(mm, range.start);
		uint64_t stop;

		if (!vma) {
			error = -ENOMEM;
			break;
		}
		stop = min_u64(end, vma->vm_end);
		mincore_vma(vma, &range, stop);
		range.vector += (stop - range.start) >> PAGE_SHIFT;
		range.start = stop;
	}
	mmap_read_unlock(mm);
	return error;
}
