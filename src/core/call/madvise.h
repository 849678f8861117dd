/* SPDX-License-Identifier: MIT */
/*
 * What madvise.c hands each part of a range to: one VMA's share of an advice.
 *
 * All return 0 or -errno, which ends the call. `start` and `end` lie within the VMA, page-aligned.
 */
#ifndef QUIRE_CORE_CALL_MADVISE_H
#define QUIRE_CORE_CALL_MADVISE_H

#include "core/vma/mm.h"

struct madvise_range {
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	uint64_t start, end; /* bytes */
	int advice;          /* QUIRE_MADV_* */
};

/* Advice that changes flags: NORMAL, RANDOM, SEQUENTIAL, DONTFORK, DOFORK, WIPEONFORK, KEEPONFORK,
 * DONTDUMP, DODUMP, and MERGEABLE, UNMERGEABLE, HUGEPAGE, NOHUGEPAGE, which do nothing else.
 * mmap_lock held for writing. -EINVAL, -EAGAIN (no memory for a split). (madvise_advice.c) */
QUIRE_MUST_CHECK int madvise_set_flags(const struct madvise_range *range);
/* The others want mmap_lock held for reading. */
QUIRE_MUST_CHECK int madvise_willneed(const struct madvise_range *range);
/* Lets go of mmap_lock and takes it again: the VMA may be gone afterwards. -EINVAL, -EACCES, and
 * the errors of a hole punch. */
QUIRE_MUST_CHECK int madvise_remove(const struct madvise_range *range);
/* POPULATE_READ, POPULATE_WRITE. -EINVAL, -ENOMEM, -EFAULT. */
QUIRE_MUST_CHECK int madvise_populate(const struct madvise_range *range);

/* COLLAPSE: -EINVAL, as there are no huge pages. */
QUIRE_MUST_CHECK int madvise_collapse(const struct madvise_range *range);

/* (madvise_reclaim.c) -EINVAL: the VMA is locked or of a kind that cannot. */
/* DONTNEED, and DONTNEED_LOCKED for locked VMAs too. */
QUIRE_MUST_CHECK int madvise_dontneed(const struct madvise_range *range);
QUIRE_MUST_CHECK int madvise_free(const struct madvise_range *range);
/* COLD and PAGEOUT. */
QUIRE_MUST_CHECK int madvise_cold(const struct madvise_range *range);

/* (guard.c) Installing wants mmap_lock held for writing, as it marks the VMA. -EINVAL, -ENOMEM. */
QUIRE_MUST_CHECK int madvise_guard_install(const struct madvise_range *range);
QUIRE_MUST_CHECK int madvise_guard_remove(const struct madvise_range *range);

#endif
