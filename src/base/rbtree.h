/* SPDX-License-Identifier: MIT */
/*
 * Red-black trees threaded through their members, in the shape of Linux's <linux/rbtree.h>, with an
 * augmented form in which each node also keeps a value summed up over its subtree.
 *
 * The caller searches and links (rb_link_node()), so that comparisons are inlined; the tree
 * rebalances. No allocation and no locking inside. Insertion, removal and search are O(log n), with
 * at most two rotations an insertion and three a removal. The algorithm: Guibas and Sedgewick, "A
 * dichromatic framework for balanced trees", 1978.
 */
#ifndef QUIRE_BASE_RBTREE_H
#define QUIRE_BASE_RBTREE_H

#include "base/types.h"

struct check_report;

/* The lowest bit of the first word is the colour (1 is black), the rest the parent's address. */
struct rb_node {
	uintptr_t rb_parent_color;
	struct rb_node *rb_left;
	struct rb_node *rb_right;
};

struct rb_root {
	struct rb_node *rb_node;
};

_Static_assert(sizeof(struct rb_node) == 3 * sizeof(void *), "a tree node is three words");

/*
 * How an augmented tree keeps its per-subtree values.
 *   propagate: recompute the values from `node` upward, up to but without `stop` (NULL: through the
 * root), or until one comes out unchanged. copy:      `new_node` takes the place of `old_node`:
 * give it the value of the old one. rotate:    `new_node` has become the parent of `old_node` by a
 * rotation: the new one takes the value over, the old one is recomputed.
 */
struct rb_augment_callbacks {
	void (*propagate)(struct rb_node *node, struct rb_node *stop);
	void (*copy)(struct rb_node *old_node, struct rb_node *new_node);
	void (*rotate)(struct rb_node *old_node, struct rb_node *new_node);
};

#define RB_ROOT ((struct rb_root){NULL})
#define RB_EMPTY_ROOT(root) ((root)->rb_node == NULL)

/* Marks a node as being in no tree, and asks for that mark; erasing does not set it. */
#define RB_CLEAR_NODE(node) ((node)->rb_parent_color = (uintptr_t)(node))
#define RB_EMPTY_NODE(node) ((node)->rb_parent_color == (uintptr_t)(node))

#define rb_entry(ptr, type, member) container_of(ptr, type, member)

static inline struct rb_node *rb_parent(const struct rb_node *node)
{
	return (struct rb_node *)(node->rb_parent_color & ~(uintptr_t)1);
}

/* Hangs a new red leaf into the empty place `*link` below `parent` (NULL: the root); an insertion
 * below must follow. */
static inline void rb_link_node(struct rb_node *node, struct rb_node *parent, struct rb_node **link)
{
	node->rb_parent_color = (uintptr_t)parent;
	node->rb_left = NULL;
	node->rb_right = NULL;
	*link = node;
}

/* Rebalances after rb_link_node(). */
void rb_insert_color(struct rb_node *node, struct rb_root *root);

/* Removes a node that is in the tree; its own fields are left as they were. */
void rb_erase(struct rb_node *node, struct rb_root *root);

/*
 * The same for an augmented tree. Before the insertion the caller has linked the node and set its
 * value to that of a leaf; the ancestors are brought up to date here.
 */
void rb_insert_augmented(struct rb_node *node, struct rb_root *root,
			 const struct rb_augment_callbacks *callbacks);
void rb_erase_augmented(struct rb_node *node, struct rb_root *root,
			const struct rb_augment_callbacks *callbacks);

/* To be called when what a node contributes has changed (and its place in the order has not). */
static inline void rb_propagate_up(struct rb_node *node,
				   const struct rb_augment_callbacks *callbacks)
{
	callbacks->propagate(node, NULL);
}

/* The ends of the tree in order, and the neighbours of a node; NULL when there is none. */
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);

/*
 * Defines `linkage const struct rb_augment_callbacks name` for nodes of `type`, whose tree node is
 * the field `rb_field` and whose value is the scalar field `value_field`. `compute` is a function
 * from `const type *` to that value: it combines the node's own contribution with the `value_field`
 * of its children.
 */
#define RB_DECLARE_CALLBACKS(linkage, name, type, rb_field, value_field, compute) \
	static void name##_propagate(struct rb_node *rb, struct rb_node *stop) \
	{ \
		while (rb != stop) { \
			type *node = rb_entry(rb, type, rb_field); \
			const __typeof__(node->value_field) value = compute(node); \
\
			if (node->value_field == value) \
				return; \
			node->value_field = value; \
			rb = rb_parent(rb); \
		} \
	} \
	static void name##_copy(struct rb_node *old_rb, struct rb_node *new_rb) \
	{ \
		rb_entry(new_rb, type, rb_field)->value_field = \
			rb_entry(old_rb, type, rb_field)->value_field; \
	} \
	static void name##_rotate(struct rb_node *old_rb, struct rb_node *new_rb) \
	{ \
		type *old_node = rb_entry(old_rb, type, rb_field); \
\
		rb_entry(new_rb, type, rb_field)->value_field = old_node->value_field; \
		old_node->value_field = compute(old_node); \
	} \
	linkage const struct rb_augment_callbacks name = { \
		.propagate = name##_propagate, \
		.copy = name##_copy, \
		.rotate = name##_rotate, \
	}

/* What only the owner of a tree can check; either may be NULL. */
struct rb_check {
	/* Whether `earlier` may stand directly before `later` in order. */
	bool (*in_order)(const struct rb_node *earlier, const struct rb_node *later);
	/* Whether the node's value is what its own contribution and its children's values give. */
	bool (*value_right)(const struct rb_node *node);
};

/* Checks links, colours, black heights, order and values; returns the number of nodes. */
uint64_t rb_validate(const struct rb_root *root, const struct rb_check *check,
		     struct check_report *report);

#endif
