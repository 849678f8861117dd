/* SPDX-License-Identifier: MIT */
/*
 * What the units of this room share: the memory of VMAs, changes of the tree, and the commit of
 * every operation that moves boundaries.
 *
 * All with mmap_lock held for writing.
 */
#ifndef QUIRE_CORE_VMA_INTERNAL_H
#define QUIRE_CORE_VMA_INTERNAL_H

#include "core/vma/vma.h"

/* Frees the memory of all VMAs of an mm that is going (vma_slab.c). */
void vma_slab_destroy(struct mm_struct *mm);
/*
 * The index of an mm with many VMAs (vma_index.c); without one, only insertion does anything. A VMA
 * is known by its vm_end: vma_index_insert() after map_count counts it, vma_index_move() when the
 * end changes and stays between those of its neighbours.
 */
#define VMA_INDEX_MIN 512
struct vm_area_struct *vma_index_find(const struct mm_struct *mm, uint64_t address);
void vma_index_insert(struct mm_struct *mm, struct vm_area_struct *vma);
void vma_index_erase(struct mm_struct *mm, uint64_t end);
void vma_index_move(struct mm_struct *mm, uint64_t old_end, uint64_t new_end);
void vma_index_destroy(struct mm_struct *mm);
void vma_index_validate(const struct mm_struct *mm, struct check_report *report);

/* What vma_set_page_prot() sets (prot.c). */
uint64_t vma_page_prot(const struct vm_area_struct *vma);

/* rb_subtree_gap of every node against the list, for mm_validate(). */
bool vma_gap_right(const struct rb_node *rb);

/* vm_start or the end of the VMA before it changed: brings the gaps of its ancestors up to date. */
void vma_gap_update(struct vm_area_struct *vma);
/* List, tree and count only: the VMA goes in front of `next` (NULL: at the end), or out. */
void vma_insert_before(struct mm_struct *mm, struct vm_area_struct *vma,
		       struct vm_area_struct *next);
void vma_erase(struct mm_struct *mm, struct vm_area_struct *vma);

/* Membership in the file's i_mmap, with the count of writable shared mappings; i_mmap_lock is held
 * for the _locked ones. Nothing happens to an anonymous VMA. */
void vma_link_file(struct vm_area_struct *vma);
void vma_unlink_file(struct vm_area_struct *vma);
void vma_unlink_file_locked(struct vm_area_struct *vma);

/*
 * A prepared change of neighbours: `vma` takes [start, end) with page offset `pgoff` and new flags,
 * group and name; `adjacent` (or NULL) gives way to it, and keeps [adjacent_start, adjacent_end);
 * `removed` VMAs (or NULL) lie wholly inside the new range and go. Whatever the absorbed ranges may
 * hold, `vma` has an anon_vma for it already. vma_commit() cannot fail.
 */
struct vma_change {
	struct vm_area_struct *vma;
	uint64_t start, end;
	pgoff_t pgoff;
	uint64_t vm_flags;
	struct mem_cgroup *memcg;
	struct anon_vma_name *anon_name;
	struct vm_area_struct *adjacent;
	uint64_t adjacent_start, adjacent_end;
	struct vm_area_struct *removed[2];
};
void vma_commit(const struct vma_change *change);
/* The change that does nothing but move the end. */
struct vma_change vma_change_end(struct vm_area_struct *vma, uint64_t end);

/* Gives `target` the anon_vmas of `source` when it has none and source has: 0 or -ENOMEM. */
QUIRE_MUST_CHECK int vma_dup_anon(struct vm_area_struct *target, struct vm_area_struct *source);

/* The VMA's own word on a split: 0 or -errno. */
QUIRE_MUST_CHECK int vma_may_split(struct vm_area_struct *vma, uint64_t address);
/*
 * A part [start, end) of a VMA as one of its own, perhaps with flags, group and name of `becomes`
 * (else NULL): vma_split_prepare() makes it, in no structure but its anon_vmas; vma_split_cancel()
 * throws it away. vma_split_commit() carries out a change that cuts the VMA off where the parts
 * begin (the lower one first, either may be NULL), and inserts them behind it.
 */
QUIRE_MUST_CHECK int vma_split_prepare(struct vm_area_struct *vma, uint64_t start, uint64_t end,
				       const struct vma_range *becomes,
				       struct vm_area_struct **part);
void vma_split_cancel(struct vm_area_struct *part);
void vma_split_commit(const struct vma_change *change, struct vm_area_struct *const parts[2]);

static inline struct anon_vma *vma_anon(const struct vm_area_struct *vma)
{
	return atomic_load_explicit(&vma->anon_vma, memory_order_acquire);
}

static inline pgoff_t vma_end_pgoff(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages(vma);
}

#endif
