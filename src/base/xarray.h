/* SPDX-License-Identifier: MIT */
/*
 * A tagged radix tree from uint64_t indices to pointers or 63-bit values, in the shape of Linux's
 * XArray: what the page cache keeps its folios, shadow entries and dirty marks in.
 *
 * Each node has 64 slots and, for each of three marks and for presence, one word that says which
 * slots hold or lead to an entry so marked; so searches skip whole subtrees. The tree is as high as
 * its greatest index needs, and a lone entry at index 0 needs no node at all.
 *
 * No locking inside: the caller serialises changes with everything else; functions on a const array
 * may run side by side.
 *
 * Two-phase changes: whatever finds its slot occupied cannot fail. xa_reserve() occupies a slot
 * without making it visible; then xa_store_prepared() fills it, or xa_release() gives it back. The
 * reservation belongs to the slot, not to the caller: two who may reserve one index at a time must
 * hold the lock from xa_reserve() to the end.
 */
#ifndef QUIRE_BASE_XARRAY_H
#define QUIRE_BASE_XARRAY_H

#include "base/types.h"

struct check_report;

#define XA_SLOT_BITS 6
#define XA_SLOTS (1U << XA_SLOT_BITS)

/* A mark, or as the filter of a search also XA_PRESENT: any entry at all. */
enum xa_mark {
	XA_MARK_0,
	XA_MARK_1,
	XA_MARK_2,
	XA_PRESENT,
	XA_FILTERS
};

/*
 * Entries are told apart by their low bits: 00 a pointer, x1 a value, 10 internal (a node, or the
 * reserved slot). Hence pointers must be aligned to 4 bytes, and NULL is no entry.
 */
struct xa_node {
	uint8_t shift;  /* how far to shift an index for its slot here; 0 at the leaves */
	uint8_t offset; /* the slot of the parent that holds this node */
	uint8_t count;  /* occupied slots: entries, reserved slots, nodes */
	struct xa_node *parent;
	uint64_t filters[XA_FILTERS]; /* per filter: the slots that hold or lead to a match */
	void *slots[XA_SLOTS];
};

struct xarray {
	void *head;       /* NULL, the entry at index 0, or the tagged root node */
	uint64_t entries; /* present ones; reserved slots do not count */
	uint8_t filters;  /* bit per filter: whether anything matches */
};

#define XA_RESERVED_ENTRY ((void *)(uintptr_t)6)

static inline bool xa_is_value(const void *entry)
{
	return (uintptr_t)entry & 1;
}

/* A value as an entry; `value` is below 2^63. */
static inline void *xa_mk_value(uint64_t value)
{
	return (void *)(uintptr_t)((value << 1) | 1);
}

static inline uint64_t xa_to_value(const void *entry)
{
	return (uint64_t)(uintptr_t)entry >> 1;
}

static inline bool xa_is_node(const void *slot)
{
	return ((uintptr_t)slot & 3) == 2 && slot != XA_RESERVED_ENTRY;
}

static inline struct xa_node *xa_to_node(const void *slot)
{
	return (struct xa_node *)((uintptr_t)slot - 2);
}

static inline void xa_init(struct xarray *xa)
{
	xa->head = NULL;
	xa->entries = 0;
	xa->filters = 0;
}

/* Number of entries that are present. */
static inline uint64_t xa_count(const struct xarray *xa)
{
	return xa->entries;
}

/* Whether there is an entry, and whether one with that mark (or XA_PRESENT). */
static inline bool xa_empty(const struct xarray *xa)
{
	return xa->entries == 0;
}

static inline bool xa_marked(const struct xarray *xa, enum xa_mark filter)
{
	return xa->filters >> filter & 1;
}

