/* SPDX-License-Identifier: MIT */
/*
 * The tagged radix tree.
 *
 * Invariants between calls:
 *   1. every node but a leaf has only nodes in its slots, and their shift is its own less
 * XA_SLOT_BITS;
 *   2. no node is empty, and the root is never a node with slot 0 alone: the tree is as low as it
 * can be;
 *   3. a bit of a leaf's filters is set only for a present entry, and always so for XA_PRESENT; a
 * bit of an inner node's is set exactly when the node in that slot has any bit of that filter set;
 * the array's own bits say so of the head. The path to an index is built before anything is stored,
 * and taken down again when memory runs out half-way.
 */
#include "base/xarray.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/check.h"

/* Where the entry of an index is kept: a slot of a leaf, or the head when `node` is NULL. */
struct xa_place {
	struct xa_node *node;
	unsigned int offset;
};

static inline void *mk_node(struct xa_node *node)
{
	return (char *)node + 2;
}

static inline unsigned int slot_of(const struct xa_node *node, uint64_t index)
{
	return (index >> node->shift) % XA_SLOTS;
}

/* Whether the index lies behind all that a root node covers. */
static inline bool beyond(const struct xa_node *root, uint64_t index)
{
	return index >> root->shift >= XA_SLOTS;
}

static inline bool is_entry(const void *slot)
{
	return slot && slot != XA_RESERVED_ENTRY;
}

static inline void **slot_at(struct xarray *xa, const struct xa_place *place)
{
	return place->node ? &place->node->slots[place->offset] : &xa->head;
}

/* The leaf that covers the index, or NULL. */
static struct xa_node *find_leaf(const struct xarray *xa, uint64_t index)
{
	struct xa_node *node;

	if (!xa_is_node(xa->head))
		return NULL;
	node = xa_to_node(xa->head);
	if (beyond(node, index))
		return NULL;
	while (node->shift) {
		void *slot = node->slots[slot_of(node, index)];

		if (!slot)
			return NULL;
		node = xa_to_node(slot);
	}
	return node;
}

/* Finds the place of an index; returns what is in it, NULL when there is nothing or no such place.
 */
static void *find_place(const struct xarray *xa, uint64_t index, struct xa_place *place)
{
	place->node = find_leaf(xa, index);
	place->offset = index % XA_SLOTS;
	if (place->node)
		return place->node->slots[place->offset];
	return index || xa_is_node(xa->head) ? NULL : xa->head;
}

static void set_filter(struct xarray *xa, const struct xa_place *place, enum xa_mark filter)
{
	struct xa_node *node = place->node;
	unsigned int offset = place->offset;

	for (; node; offset = node->offset, node = node->parent) {
		uint64_t bit = UINT64_C(1) << offset;

		if (node->filters[filter] & bit)
			return;
		node->filters[filter] |= bit;
	}
	xa->filters |= 1U << filter;
}

static void clear_filter(struct xarray *xa, const struct xa_place *place, enum xa_mark filter)
{
	struct xa_node *node = place->node;
	unsigned int offset = place->offset;

	for (; node; offset = node->offset, node = node->parent) {
		uint64_t bit = UINT64_C(1) << offset;

		if (!(node->filters[filter] & bit))
			return;
		node->filters[filter] &= ~bit;
		if (node->filters[filter])
			return;
	}
	xa->filters &= ~(1U << filter);
}

/* Takes off root nodes that hold nothing but slot 0. */
static void shrink(struct xarray *xa)
{
	while (xa_is_node(xa->head)) {
		struct xa_node *root = xa_to_node(xa->head);

		if (root->count != 1 || !root->slots[0])
			return;
		xa->head = root->slots[0];
		if (xa_is_node(xa->head))
			xa_to_node(xa->head)->parent = NULL;
		quire_free(root);
	}
}

/* Restores invariant 2 after a slot of `node` (NULL: none) was emptied or a path was left
 * unfinished there. */
static void prune(struct xarray *xa, struct xa_node *node)
{
	while (node && node->count == 0) {
		struct xa_node *parent = node->parent;

		if (parent) {
			parent->slots[node->offset] = NULL;
			parent->count--;
		} else {
			xa->head = NULL;
		}
		quire_free(node);
		node = parent;
	}
	shrink(xa);
}

