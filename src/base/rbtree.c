/* SPDX-License-Identifier: MIT */
/*
 * Rebalancing of red-black trees.
 *
 * Invariants between calls:
 *   1. the root is black, and a red node has no red child;
 *   2. every path from a node down to a missing child passes the same number of black nodes;
 *   3. in an augmented tree, every node's value covers exactly its subtree.
 *
 * Both sides of a tree are mirror images, so each step is written once with the side as a parameter
 * that is constant when inlined. In the same way the plain tree is the augmented one with callbacks
 * that do nothing.
 */
#include "base/rbtree.h"

#include "base/check.h"

#define RB_BLACK ((uintptr_t)1)
#define RB_INLINE static inline __attribute__((always_inline))

enum rb_side {
	RB_LEFT,
	RB_RIGHT
};

RB_INLINE struct rb_node **child_at(struct rb_node *node, enum rb_side side)
{
	return side == RB_LEFT ? &node->rb_left : &node->rb_right;
}

RB_INLINE enum rb_side other_side(enum rb_side side)
{
	return side == RB_LEFT ? RB_RIGHT : RB_LEFT;
}

/* A missing child counts as black. */
RB_INLINE bool is_red(const struct rb_node *node)
{
	return node && !(node->rb_parent_color & RB_BLACK);
}

RB_INLINE void set_black(struct rb_node *node)
{
	node->rb_parent_color |= RB_BLACK;
}

RB_INLINE void set_red(struct rb_node *node)
{
	node->rb_parent_color &= ~RB_BLACK;
}

RB_INLINE void set_parent(struct rb_node *node, struct rb_node *parent)
{
	node->rb_parent_color = (uintptr_t)parent | (node->rb_parent_color & RB_BLACK);
}

/* Lets whatever led to `old_node`, which is a child of `parent` or the root, lead to `new_node`. */
RB_INLINE void replace_child(struct rb_root *root, struct rb_node *parent, struct rb_node *old_node,
			     struct rb_node *new_node)
{
	if (!parent)
		root->rb_node = new_node;
	else if (parent->rb_left == old_node)
		parent->rb_left = new_node;
	else
		parent->rb_right = new_node;
}

/* Rotates the child of `node` on `side` into the place of `node`. Colours stay with their nodes. */
RB_INLINE void raise_child(struct rb_root *root, struct rb_node *node, enum rb_side side,
			   const struct rb_augment_callbacks *callbacks)
{
	struct rb_node *child = *child_at(node, side);
	struct rb_node *inner = *child_at(child, other_side(side));
	struct rb_node *parent = rb_parent(node);

	*child_at(node, side) = inner;
	if (inner)
		set_parent(inner, node);
	*child_at(child, other_side(side)) = node;
	set_parent(child, parent);
	set_parent(node, child);
	replace_child(root, parent, node, child);
	callbacks->rotate(node, child);
}

/* A red node below a red parent that is on `side` of its own parent and whose sibling is black: two
 * rotations at most. */
RB_INLINE void insert_rotate(struct rb_root *root, struct rb_node *node, enum rb_side side,
			     const struct rb_augment_callbacks *callbacks)
{
	struct rb_node *parent = rb_parent(node);
	struct rb_node *grandparent = rb_parent(parent);

	if (node == *child_at(parent, other_side(side))) {
		raise_child(root, parent, other_side(side), callbacks);
		parent = node;
	}
	set_black(parent);
	set_red(grandparent);
	raise_child(root, grandparent, side, callbacks);
}

RB_INLINE void insert_rebalance(struct rb_node *node, struct rb_root *root,
				const struct rb_augment_callbacks *callbacks)
{
	struct rb_node *parent = rb_parent(node);

	while (is_red(parent)) {
		struct rb_node *grandparent = rb_parent(parent);
		bool left = parent == grandparent->rb_left;
		struct rb_node *uncle = left ? grandparent->rb_right : grandparent->rb_left;

		if (!is_red(uncle)) {
			if (left)
				insert_rotate(root, node, RB_LEFT, callbacks);
			else
				insert_rotate(root, node, RB_RIGHT, callbacks);
			return;
		}
		set_black(parent);
		set_black(uncle);
		set_red(grandparent);
		node = grandparent;
		parent = rb_parent(node);
	}
	if (!parent)
		set_black(node);
}

