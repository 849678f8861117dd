/* SPDX-License-Identifier: MIT */
/*
 * The VMAs of an mm in order: a list, and a red-black tree whose nodes know the largest gap of
 * their subtree. Lookup, insertion, deletion.
 */
#include "core/file/address_space.h"
#include "core/rmap/rmap.h"
#include "core/vma/internal.h"

#define to_vma(rb) rb_entry(rb, struct vm_area_struct, vm_rb)

/* For the gaps of every node on the way to the root. */
static inline uint64_t start_gap(const struct vm_area_struct *vma)
{
	if (likely(!(vma->vm_flags & VM_GROWSDOWN)))
		return vma->vm_start;
	return vma->vm_start > STACK_GUARD_GAP ? vma->vm_start - STACK_GUARD_GAP : 0;
}

uint64_t vm_start_gap(const struct vm_area_struct *vma)
{
	return start_gap(vma);
}

struct vm_area_struct *vma_prev(struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;

	if (vma->vm_list.prev == &mm->mmap)
		return NULL;
	return list_prev_entry(vma, vm_list);
}

struct vm_area_struct *vma_next(struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;

	if (vma->vm_list.next == &mm->mmap)
		return NULL;
	return list_next_entry(vma, vm_list);
}

/* Free bytes just below the VMA that a mapping may use. */
static uint64_t vma_gap_below(const struct vm_area_struct *vma)
{
	const struct list_head *prev = vma->vm_list.prev;
	uint64_t end = 0;
	uint64_t start = start_gap(vma);

	if (prev != &vma->vm_mm->mmap)
		end = list_entry(prev, const struct vm_area_struct, vm_list)->vm_end;
	return start > end ? start - end : 0;
}

static uint64_t vma_compute_gap(const struct vm_area_struct *vma)
{
	uint64_t gap = vma_gap_below(vma);

	if (vma->vm_rb.rb_left)
		gap = max_u64(gap, to_vma(vma->vm_rb.rb_left)->rb_subtree_gap);
	if (vma->vm_rb.rb_right)
		gap = max_u64(gap, to_vma(vma->vm_rb.rb_right)->rb_subtree_gap);
	return gap;
}

RB_DECLARE_CALLBACKS(static, vma_gap_callbacks, struct vm_area_struct, vm_rb, rb_subtree_gap,
		     vma_compute_gap);

bool vma_gap_right(const struct rb_node *rb)
{
	const struct vm_area_struct *vma = rb_entry(rb, const struct vm_area_struct, vm_rb);

	return vma->rb_subtree_gap == vma_compute_gap(vma);
}

void vma_gap_update(struct vm_area_struct *vma)
{
	rb_propagate_up(&vma->vm_rb, &vma_gap_callbacks);
}

static struct vm_area_struct *vma_descend(const struct mm_struct *mm, uint64_t address)
{
	struct rb_node *rb = mm->mm_rb.rb_node;
	struct vm_area_struct *found = NULL;

	while (rb) {
		struct vm_area_struct *vma = to_vma(rb);

		if (address < vma->vm_end) {
			found = vma;
			if (vma->vm_start <= address)
				break;
			rb = rb->rb_left;
		} else {
			rb = rb->rb_right;
		}
	}
	return found;
}

struct vm_area_struct *find_vma(struct mm_struct *mm, uint64_t address)
{
	return mm->vma_index ? vma_index_find(mm, address) : vma_descend(mm, address);
}

struct vm_area_struct *find_vma_prev(struct mm_struct *mm, uint64_t address,
				     struct vm_area_struct **prev)
{
	struct vm_area_struct *vma = find_vma(mm, address);

	if (vma)
		*prev = vma_prev(vma);
	else
		*prev = list_empty(&mm->mmap)
				? NULL
				: list_last_entry(&mm->mmap, struct vm_area_struct, vm_list);
	return vma;
}

struct vm_area_struct *find_vma_intersection(struct mm_struct *mm, uint64_t start, uint64_t end)
{
	struct vm_area_struct *vma = find_vma(mm, start);

	return vma && vma->vm_start < end ? vma : NULL;
}

struct vm_area_struct *vma_lookup(struct mm_struct *mm, uint64_t address)
{
	struct vm_area_struct *vma = find_vma(mm, address);