/* Puts a node on top whose slot 0 is the head, or an empty one of that shift into an empty array.
 */
static int add_root(struct xarray *xa, unsigned int shift)
{
	struct xa_node *root = quire_zalloc(sizeof(*root));

	if (!root)
		return -ENOMEM;
	root->shift = (uint8_t)shift;
	if (xa->head) {
		root->slots[0] = xa->head;
		root->count = 1;
		for (unsigned int filter = 0; filter < XA_FILTERS; filter++)
			root->filters[filter] = xa->filters >> filter & 1;
		if (xa_is_node(xa->head))
			xa_to_node(xa->head)->parent = root;
	}
	xa->head = mk_node(root);
	return 0;
}

/* Makes the head a node that covers the index. */
static int grow(struct xarray *xa, uint64_t index)
{
	if (!xa->head) {
		unsigned int shift = 0;

		while (index >> shift >= XA_SLOTS)
			shift += XA_SLOT_BITS;
		return add_root(xa, shift);
	}
	if (!xa_is_node(xa->head) && add_root(xa, 0))
		return -ENOMEM;
	while (beyond(xa_to_node(xa->head), index)) {
		if (add_root(xa, xa_to_node(xa->head)->shift + XA_SLOT_BITS)) {
			shrink(xa);
			return -ENOMEM;
		}
	}
	return 0;
}

static struct xa_node *add_child(struct xa_node *node, unsigned int offset)
{
	struct xa_node *child = quire_zalloc(sizeof(*child));

	if (!child)
		return NULL;
	child->shift = node->shift - XA_SLOT_BITS;
	child->offset = (uint8_t)offset;
	child->parent = node;
	node->slots[offset] = mk_node(child);
	node->count++;
	return child;
}

/* Finds the place of an index, with the nodes that are missing on the way. The caller must fill the
 * slot. */
static int make_place(struct xarray *xa, uint64_t index, struct xa_place *place)
{
	struct xa_node *node;

	place->node = NULL;
	place->offset = index % XA_SLOTS;
	if (index == 0 && !xa_is_node(xa->head))
		return 0;
	if (grow(xa, index))
		return -ENOMEM;
	node = xa_to_node(xa->head);
	while (node->shift) {
		unsigned int offset = slot_of(node, index);
		struct xa_node *child = node->slots[offset] ? xa_to_node(node->slots[offset])
							    : add_child(node, offset);

		if (!child) {
			prune(xa, node);
			return -ENOMEM;
		}
		node = child;
	}
	place->node = node;
	return 0;
}

/* Puts `entry` into a place; returns the entry that was there, or NULL. */
static void *fill(struct xarray *xa, const struct xa_place *place, void *entry)
{
	void **slot = slot_at(xa, place);
	void *old = *slot;

	*slot = entry;
	if (!old && place->node)
		place->node->count++;
	if (is_entry(old))
		return old;
	set_filter(xa, place, XA_PRESENT);
	xa->entries++;
	return NULL;
}

/* Empties an occupied place. */
static void empty(struct xarray *xa, const struct xa_place *place)
{
	*slot_at(xa, place) = NULL;
	if (place->node) {
		place->node->count--;
		prune(xa, place->node);
	}
}

int xa_store(struct xarray *xa, uint64_t index, void *entry)
{
	struct xa_place place;

	QUIRE_ASSERT(1, entry && ((uintptr_t)entry & 3) != 2);
	if (make_place(xa, index, &place))
		return -ENOMEM;
	fill(xa, &place, entry);
	return 0;
}

int xa_reserve(struct xarray *xa, uint64_t index)
{
	struct xa_place place;
	void **slot;

	if (make_place(xa, index, &place))
		return -ENOMEM;
	slot = slot_at(xa, &place);
	if (!*slot) {
		*slot = XA_RESERVED_ENTRY;
		if (place.node)
			place.node->count++;
	}
	return 0;
}

void *xa_store_prepared(struct xarray *xa, uint64_t index, void *entry)
{
	struct xa_place place;
	void *old = find_place(xa, index, &place);

	QUIRE_ASSERT(1, entry && ((uintptr_t)entry & 3) != 2);
	QUIRE_ASSERT(1, old);
	return fill(xa, &place, entry);
}