/*
 * The subtree on `side` of `parent` is one black short. Returns true when that is mended, false
 * when now the whole subtree of `parent` is one short.
 */
RB_INLINE bool erase_mend(struct rb_root *root, struct rb_node *parent, enum rb_side side,
			  const struct rb_augment_callbacks *callbacks)
{
	enum rb_side far_side = other_side(side);
	struct rb_node *sibling = *child_at(parent, far_side);

	if (is_red(sibling)) {
		set_black(sibling);
		set_red(parent);
		raise_child(root, parent, far_side, callbacks);
		sibling = *child_at(parent, far_side);
	}
	if (!is_red(*child_at(sibling, far_side))) {
		struct rb_node *near = *child_at(sibling, side);

		if (!is_red(near)) {
			bool parent_was_red = is_red(parent);

			set_red(sibling);
			set_black(parent);
			return parent_was_red;
		}
		raise_child(root, sibling, side, callbacks);
		set_black(near);
		sibling = near;
	}
	set_black(*child_at(sibling, far_side));
	if (is_red(parent))
		set_red(sibling);
	set_black(parent);
	raise_child(root, parent, far_side, callbacks);
	return true;
}

/* `node` (NULL for a missing one) below `parent` roots a subtree that is one black short. */
RB_INLINE void erase_rebalance(struct rb_node *node, struct rb_node *parent, struct rb_root *root,
			       const struct rb_augment_callbacks *callbacks)
{
	while (parent) {
		bool mended = node == parent->rb_left
				      ? erase_mend(root, parent, RB_LEFT, callbacks)
				      : erase_mend(root, parent, RB_RIGHT, callbacks);

		if (mended)
			return;
		node = parent;
		parent = rb_parent(node);
	}
}

/* Puts the successor of `node`, which has two children, in its place. Returns the parent of the
 * place that it left. */
RB_INLINE struct rb_node *erase_swap(struct rb_node *node, struct rb_node *successor,
				     struct rb_root *root,
				     const struct rb_augment_callbacks *callbacks)
{
	struct rb_node *hole_parent = rb_parent(successor);
	struct rb_node *child = successor->rb_right;

	if (hole_parent == node) {
		hole_parent = successor;
	} else {
		hole_parent->rb_left = child;
		successor->rb_right = node->rb_right;
		set_parent(successor->rb_right, successor);
		if (child)
			set_parent(child, hole_parent);
	}
	successor->rb_left = node->rb_left;
	set_parent(successor->rb_left, successor);
	replace_child(root, rb_parent(node), node, successor);
	successor->rb_parent_color = node->rb_parent_color;

	callbacks->copy(node, successor);
	callbacks->propagate(hole_parent, successor);
	callbacks->propagate(successor, NULL);
	return hole_parent;
}

RB_INLINE void erase(struct rb_node *node, struct rb_root *root,
		     const struct rb_augment_callbacks *callbacks)
{
	struct rb_node *parent = rb_parent(node);
	struct rb_node *child;
	bool lost_red;

	if (node->rb_left && node->rb_right) {
		struct rb_node *successor = node->rb_right;

		while (successor->rb_left)
			successor = successor->rb_left;
		lost_red = is_red(successor);
		child = successor->rb_right;
		parent = erase_swap(node, successor, root, callbacks);
	} else {
		lost_red = is_red(node);
		child = node->rb_left ? node->rb_left : node->rb_right;
		if (child)
			set_parent(child, parent);
		replace_child(root, parent, node, child);
		callbacks->propagate(parent, NULL);
	}
	if (is_red(child))
		set_black(child);
	else if (!lost_red)
		erase_rebalance(child, parent, root, callbacks);
}

