/* SPDX-License-Identifier: MIT */
/*
 * The memory calls, one file each. Each takes mmap_lock itself, follows the manual page of its
 * name, and returns 0, a value, or -errno. include/quire/quire.h is their public face.
 */
#ifndef QUIRE_CORE_CALL_CALL_H
#define QUIRE_CORE_CALL_CALL_H

#include "core/vma/mm.h"

struct mmu_gather;
struct quire_range;

struct mmap_request {
	uint64_t address;
	uint64_t length;
	uint32_t prot;
	uint32_t flags;
	struct file *file; /* NULL: none */
	int64_t offset;    /* bytes */
};

/* The address, or -errno as a negative number. (mmap.c) */
int64_t do_mmap(struct mm_struct *mm, const struct mmap_request *request);
/* As do_mmap() with mmap_lock held for writing and no populating; *populate: whether the caller
 * must, after unlocking. For exec, brk, mremap. */
int64_t do_mmap_locked(struct mm_struct *mm, const struct mmap_request *request, bool *populate);
QUIRE_MUST_CHECK int do_munmap(struct mm_struct *mm, uint64_t start, uint64_t length);
/* mmap_lock held for writing, range checked and page-aligned. -ENOMEM: a split was impossible,
 * nothing changed. (munmap.c) */
QUIRE_MUST_CHECK int do_munmap_locked(struct mm_struct *mm, uint64_t start, uint64_t end);
QUIRE_MUST_CHECK int do_mprotect(struct mm_struct *mm, uint64_t start, uint64_t length,
				 uint32_t prot);
int64_t do_mremap(struct mm_struct *mm, uint64_t address, uint64_t old_length, uint64_t new_length,
		  uint32_t flags, uint64_t new_address);
QUIRE_MUST_CHECK int do_madvise(struct mm_struct *mm, uint64_t start, uint64_t length, int advice);
QUIRE_MUST_CHECK int do_msync(struct mm_struct *mm, uint64_t start, uint64_t length,
			      uint32_t flags);
QUIRE_MUST_CHECK int do_mlock(struct mm_struct *mm, uint64_t start, uint64_t length,
			      uint64_t vm_flags);
QUIRE_MUST_CHECK int do_munlock(struct mm_struct *mm, uint64_t start, uint64_t length);
QUIRE_MUST_CHECK int do_mlockall(struct mm_struct *mm, uint32_t flags);
QUIRE_MUST_CHECK int do_munlockall(struct mm_struct *mm);
/* Populates VM_LOCKED (and MAP_POPULATE) areas of the range; mmap_lock not held. `ignore_errors`:
 * as mmap does. */
QUIRE_MUST_CHECK int mm_populate(struct mm_struct *mm, uint64_t start, uint64_t length,
				 bool ignore_errors);
QUIRE_MUST_CHECK int do_mincore(struct mm_struct *mm, uint64_t start, uint64_t length,
				unsigned char *vector);
/* process_madvise(2) of a process on itself: bytes of the parts that were advised, or the error of
 * the first (-EINVAL when there is no such advice). (madvise.c) */
int64_t do_process_madvise(struct mm_struct *mm, const struct quire_range *parts, uint64_t count,
			   int advice);
/* (mseal.c) */
QUIRE_MUST_CHECK int do_mseal(struct mm_struct *mm, uint64_t start, uint64_t length,
			      uint64_t flags);
/* Something from this VMA on (NULL: none) up to `end` is sealed. mmap_lock held. */
bool range_is_sealed(struct vm_area_struct *vma, uint64_t end);
QUIRE_MUST_CHECK int do_remap_file_pages(struct mm_struct *mm, uint64_t start, uint64_t length,
					 uint32_t prot, pgoff_t pgoff, uint32_t flags);
/* prctl(PR_SET_MDWE), PR_GET_MDWE: QUIRE_MDWE_* (mdwe.c). -EINVAL, -EPERM (other bits are set). */
QUIRE_MUST_CHECK int do_set_mdwe(struct mm_struct *mm, uint64_t bits);
uint32_t do_get_mdwe(struct mm_struct *mm);
/* Whether that forbids a VMA to have the new flags instead of the old ones. mmap_lock held. */
bool map_deny_write_exec(const struct mm_struct *mm, uint64_t old_flags, uint64_t new_flags);
/* What a child, or the next program, has of it. */
uint32_t mdwe_inherited(const struct mm_struct *mm);
/* prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME): NULL takes the name away. -EINVAL, -ENOMEM (also: a
 * hole), -EBADF (a file or an object in memory), -EAGAIN. (anon_vma_name.c) */
QUIRE_MUST_CHECK int do_set_anon_vma_name(struct mm_struct *mm, uint64_t start, uint64_t length,
					  const char *text);
/* The new break, or the unchanged one. */
uint64_t do_brk(struct mm_struct *mm, uint64_t address);
/* An anonymous private area at [start, end) for brk and bss; mmap_lock held for writing. 0 or
 * -ENOMEM. */
QUIRE_MUST_CHECK int vm_brk_locked(struct mm_struct *mm, uint64_t start, uint64_t end,
				   uint64_t vm_flags);
/* fork, with mmap_lock not held. *child is complete or not there; it is charged to the parent's
 * group. -ENOMEM. */
QUIRE_MUST_CHECK int dup_mm(struct mm_struct *mm, const char *name, struct mm_struct **child);
/* execve (see <quire/quire.h>). Nobody else uses the mm meanwhile. 0, -ENOEXEC, -ELIBBAD (the
 * interpreter), -E2BIG, -ENOMEM, -EIO, and the error of opening the interpreter; past the point of
 * no return the mm is then empty. */
struct quire_exec;
QUIRE_MUST_CHECK int do_execve(struct mm_struct *mm, struct quire_exec *exec);

#endif
