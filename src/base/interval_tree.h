/* SPDX-License-Identifier: MIT */
/*
 * Interval trees: closed intervals of uint64_t, found by overlap, in the shape of Linux's
 * <linux/interval_tree.h>. A red-black tree ordered by start in which every node knows the greatest
 * end below it.
 *
 * Several equal intervals may be in one tree. No allocation and no locking inside.
 */
#ifndef QUIRE_BASE_INTERVAL_TREE_H
#define QUIRE_BASE_INTERVAL_TREE_H

#include "base/rbtree.h"

struct interval_tree_node {
	struct rb_node rb;
	uint64_t start; /* first value inside */
	uint64_t last;  /* last value inside, not below start */
	uint64_t subtree_last;
};

struct interval_tree_root {
	struct rb_root rb_root;
};

#define INTERVAL_TREE_ROOT ((struct interval_tree_root){{NULL}})

static inline bool interval_tree_empty(const struct interval_tree_root *root)
{
	return RB_EMPTY_ROOT(&root->rb_root);
}

/* The caller has set start and last, and changes neither while the node is in the tree. O(log n).
 */
void interval_tree_insert(struct interval_tree_node *node, struct interval_tree_root *root);

/* The node must be in this tree. O(log n). */
void interval_tree_remove(struct interval_tree_node *node, struct interval_tree_root *root);

/*
 * The intervals that share a value with [start, last], in order of their start: the first one, and
 * the one after `node`, which such a search returned. NULL when there is none. O(log n) each. The
 * tree must not change between the calls.
 */
struct interval_tree_node *interval_tree_iter_first(const struct interval_tree_root *root,
						    uint64_t start, uint64_t last);
struct interval_tree_node *interval_tree_iter_next(const struct interval_tree_node *node,
						   uint64_t start, uint64_t last);

/* Checks everything rb_validate() does, and start <= last; returns the number of intervals. */
uint64_t interval_tree_validate(const struct interval_tree_root *root, struct check_report *report);

#endif
