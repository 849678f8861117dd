/* SPDX-License-Identifier: MIT */
/*
 * Interval trees over the augmented red-black tree.
 *
 * A subtree holds an interval that ends at or behind `start` exactly when its subtree_last does.
 * The search takes the leftmost such interval: when even that one begins behind `last`, so do all
 * that follow, and there is no match.
 */
#include "base/interval_tree.h"

#include "base/check.h"

#define to_interval(ptr) rb_entry(ptr, struct interval_tree_node, rb)

static inline uint64_t subtree_last_of(const struct interval_tree_node *node)
{
	uint64_t last = node->last;

	if (node->rb.rb_left)
		last = max_u64(last, to_interval(node->rb.rb_left)->subtree_last);
	if (node->rb.rb_right)
		last = max_u64(last, to_interval(node->rb.rb_right)->subtree_last);
	return last;
}

RB_DECLARE_CALLBACKS(static, interval_callbacks, struct interval_tree_node, rb, subtree_last,
		     subtree_last_of);

void interval_tree_insert(struct interval_tree_node *node, struct interval_tree_root *root)
{
	struct rb_node **link = &root->rb_root.rb_node;
	struct rb_node *parent = NULL;

	QUIRE_ASSERT(1, node->start <= node->last);
	while (*link) {
		parent = *link;
		link = node->start < to_interval(parent)->start ? &parent->rb_left
								: &parent->rb_right;
	}
	node->subtree_last = node->last;
	rb_link_node(&node->rb, parent, link);
	rb_insert_augmented(&node->rb, &root->rb_root, &interval_callbacks);
}

void interval_tree_remove(struct interval_tree_node *node, struct interval_tree_root *root)
{
	rb_erase_augmented(&node->rb, &root->rb_root, &interval_callbacks);
}

/* Whether the subtree, which may be missing, holds an interval that ends at or behind `start`. */
static inline bool reaches(struct rb_node *subtree, uint64_t start)
{
	return subtree && to_interval(subtree)->subtree_last >= start;
}

/* The first match in a subtree that reaches `start`. */
static struct interval_tree_node *search_subtree(struct rb_node *subtree, uint64_t start,
						 uint64_t last)
{
	for (;;) {
		struct interval_tree_node *node = to_interval(subtree);

		if (reaches(subtree->rb_left, start)) {
			subtree = subtree->rb_left;
			continue;
		}
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
		subtree = subtree->rb_right;
	}
}

struct interval_tree_node *interval_tree_iter_first(const struct interval_tree_root *root,
						    uint64_t start, uint64_t last)
{
	if (!reaches(root->rb_root.rb_node, start))
		return NULL;
	return search_subtree(root->rb_root.rb_node, start, last);
}

struct interval_tree_node *interval_tree_iter_next(const struct interval_tree_node *node,
						   uint64_t start, uint64_t last)
{
	const struct rb_node *rb = &node->rb;

	for (;;) {
		struct rb_node *parent = rb_parent(rb);

		if (reaches(rb->rb_right, start))
			return search_subtree(rb->rb_right, start, last);
		while (parent && rb == parent->rb_right) {
			rb = parent;
			parent = rb_parent(rb);
		}
		if (!parent || to_interval(parent)->start > last)
			return NULL;
		if (to_interval(parent)->last >= start)
			return to_interval(parent);
		rb = parent;
	}
}

static bool starts_in_order(const struct rb_node *earlier, const struct rb_node *later)
{
	return to_interval(earlier)->start <= to_interval(later)->start;
}

static bool interval_right(const struct rb_node *rb)
{
	const struct interval_tree_node *node = to_interval(rb);

	return node->start <= node->last && node->subtree_last == subtree_last_of(node);
}

uint64_t interval_tree_validate(const struct interval_tree_root *root, struct check_report *report)
{
	static const struct rb_check check = {
		.in_order = starts_in_order,
		.value_right = interval_right,
	};

	return rb_validate(&root->rb_root, &check, report);
}
