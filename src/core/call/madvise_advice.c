/* SPDX-License-Identifier: MIT */
/*
 * Advice that changes what will happen: access patterns and behaviour at fork (flags of the VMA),
 * bringing pages in ahead of need, and punching a hole into the object behind a mapping.
 */
#include "core/call/madvise.h"
#include "core/call/page_walk.h"
#include "core/fault/fault.h"
#include "core/file/filemap.h"
#include "core/reclaim/swap.h"
#include "core/vma/vma.h"

#include <errno.h>

/* Wishes for pages of another kind are kept, though there are none: whoever asks sees them. */
static uint64_t page_kind_flags(uint64_t flags, int advice)
{
	const uint64_t unmergeable = VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_DROPPABLE;
	const uint64_t plain = flags & ~(uint64_t)(VM_HUGEPAGE | VM_NOHUGEPAGE);

	switch (advice) {
	case QUIRE_MADV_MERGEABLE:
		return flags & unmergeable ? flags : flags | VM_MERGEABLE;
	case QUIRE_MADV_UNMERGEABLE:
		return flags & ~(uint64_t)VM_MERGEABLE;
	case QUIRE_MADV_HUGEPAGE:
		return plain | VM_HUGEPAGE;
	default:
		QUIRE_ASSERT(1, advice == QUIRE_MADV_NOHUGEPAGE);
		return plain | VM_NOHUGEPAGE;
	}
}

/* The VMA's flags after the advice. -EINVAL: it does not apply to this VMA. */
static int advised_flags(const struct vm_area_struct *vma, int advice, uint64_t *result)
{
	const uint64_t flags = vma->vm_flags;
	const uint64_t no_pattern = flags & ~(uint64_t)(VM_RAND_READ | VM_SEQ_READ);

	switch (advice) {
	case QUIRE_MADV_NORMAL:
		*result = no_pattern;
		return 0;
	case QUIRE_MADV_RANDOM:
		*result = no_pattern | VM_RAND_READ;
		return 0;
	case QUIRE_MADV_SEQUENTIAL:
		*result = no_pattern | VM_SEQ_READ;
		return 0;
	case QUIRE_MADV_DONTFORK:
		*result = flags | VM_DONTCOPY;
		return 0;
	case QUIRE_MADV_DOFORK:
		*result = flags & ~(uint64_t)VM_DONTCOPY;
		return flags & VM_IO ? -EINVAL : 0;
	case QUIRE_MADV_WIPEONFORK:
		/* Only private anonymous memory, and /dev/zero does not count as such here. */
		*result = flags | VM_WIPEONFORK;
		return vma->vm_file || (flags & VM_SHARED) ? -EINVAL : 0;
	case QUIRE_MADV_KEEPONFORK:
		*result = flags & ~(uint64_t)VM_WIPEONFORK;
		return flags & VM_DROPPABLE ? -EINVAL : 0;
	case QUIRE_MADV_DONTDUMP:
		*result = flags | VM_DONTDUMP;
		return 0;
	case QUIRE_MADV_DODUMP:
		*result = flags & ~(uint64_t)VM_DONTDUMP;
		return flags & (VM_SPECIAL | VM_DROPPABLE) ? -EINVAL : 0;
	default:
		*result = page_kind_flags(flags, advice);
		return 0;
	}
}

int madvise_set_flags(const struct madvise_range *range)
{
	struct vm_area_struct *vma = range->vma;
	uint64_t flags;
	int error = advised_flags(vma, range->advice, &flags);

	if (error || flags == vma->vm_flags)
		return error;
	error = vma_modify_flags(vma, range->start, range->end, flags, &vma);
	return error == -ENOMEM ? -EAGAIN : error;
}

/* Swap entries met in one table, to be read in when its lock is free again. */
struct willneed_batch {
	swp_entry_t entries[SWAP_CLUSTER];
	uint32_t count;
};

static uint64_t collect_swap_entries(struct vm_area_struct *vma, pte_t *pte, uint64_t address,
				     uint64_t end, void *argument)
{
	struct willneed_batch *batch = argument;

	(void)vma;
	for (; address < end && batch->count < ARRAY_SIZE(batch->entries);
	     address += PAGE_SIZE, pte++) {
		pteval_t value = pte_load(pte);

		if (pte_swap(value))
			batch->entries[batch->count++] = pte_to_swp_entry(value);
	}
	return address;
}

/* It is only advice: it takes free frames, does not wait, and what goes wrong shows at the fault.
 */
static void willneed_anonymous(const struct madvise_range *range)
{
	struct vm_area_struct *vma = range->vma;
	uint64_t address = range->start;
	pte_t *pte;

	while ((address = pte_find_next(range->mm, address, range->end, &pte)) < range->end) {
		struct willneed_batch batch = {.count = 0};
		struct spinlock *ptl = pte_lockptr(range->mm, pte);
		uint64_t stop = min_u64(range->end, pte_table_end(address));

		spin_lock(ptl);
		address = collect_swap_entries(vma, pte, address, stop, &batch);
		spin_unlock(ptl);
		if (!swapin_ahead(range->mm->quire, batch.entries, batch.count, vma_memcg(vma)))
			return;
	}
}

int madvise_willneed(const struct madvise_range *range)
{
	struct vm_area_struct *vma = range->vma;

	if (!vma_is_anonymous(vma)) {
		const struct filemap_context context = {
			.memcg = vma_memcg(vma),
			.ra = &vma->vm_file->f_ra,
			.vm_flags = vma->vm_flags,
			.mmap = true,
		};

		force_page_cache_readahead(vma->vm_file->f_mapping,
					   linear_page_index(vma, range->start),
					   (range->end - range->start) >> PAGE_SHIFT, &context);
	}
	/* Private copies of a file's pages may be swapped too. */
	willneed_anonymous(range);
	return 0;
}

int madvise_remove(const struct madvise_range *range)
{
	struct vm_area_struct *vma = range->vma;
	const uint64_t shared_writable = VM_SHARED | VM_MAYWRITE;
	struct file *file = vma->vm_file;
	uint64_t offset;
	int error;

	if ((vma->vm_flags & VM_LOCKED) || !file)
		return -EINVAL;
	if ((vma->vm_flags & shared_writable) != shared_writable)
		return -EACCES;
	offset = linear_page_index(vma, range->start) << PAGE_SHIFT;
	get_file(file);
	/* The file's own lock stands outside mmap_lock. */
	mmap_read_unlock(range->mm);
	error = file_punch_hole(file, offset, range->end - range->start);
	fput(file);
	mmap_read_lock(range->mm);
	return error;
}

int madvise_collapse(const struct madvise_range *range)
{
	(void)range;
	return -EINVAL;
}

int madvise_populate(const struct madvise_range *range)
{
	struct vm_area_struct *vma = range->vma;
	const bool write = range->advice == QUIRE_MADV_POPULATE_WRITE;

	if ((vma->vm_flags & (VM_IO | VM_PFNMAP)) ||
	    !(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return -EINVAL;
	return populate_vma_range(vma, range->start, range->end, write);
}