static inline void no_propagate(struct rb_node *node, struct rb_node *stop)
{
	(void)node;
	(void)stop;
}

static inline void no_change(struct rb_node *old_node, struct rb_node *new_node)
{
	(void)old_node;
	(void)new_node;
}

static const struct rb_augment_callbacks plain = {
	.propagate = no_propagate,
	.copy = no_change,
	.rotate = no_change,
};

void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	insert_rebalance(node, root, &plain);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	erase(node, root, &plain);
}

void rb_insert_augmented(struct rb_node *node, struct rb_root *root,
			 const struct rb_augment_callbacks *callbacks)
{
	callbacks->propagate(rb_parent(node), NULL);
	insert_rebalance(node, root, callbacks);
}

void rb_erase_augmented(struct rb_node *node, struct rb_root *root,
			const struct rb_augment_callbacks *callbacks)
{
	erase(node, root, callbacks);
}

RB_INLINE struct rb_node *outermost(struct rb_node *node, enum rb_side side)
{
	while (node && *child_at(node, side))
		node = *child_at(node, side);
	return node;
}

RB_INLINE struct rb_node *neighbour(const struct rb_node *node, enum rb_side side)
{
	struct rb_node *child = side == RB_LEFT ? node->rb_left : node->rb_right;
	struct rb_node *parent;

	if (child)
		return outermost(child, other_side(side));
	parent = rb_parent(node);
	while (parent && node == *child_at(parent, side)) {
		node = parent;
		parent = rb_parent(node);
	}
	return parent;
}

struct rb_node *rb_first(const struct rb_root *root)
{
	return outermost(root->rb_node, RB_LEFT);
}

struct rb_node *rb_last(const struct rb_root *root)
{
	return outermost(root->rb_node, RB_RIGHT);
}

struct rb_node *rb_next(const struct rb_node *node)
{
	return neighbour(node, RB_RIGHT);
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	return neighbour(node, RB_LEFT);
}

/* No valid tree that fits into memory is higher; a deeper walk has run into a cycle. */
#define RB_MAX_HEIGHT 128

struct rb_walk {
	const struct rb_check *check;
	struct check_report *report;
	const struct rb_node *last; /* the node before, in order */
	uint64_t nodes;
};

/* Returns how many black nodes lie on the way down from `node`, itself included. */
static unsigned int walk(struct rb_walk *w, const struct rb_node *node,
			 const struct rb_node *parent, unsigned int depth)
{
	unsigned int left, right;

	if (!node)
		return 0;
	if (depth == RB_MAX_HEIGHT) {
		check_violation(w->report, "rbtree: node %p is too deep", (const void *)node);
		return 0;
	}
	CHECK_THAT(w->report, rb_parent(node) == parent, "rbtree: node %p has parent %p, not %p",
		   (const void *)node, (const void *)rb_parent(node), (const void *)parent);
	CHECK_THAT(w->report, !is_red(node) || (parent && !is_red(parent)),
		   "rbtree: red node %p has no black parent", (const void *)node);

	left = walk(w, node->rb_left, node, depth + 1);
	CHECK_THAT(w->report, !w->last || !w->check->in_order || w->check->in_order(w->last, node),
		   "rbtree: node %p is not behind node %p", (const void *)node,
		   (const void *)w->last);
	w->last = node;
	w->nodes++;
	right = walk(w, node->rb_right, node, depth + 1);

	CHECK_THAT(w->report, left == right, "rbtree: node %p has black heights %u and %u",
		   (const void *)node, left, right);
	CHECK_THAT(w->report, !w->check->value_right || w->check->value_right(node),
		   "rbtree: node %p has a wrong value", (const void *)node);
	return left + !is_red(node);
}

uint64_t rb_validate(const struct rb_root *root, const struct rb_check *check,
		     struct check_report *report)
{
	struct rb_walk w = {.check = check, .report = report};

	walk(&w, root->rb_node, NULL, 0);
	return w.nodes;
}