/* The entry at the index, or NULL. */
static inline void *xa_load(const struct xarray *xa, uint64_t index)
{
	void *slot = xa->head;

	if (xa_is_node(slot)) {
		const struct xa_node *node = xa_to_node(slot);
		unsigned int shift = node->shift;

		if (index >> shift >= XA_SLOTS)
			return NULL;
		slot = node->slots[index >> shift];
		while (shift && slot) {
			shift -= XA_SLOT_BITS;
			slot = xa_to_node(slot)->slots[(index >> shift) % XA_SLOTS];
		}
	} else if (index) {
		return NULL;
	}
	return likely(slot != XA_RESERVED_ENTRY) ? slot : NULL;
}

/*
 * Puts `entry` (not NULL) at the index. One that is there already is replaced and its marks stay; a
 * new one has none. 0, or -ENOMEM with the array as it was; it cannot fail when the slot is
 * occupied or reserved.
 */
QUIRE_MUST_CHECK int xa_store(struct xarray *xa, uint64_t index, void *entry);

/* Makes sure that the slot is occupied, so that xa_store_prepared() can follow. 0, or -ENOMEM with
 * the array as it was. */
QUIRE_MUST_CHECK int xa_reserve(struct xarray *xa, uint64_t index);

/* As xa_store(), for a slot that holds an entry or is reserved; returns the entry replaced, or
 * NULL. Never fails. */
void *xa_store_prepared(struct xarray *xa, uint64_t index, void *entry);

/* Gives a reserved slot back if it is still reserved; otherwise does nothing. */
void xa_release(struct xarray *xa, uint64_t index);

/* Removes the entry with its marks (or a reservation) and the nodes that become empty; returns it,
 * or NULL. Never fails. */
void *xa_erase(struct xarray *xa, uint64_t index);

/* Marks of one entry; without an entry there, setting and clearing do nothing and asking gives
 * false. */
void xa_set_mark(struct xarray *xa, uint64_t index, enum xa_mark mark);
void xa_clear_mark(struct xarray *xa, uint64_t index, enum xa_mark mark);
bool xa_get_mark(const struct xarray *xa, uint64_t index, enum xa_mark mark);

/*
 * The first entry from `*index` (xa_find) or behind it (xa_find_after) up to and including `max`
 * that matches the filter;
 * `*index` becomes its index. NULL, and `*index` as it was, when there is none.
 */
void *xa_find(const struct xarray *xa, uint64_t *index, uint64_t max, enum xa_mark filter);
void *xa_find_after(const struct xarray *xa, uint64_t *index, uint64_t max, enum xa_mark filter);

/*
 * Fills `entries` with the entries at start, start + 1, ... up to the first index without one,
 * `max`, or `n` of them. Returns how many. One walk from the root per 64 indices.
 */
size_t xa_load_batch(const struct xarray *xa, uint64_t start, uint64_t max, void **entries,
		     size_t n);

/*
 * Loops over entries in order of their index; `index` (uint64_t) and `entry` (void * or a pointer
 * to an object) are the caller's variables. Each step searches anew, so the body may store, erase
 * and mark whatever it likes.
 */
#define xa_for_each_filtered(xa, index, entry, start, max, filter) \
	for (index = (start), entry = xa_find(xa, &index, max, filter); entry; \
	     entry = xa_find_after(xa, &index, max, filter))
#define xa_for_each(xa, index, entry) \
	xa_for_each_filtered (xa, index, entry, 0, UINT64_MAX, XA_PRESENT)
#define xa_for_each_marked(xa, index, entry, mark) \
	xa_for_each_filtered (xa, index, entry, 0, UINT64_MAX, mark)
#define xa_for_each_range(xa, index, entry, start, last) \
	xa_for_each_filtered (xa, index, entry, start, last, XA_PRESENT)

/* Frees all nodes and leaves the array empty; what the entries point to is the caller's. */
void xa_destroy(struct xarray *xa);

/* Checks every node: height, counts, parents, that no node is empty or superfluous, and that the
 * filters sum up. */
void xa_validate(const struct xarray *xa, struct check_report *report);

#endif