void xa_release(struct xarray *xa, uint64_t index)
{
	struct xa_place place;

	if (find_place(xa, index, &place) == XA_RESERVED_ENTRY)
		empty(xa, &place);
}

void *xa_erase(struct xarray *xa, uint64_t index)
{
	struct xa_place place;
	void *old = find_place(xa, index, &place);

	if (!old)
		return NULL;
	if (is_entry(old)) {
		for (unsigned int filter = 0; filter < XA_FILTERS; filter++)
			clear_filter(xa, &place, filter);
		xa->entries--;
	}
	empty(xa, &place);
	return is_entry(old) ? old : NULL;
}

void xa_set_mark(struct xarray *xa, uint64_t index, enum xa_mark mark)
{
	struct xa_place place;

	QUIRE_ASSERT(1, mark < XA_PRESENT);
	if (is_entry(find_place(xa, index, &place)))
		set_filter(xa, &place, mark);
}

void xa_clear_mark(struct xarray *xa, uint64_t index, enum xa_mark mark)
{
	struct xa_place place;

	QUIRE_ASSERT(1, mark < XA_PRESENT);
	if (is_entry(find_place(xa, index, &place)))
		clear_filter(xa, &place, mark);
}

bool xa_get_mark(const struct xarray *xa, uint64_t index, enum xa_mark mark)
{
	const struct xa_node *leaf = find_leaf(xa, index);

	if (leaf)
		return leaf->filters[mark] >> index % XA_SLOTS & 1;
	return index == 0 && !xa_is_node(xa->head) && xa_marked(xa, mark);
}

void *xa_find(const struct xarray *xa, uint64_t *index, uint64_t max, enum xa_mark filter)
{
	const struct xa_node *node;
	uint64_t at = *index;
	uint64_t matches;

	if (at > max || !xa_marked(xa, filter))
		return NULL;
	if (!xa_is_node(xa->head))
		return at == 0 ? xa->head : NULL;
	node = xa_to_node(xa->head);
	if (beyond(node, at))
		return NULL;
	matches = node->filters[filter] & (UINT64_MAX << slot_of(node, at));
	for (;;) {
		unsigned int slot;

		if (!matches) {
			if (!node->parent)
				return NULL;
			matches = node->parent->filters[filter] & (~UINT64_C(1) << node->offset);
			node = node->parent;
			continue;
		}
		slot = (unsigned int)__builtin_ctzll(matches);
		if (slot != slot_of(node, at))
			at = ((at >> node->shift & ~(uint64_t)(XA_SLOTS - 1)) | slot)
			     << node->shift;
		if (at > max)
			return NULL;
		if (!node->shift) {
			*index = at;
			return node->slots[slot];
		}
		node = xa_to_node(node->slots[slot]);
		matches = node->filters[filter] & (UINT64_MAX << slot_of(node, at));
	}
}

void *xa_find_after(const struct xarray *xa, uint64_t *index, uint64_t max, enum xa_mark filter)
{
	uint64_t at = *index;
	void *entry;

	if (at >= max)
		return NULL;
	at++;
	entry = xa_find(xa, &at, max, filter);
	if (entry)
		*index = at;
	return entry;
}

size_t xa_load_batch(const struct xarray *xa, uint64_t start, uint64_t max, void **entries,
		     size_t n)
{
	size_t found = 0;
	uint64_t wanted;

	if (start > max || n == 0)
		return 0;
	wanted = min_u64(max - start, n - 1) + 1;
	while (found < wanted) {
		const struct xa_node *leaf = find_leaf(xa, start + found);
		unsigned int offset = (start + found) % XA_SLOTS;

		if (!leaf) {
			void *entry = xa_load(xa, start + found);

			if (entry)
				entries[found++] = entry;
			return found;
		}
		for (; offset < XA_SLOTS && found < wanted; offset++) {
			if (!is_entry(leaf->slots[offset]))
				return found;
			entries[found++] = leaf->slots[offset];
		}
	}
	return found;
}

static void free_subtree(struct xa_node *node)
{
	if (node->shift) {
		for (unsigned int slot = 0; slot < XA_SLOTS; slot++) {
			if (node->slots[slot])
				free_subtree(xa_to_node(node->slots[slot]));
		}
	}
	quire_free(node);
}

