/* SPDX-License-Identifier: MIT */
/*
 * Reverse map: from a page to every page-table entry that maps it.
 *
 * File and shmem pages: the mapping's i_mmap tree finds VMAs by page offset. Anonymous pages: the
 * page's anon_vma holds a tree of anon_vma_chain nodes, one for each VMA in which the page may be
 * mapped: the VMA in which it was made and its copies in forked children. A VMA has a chain node
 * for each anon_vma of its ancestors, and an anon_vma of its own for pages that it makes.
 *
 * All anon_vmas of one family of forks share the lock of their root.
 */
#ifndef QUIRE_CORE_RMAP_RMAP_H
#define QUIRE_CORE_RMAP_RMAP_H

#include "base/interval_tree.h"
#include "core/pgtable/pgtable.h"
#include "core/vma/mm.h"

/*
 * The memory of an anon_vma is given back to its instance only, and `root` always points to one: a
 * page keeps no reference, so a walk may meet an anon_vma that was freed or reused. It locks the
 * root that it saw and then looks whether the page is still mapped there: if so, nothing can be
 * freed until it unlocks.
 *
 * A = atomic, W = root->rwlock, C = constant, N = quire->anon_vma_lock.
 */
struct anon_vma {
	_Atomic(struct anon_vma *) root; /* A: changes only when the memory is reused */
	struct anon_vma *parent;         /* C: NULL for a root */
	struct rwlock rwlock;            /* used in the root only */
	_Atomic uint32_t refcount;       /* A: one while its tree is not empty; a root: one more for
					    each other member of the family */
	uint32_t num_children;           /* W */
	uint32_t num_active_vmas;        /* W: VMAs whose own anon_vma this is */
	struct interval_tree_root
		rb_root;            /* W: anon_vma_chain nodes by linear page index of their VMAs */
	struct anon_vma *next_free; /* N: while it is not in use */
};

struct anon_vma_chain {
	struct vm_area_struct *vma;     /* C */
	struct anon_vma *anon_vma;      /* C */
	struct list_head same_vma;      /* of vma->anon_vma_chain: mmap_lock and page_table_lock */
	struct interval_tree_node node; /* W */
};

static inline struct anon_vma *anon_vma_root(const struct anon_vma *anon_vma)
{
	return atomic_load_explicit(&anon_vma->root, memory_order_acquire);
}

/* Frees the memory of all anon_vmas of an instance; none is in use. */
void anon_vmas_destroy(struct quire *quire);

/* Gives the VMA an anon_vma (its own, or a mergeable neighbour's). mmap_lock held. 0 or -ENOMEM. */
QUIRE_MUST_CHECK int anon_vma_prepare(struct vm_area_struct *vma);
/* dst gets chain nodes for all anon_vmas of src (split, move, fork), and src's anon_vma unless
 * fork. 0 or -ENOMEM, dst then has none. */
QUIRE_MUST_CHECK int anon_vma_clone(struct vm_area_struct *dst, struct vm_area_struct *src);
/* Fork: clone, and an anon_vma of the child's own (or one that is used by nobody else is reused).
 */
QUIRE_MUST_CHECK int anon_vma_fork(struct vm_area_struct *child, struct vm_area_struct *parent);
/* Takes the VMA out of all its anon_vmas. */
void unlink_anon_vmas(struct vm_area_struct *vma);
/*
 * Around a change of vm_start, vm_end, vm_pgoff or vm_flags: vma_rmap_lock() locks the reverse maps
 * that the VMA is in (its file's i_mmap, its anon_vma family; either may be absent) for writing, so
 * that no walk can miss a page meanwhile. Under it vma_interval_remove() takes the VMA's nodes out
 * of the trees, vma_interval_insert() puts them back; also for a neighbour with the same file and
 * family.
 */
void vma_rmap_lock(struct vm_area_struct *vma);
void vma_rmap_unlock(struct vm_area_struct *vma);
void vma_interval_remove(struct vm_area_struct *vma);
void vma_interval_insert(struct vm_area_struct *vma);

/*
 * A new mapping of a page. Under the entry's table lock. The page's reference for the entry is the
 * caller's to take.
 */
void page_add_new_anon_rmap(struct page *page, struct vm_area_struct *vma,
			    uint64_t address); /* fresh, exclusive, mapcount 0 */
void page_add_anon_rmap(struct page *page, struct vm_area_struct *vma, uint64_t address,
			bool exclusive); /* swap-in, PageLocked */
void page_add_file_rmap(struct page *page);
/* Fork: one more entry maps the anonymous page. -EBUSY: pinned, copy it instead. */
QUIRE_MUST_CHECK int page_try_dup_anon_rmap(struct page *page);
/* An entry that mapped it is gone. */
void page_remove_rmap(struct page *page);
/* The page moved to this VMA's own anon_vma because only it maps it (write to an exclusive page in
 * a child). */
void page_move_anon_rmap(struct page *page, struct vm_area_struct *vma);

/* Address of the page in the VMA, or UINT64_MAX when the VMA does not cover it. */
uint64_t page_address_in_vma(const struct page *page, const struct vm_area_struct *vma);

/*
 * Calls `one` for each VMA that may map the page at that address (without looking at the page
 * table), with the reverse map locked for reading; stops and returns false when that does. The page
 * is locked; with `try_lock`, returns false at once when the lock is taken.
 */
struct rmap_walk_control {
	bool (*one)(struct page *page, struct vm_area_struct *vma, uint64_t address,
		    void *argument);
	void *argument;
	bool try_lock;
};
bool rmap_walk(struct page *page, const struct rmap_walk_control *control);

/* The entry that maps the page at the address, its table locked (release with spin_unlock(ptl)), or
 * NULL. */
pte_t *page_vma_mapped(struct page *page, struct vm_area_struct *vma, uint64_t address,
		       struct spinlock **ptl);

/* Harvests accessed bits: number of mappings that had it; *vm_flags collects VM_LOCKED and the
 * like. `batch` as for try_to_unmap(). */
struct revoke_batch;
uint32_t page_referenced(struct page *page, uint64_t *vm_flags, struct revoke_batch *batch);
/* Write-protects and cleans every shared file mapping: number changed. Page locked. */
uint32_t page_mkclean(struct page *page);
enum ttu_flags {
	TTU_IGNORE_MLOCK = 1, /* VM_LOCKED mappings too */
	TTU_WAIT = 2,         /* wait for the reverse map's lock */
	TTU_ZERO = 4, /* private anonymous memory whose contents are zero: its entries become
			 empty */
};

/*
 * Removes every mapping. Anonymous pages (in the swap cache) leave swap entries; lazily freed clean
 * ones leave nothing. Dirty bits move to the page. Page locked. False: some remain (VM_LOCKED, lock
 * not to be had, pinned, or a lazily freed page that was written again).
 *
 * Revocations that can wait go to `batch` (mmu_gather.h): the caller keeps its reference, and
 * neither reads nor writes the contents, until it has flushed it. NULL: none waits.
 */
bool try_to_unmap(struct page *page, uint32_t flags, struct revoke_batch *batch);

/* Unmaps pages [first, last] of a file from every VMA that maps it; with even_cows private copies
 * too (truncate), without them not (hole). */
struct address_space;
void unmap_mapping_pages(struct address_space *mapping, pgoff_t first, pgoff_t last,
			 bool even_cows);

/* The VMA's membership in both reverse maps. */
struct check_report;
void rmap_validate_vma(struct vm_area_struct *vma, struct check_report *report);

#endif