	return vma && vma->vm_start <= address ? vma : NULL;
}

/*
 * The rotations of an insertion or deletion rely on the gaps of all nodes that are in the tree. The
 * one change that is not the VMA's own is the gap of the next one. Where that is the parent, the
 * propagation that starts there sees it; otherwise it is brought up to date by itself.
 */
void vma_insert_before(struct mm_struct *mm, struct vm_area_struct *vma,
		       struct vm_area_struct *next)
{
	struct rb_node **link = &mm->mm_rb.rb_node;
	struct rb_node *parent = NULL;

	mmap_assert_write_locked(mm);
	list_add_tail(&vma->vm_list, next ? &next->vm_list : &mm->mmap);
	/* The neighbours in order say where the empty place is. */
	if (next && !next->vm_rb.rb_left) {
		parent = &next->vm_rb;
		link = &parent->rb_left;
	} else if (vma_prev(vma)) {
		parent = &vma_prev(vma)->vm_rb;
		link = &parent->rb_right;
	}
	if (next && parent != &next->vm_rb)
		vma_gap_update(next);
	rb_link_node(&vma->vm_rb, parent, link);
	vma->rb_subtree_gap = vma_gap_below(vma);
	rb_insert_augmented(&vma->vm_rb, &mm->mm_rb, &vma_gap_callbacks);
	if (!next)
		mm->highest_vm_end = vma->vm_end;
	mm->map_count++;
	vma_index_insert(mm, vma);
}

void vma_erase(struct mm_struct *mm, struct vm_area_struct *vma)
{
	struct vm_area_struct *next = vma_next(vma);
	bool next_is_parent = next && rb_parent(&vma->vm_rb) == &next->vm_rb;

	mmap_assert_write_locked(mm);
	vma_index_erase(mm, vma->vm_end);
	if (!next)
		mm->highest_vm_end = vma_prev(vma) ? vma_prev(vma)->vm_end : 0;
	if (next_is_parent)
		list_del(&vma->vm_list);
	rb_erase_augmented(&vma->vm_rb, &mm->mm_rb, &vma_gap_callbacks);
	RB_CLEAR_NODE(&vma->vm_rb);
	if (!next_is_parent) {
		list_del(&vma->vm_list);
		if (next)
			vma_gap_update(next);
	}
	mm->map_count--;
}

static bool vma_counts_as_writable(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == (VM_SHARED | VM_MAYWRITE);
}

void vma_link_file(struct vm_area_struct *vma)
{
	if (vma_is_anonymous(vma))
		return;

	struct address_space *mapping = vma->vm_file->f_mapping;

	write_lock(&mapping->i_mmap_lock);
	if (vma_counts_as_writable(vma))
		atomic_fetch_add_explicit(&mapping->i_mmap_writable, 1, memory_order_relaxed);
	vma->shared.start = vma->vm_pgoff;
	vma->shared.last = vma_end_pgoff(vma) - 1;
	interval_tree_insert(&vma->shared, &mapping->i_mmap);
	write_unlock(&mapping->i_mmap_lock);
}

void vma_unlink_file_locked(struct vm_area_struct *vma)
{
	if (vma_is_anonymous(vma))
		return;

	struct address_space *mapping = vma->vm_file->f_mapping;

	if (vma_counts_as_writable(vma))
		atomic_fetch_sub_explicit(&mapping->i_mmap_writable, 1, memory_order_relaxed);
	interval_tree_remove(&vma->shared, &mapping->i_mmap);
}

void vma_unlink_file(struct vm_area_struct *vma)
{
	if (vma_is_anonymous(vma))
		return;
	write_lock(&vma->vm_file->f_mapping->i_mmap_lock);
	vma_unlink_file_locked(vma);
	write_unlock(&vma->vm_file->f_mapping->i_mmap_lock);
}

void vma_link(struct mm_struct *mm, struct vm_area_struct *vma)
{
	struct vm_area_struct *next = find_vma(mm, vma->vm_start);

	QUIRE_ASSERT(1, !next || next->vm_start >= vma->vm_end);
	vma_insert_before(mm, vma, next);
	vma_link_file(vma);
}

void vma_unlink(struct mm_struct *mm, struct vm_area_struct *vma)
{
	vma_erase(mm, vma);
	unlink_anon_vmas(vma);
	vma_unlink_file(vma);
}
