/* SPDX-License-Identifier: MIT */
/*
 * rmap_validate_vma(): a VMA's membership in both reverse maps.
 */
#include "core/rmap/rmap.h"

#include "base/check.h"
#include "core/file/address_space.h"

static bool in_tree(const struct interval_tree_root *root, const struct interval_tree_node *wanted)
{
	struct interval_tree_node *node;

	for (node = interval_tree_iter_first(root, wanted->start, wanted->last); node;
	     node = interval_tree_iter_next(node, wanted->start, wanted->last))
		if (node == wanted)
			return true;
	return false;
}

static void validate_node(const struct vm_area_struct *vma, const struct interval_tree_node *node,
			  const struct interval_tree_root *root, struct check_report *report)
{
	CHECK_THAT(report,
		   node->start == vma->vm_pgoff && node->last == vma->vm_pgoff + vma_pages(vma) - 1,
		   "VMA %llx is in a reverse map as pages %llu to %llu, but holds %llu pages from "
		   "%llu",
		   (unsigned long long)vma->vm_start, (unsigned long long)node->start,
		   (unsigned long long)node->last, (unsigned long long)vma_pages(vma),
		   (unsigned long long)vma->vm_pgoff);
	CHECK_THAT(report, in_tree(root, node), "VMA %llx is missing in a reverse map",
		   (unsigned long long)vma->vm_start);
}

static void validate_anon(struct vm_area_struct *vma, struct check_report *report)
{
	struct anon_vma *own = atomic_load_explicit(&vma->anon_vma, memory_order_acquire);
	bool own_found = !own;
	struct anon_vma *root = NULL;
	struct anon_vma_chain *avc;

	list_for_each_entry (avc, &vma->anon_vma_chain, same_vma) {
		struct anon_vma *anon_vma = avc->anon_vma;

		if (!root)
			root = anon_vma_root(anon_vma);
		own_found |= own && anon_vma == own;
		CHECK_THAT(report, avc->vma == vma, "chain node of VMA %llx names another VMA",
			   (unsigned long long)vma->vm_start);
		CHECK_THAT(report, anon_vma_root(anon_vma) == root,
			   "VMA %llx is in two families of anon_vmas",
			   (unsigned long long)vma->vm_start);
		CHECK_THAT(report, anon_vma->parent || anon_vma == root,
			   "an anon_vma of VMA %llx has neither parent nor family",
			   (unsigned long long)vma->vm_start);
		validate_node(vma, &avc->node, &anon_vma->rb_root, report);
	}
	CHECK_THAT(report, own_found, "VMA %llx is not in its own anon_vma's tree",
		   (unsigned long long)vma->vm_start);
	CHECK_THAT(report, own || list_empty(&vma->anon_vma_chain),
		   "VMA %llx has a chain but no anon_vma", (unsigned long long)vma->vm_start);
	CHECK_THAT(report, !own || own->num_active_vmas, "anon_vma of VMA %llx counts no user",
		   (unsigned long long)vma->vm_start);
}

void rmap_validate_vma(struct vm_area_struct *vma, struct check_report *report)
{
	if (!vma_is_anonymous(vma)) {
		struct address_space *mapping = vma->vm_file->f_mapping;

		read_lock(&mapping->i_mmap_lock);
		validate_node(vma, &vma->shared, &mapping->i_mmap, report);
		read_unlock(&mapping->i_mmap_lock);
	}
	if (!list_empty(&vma->anon_vma_chain)) {
		struct anon_vma *root = anon_vma_root(
			list_first_entry(&vma->anon_vma_chain, struct anon_vma_chain, same_vma)
				->anon_vma);

		read_lock(&root->rwlock);
		validate_anon(vma, report);
		read_unlock(&root->rwlock);
	}
}
