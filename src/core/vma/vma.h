/* SPDX-License-Identifier: MIT */
/*
 * Operations on VMAs: find, insert, split, merge, expand, shrink, delete, and the search for a free
 * gap.
 *
 * All need mmap_lock; those that change anything need it for writing. Operations that may fail
 * leave the mm unchanged when they do. They keep both reverse maps (i_mmap, anon_vma), the counts
 * of the mm and the augmentation right. Accounting against limits and commit is the caller's
 * (core/vma/account.h).
 */
#ifndef QUIRE_CORE_VMA_VMA_H
#define QUIRE_CORE_VMA_VMA_H

#include "core/vma/mm.h"

#define for_each_vma(mm, vma) list_for_each_entry ((vma), &(mm)->mmap, vm_list)

/* The first VMA with vm_end > address: it holds the address or is the next above. NULL: none. */
struct vm_area_struct *find_vma(struct mm_struct *mm, uint64_t address);
/* As find_vma(); *prev is the one before it in the list (the last one when none is found). */
struct vm_area_struct *find_vma_prev(struct mm_struct *mm, uint64_t address,
				     struct vm_area_struct **prev);
/* The first VMA that overlaps [start, end). */
struct vm_area_struct *find_vma_intersection(struct mm_struct *mm, uint64_t start, uint64_t end);
/* The VMA that holds the address, or NULL. */
struct vm_area_struct *vma_lookup(struct mm_struct *mm, uint64_t address);
struct vm_area_struct *vma_next(struct vm_area_struct *vma);
struct vm_area_struct *vma_prev(struct vm_area_struct *vma);

/* A VMA of the mm (locked for writing) that is in none of its structures yet, zero-filled but for
 * vm_mm; NULL: no memory. */
struct vm_area_struct *vm_area_alloc(struct mm_struct *mm);
/* A copy for `mm` (that of the original, or a forked one) with references of its own to file and
 * group, in no tree, without anon_vma. */
struct vm_area_struct *vm_area_dup(struct mm_struct *mm, const struct vm_area_struct *vma);
/* The group of a VMA that may be linked or not: takes a reference on the new one and drops that on
 * the old one; either may be NULL. Does not split or merge. */
void vma_set_memcg(struct vm_area_struct *vma, struct mem_cgroup *memcg);
/* A name with one reference, or NULL: no memory. The others take NULL for no name. */
struct anon_vma_name *anon_vma_name_alloc(const char *text);
void anon_vma_name_get(struct anon_vma_name *name);
void anon_vma_name_put(struct anon_vma_name *name);
bool anon_vma_name_equal(const struct anon_vma_name *a, const struct anon_vma_name *b);
/* The name of a VMA, linked or not, which takes a reference of its own; nothing for one with a
 * file. */
void vma_set_anon_name(struct vm_area_struct *vma, struct anon_vma_name *name);
/* Of a VMA in no structure; drops its file, group and name. */
void vm_area_free(struct vm_area_struct *vma);

/* Inserts a complete VMA where nothing is mapped: list, tree, i_mmap. Cannot fail. */
void vma_link(struct mm_struct *mm, struct vm_area_struct *vma);
/* Takes it out of list, tree and reverse maps; does not free it and does not touch page tables. */
void vma_unlink(struct mm_struct *mm, struct vm_area_struct *vma);

/* Splits at `address` (inside, page-aligned); `vma` keeps the lower part. -ENOMEM also at
 * max_map_count. */
QUIRE_MUST_CHECK int split_vma(struct vm_area_struct *vma, uint64_t address);

/* A range that is to be mapped (or to change) and what it would be. */
struct vma_range {
	struct mm_struct *mm;
	uint64_t start, end; /* bytes */
	uint64_t vm_flags;
	struct file *file;
	pgoff_t pgoff;
	struct vm_area_struct *copied_from; /* NULL, or whose pages will move there: its anon_vma
					       is the range's identity */
	const struct vm_operations_struct *vm_ops;
	struct mem_cgroup *memcg;
	struct anon_vma_name *anon_name; /* NULL: none */
};