void xa_destroy(struct xarray *xa)
{
	if (xa_is_node(xa->head))
		free_subtree(xa_to_node(xa->head));
	xa_init(xa);
}

static uint64_t validate_node(const struct xa_node *node, struct check_report *report);

/* Checks one slot that is occupied against its node's filters; returns the number of entries in it.
 */
static uint64_t validate_slot(const struct xa_node *node, unsigned int offset,
			      struct check_report *report)
{
	const void *slot = node->slots[offset];
	const struct xa_node *child;

	if (!node->shift) {
		uint64_t bits = 0;

		for (unsigned int mark = 0; mark < XA_PRESENT; mark++)
			bits |= node->filters[mark];
		CHECK_THAT(report, !xa_is_node(slot), "xarray: a node in a leaf's slot %u", offset);
		CHECK_THAT(report, (node->filters[XA_PRESENT] >> offset & 1) == is_entry(slot),
			   "xarray: presence of slot %u is wrong", offset);
		CHECK_THAT(report, is_entry(slot) || !(bits >> offset & 1),
			   "xarray: reserved slot %u is marked", offset);
		return is_entry(slot);
	}
	if (!xa_is_node(slot)) {
		check_violation(report, "xarray: an entry in slot %u at shift %u", offset,
				node->shift);
		return 0;
	}
	child = xa_to_node(slot);
	CHECK_THAT(report, child->parent == node && child->offset == offset,
		   "xarray: node in slot %u at shift %u points back wrongly", offset, node->shift);
	if (child->shift + XA_SLOT_BITS != node->shift) {
		check_violation(report, "xarray: a node of shift %u below one of %u", child->shift,
				node->shift);
		return 0;
	}
	for (unsigned int filter = 0; filter < XA_FILTERS; filter++)
		CHECK_THAT(report,
			   (node->filters[filter] >> offset & 1) == (child->filters[filter] != 0),
			   "xarray: filter %u of slot %u at shift %u does not sum up", filter,
			   offset, node->shift);
	return validate_node(child, report);
}

/* Checks a node and all below it; returns the number of entries. */
static uint64_t validate_node(const struct xa_node *node, struct check_report *report)
{
	uint64_t entries = 0;
	unsigned int occupied = 0;
	uint64_t stray = 0;

	for (unsigned int filter = 0; filter < XA_FILTERS; filter++)
		stray |= node->filters[filter];
	for (unsigned int slot = 0; slot < XA_SLOTS; slot++) {
		if (!node->slots[slot])
			continue;
		occupied++;
		stray &= ~(UINT64_C(1) << slot);
		entries += validate_slot(node, slot, report);
	}
	CHECK_THAT(report, occupied, "xarray: an empty node at shift %u", node->shift);
	CHECK_THAT(report, occupied == node->count, "xarray: node counts %u slots, has %u",
		   node->count, occupied);
	CHECK_THAT(report, !stray, "xarray: filters set for empty slots at shift %u", node->shift);
	return entries;
}

void xa_validate(const struct xarray *xa, struct check_report *report)
{
	uint64_t entries = is_entry(xa->head);

	if (xa_is_node(xa->head)) {
		const struct xa_node *root = xa_to_node(xa->head);

		CHECK_THAT(report, !root->parent, "xarray: the root has a parent");
		CHECK_THAT(report, root->count != 1 || !root->slots[0],
			   "xarray: the tree is higher than it need be");
		for (unsigned int filter = 0; filter < XA_FILTERS; filter++)
			CHECK_THAT(report, (root->filters[filter] != 0) == xa_marked(xa, filter),
				   "xarray: filter %u of the array does not sum up", filter);
		entries = validate_node(root, report);
	} else {
		CHECK_THAT(report, xa_marked(xa, XA_PRESENT) == is_entry(xa->head),
			   "xarray: presence of the lone entry is wrong");
		CHECK_THAT(report, is_entry(xa->head) || !xa->filters,
			   "xarray: marks without an entry");
	}
	CHECK_THAT(report, entries == xa->entries, "xarray: counts %ju entries, has %ju",
		   (uintmax_t)xa->entries, (uintmax_t)entries);
}