/*
 * Merges a range where nothing is mapped with the VMA before it, after it, or both. The VMA that
 * now covers it, or NULL when nothing merges or memory ran out (the mm is then unchanged: the
 * caller inserts a VMA of its own).
 */
struct vm_area_struct *vma_merge_new_range(const struct vma_range *range);

/* As vma_merge_new_range(), and otherwise inserts `vma`, which is complete and covers the range;
 * one that was not needed is freed. Cannot fail. */
void vma_merge_or_link(const struct vma_range *range, struct vm_area_struct *vma);

/*
 * Gives [start, end), all inside `vma`, new flags: merges with neighbours, shifts a boundary, or
 * splits. The VMA that covers precisely the range's start in *result. 0, or -ENOMEM with the mm
 * unchanged. Does not touch page tables.
 */
QUIRE_MUST_CHECK int vma_modify_flags(struct vm_area_struct *vma, uint64_t start, uint64_t end,
				      uint64_t vm_flags, struct vm_area_struct **result);
/* As vma_modify_flags(), for the budget of the mapping; takes its own references on the group. */
QUIRE_MUST_CHECK int vma_modify_memcg(struct vm_area_struct *vma, uint64_t start, uint64_t end,
				      struct mem_cgroup *memcg, struct vm_area_struct **result);

/* The same for the name of anonymous memory. */
QUIRE_MUST_CHECK int vma_modify_anon_name(struct vm_area_struct *vma, uint64_t start, uint64_t end,
					  struct anon_vma_name *name,
					  struct vm_area_struct **result);

/* Extends the VMA to [start, end), over free space and, when `next` is given, over that neighbour,
 * which is deleted. */
QUIRE_MUST_CHECK int vma_expand(struct vm_area_struct *vma, uint64_t start, uint64_t end,
				struct vm_area_struct *next);
/* Shrinks the VMA to [start, end) within itself; the page-table range was unmapped by the caller.
 */
void vma_shrink(struct vm_area_struct *vma, uint64_t start, uint64_t end);

/*
 * For mremap: a VMA at `address`, `length` bytes, that continues `vma` with page offset `pgoff`,
 * merged with neighbours when compatible. NULL: no memory. *vmap may be replaced when the source
 * itself was merged.
 */
struct vm_area_struct *copy_vma(struct vm_area_struct **vmap, uint64_t address, uint64_t length,
				pgoff_t pgoff, bool *need_rmap_locks);

/* Constraints of a search for free space, in bytes. */
struct vm_unmapped_area_info {
	uint64_t length;
	uint64_t low_limit;  /* inclusive */
	uint64_t high_limit; /* exclusive */
	bool topdown;
};

/* Lowest (or highest, top-down) free address that fits, or -ENOMEM as a negative number. O(log n)
 * by the gaps. */
int64_t vm_unmapped_area(struct mm_struct *mm, const struct vm_unmapped_area_info *info);
/*
 * Where an mmap of `length` bytes goes: `hint` if free (0: none), else top-down under mmap_base,
 * else bottom-up; below 2^31 with `below_2g`. Keeps STACK_GUARD_GAP below VM_GROWSDOWN areas.
 * Address or -ENOMEM.
 */
int64_t get_unmapped_area(struct mm_struct *mm, uint64_t hint, uint64_t length, bool below_2g);

/* Start and end of the VMA with the guard gap that a growing stack keeps clear. */
uint64_t vm_start_gap(const struct vm_area_struct *vma);

/* pte bits for new entries: no write permission where writing must fault first (private: copy on
 * write, shared file: dirty tracking). */
uint64_t vm_get_page_prot(uint64_t vm_flags);
void vma_set_page_prot(struct vm_area_struct *vma);

/* Grows a VM_GROWSDOWN area down to hold `address`. mmap_lock for writing. 0, or -ENOMEM (limits,
 * gap, overlap), -EFAULT. */
QUIRE_MUST_CHECK int expand_downwards(struct vm_area_struct *vma, uint64_t address);

#endif
