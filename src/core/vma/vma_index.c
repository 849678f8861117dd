/* SPDX-License-Identifier: MIT */
/*
 * The index of an mm with many VMAs: a B+ tree from vm_end to VMA, for lookups only.
 *
 * In a red-black tree of many nodes a lookup costs a cache miss and a mispredicted branch a level.
 * A node here has 31 keys in four cache lines, searched without branches, so that a lookup among
 * 65,000 VMAs touches some ten lines, of which most are shared with other lookups. Up to
 * VMA_INDEX_MIN VMAs the red-black tree is as fast, and there is no index.
 *
 * The index is a help: when memory for it runs out it is thrown away, and built again from the list
 * later. The tree and the list stay the truth.
 *
 * Invariants: keys of a node ascend, unused ones are UINT64_MAX; the key of an inner slot is the
 * greatest of its child; no node but the root of an empty index is empty; all leaves are at one
 * depth. VMAs do not overlap, so no two have one end.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "core/vma/internal.h"

#include <string.h>

#define FANOUT 31
/* A node with fewer keys looks whether it fits into its neighbour. */
#define FEW (FANOUT / 4)
#define MERGED_MAX (FANOUT * 3 / 4)
#define MAX_HEIGHT 16

struct vma_index_node {
	uint64_t ends[FANOUT];
	uint64_t count;
	void *slots[FANOUT]; /* nodes, or in a leaf VMAs */
	uint64_t reserved;   /* keeps nodes a whole number of cache lines */
};

_Static_assert(sizeof(struct vma_index_node) == 512, "a node is eight cache lines");

/* Number of keys that are not above the address: the slot of the first VMA that ends behind it. */
static inline uint32_t upper_slot(const struct vma_index_node *node, uint64_t address)
{
	uint32_t i = (uint32_t)(node->ends[15] <= address) << 4;

	i += (uint32_t)(node->ends[i + 7] <= address) << 3;
	i += (uint32_t)(node->ends[i + 3] <= address) << 2;
	i += (uint32_t)(node->ends[i + 1] <= address) << 1;
	return i + (node->ends[i] <= address);
}

/* A node far down is in no near cache: its lines are fetched side by side, not one after another as
 * the search comes to them. */
static inline void prefetch_node(const struct vma_index_node *node)
{
	const char *line = (const char *)node;

	for (size_t i = 0; i < sizeof(*node); i += 64)
		__builtin_prefetch(line + i);
}

struct vm_area_struct *vma_index_find(const struct mm_struct *mm, uint64_t address)
{
	const struct vma_index_node *node = mm->vma_index;

	if (address >= mm->highest_vm_end)
		return NULL;
	for (uint32_t level = mm->vma_index_height; level; level--) {
		node = node->slots[upper_slot(node, address)];
		if (level == 1)
			prefetch_node(node);
	}
	return node->slots[upper_slot(node, address)];
}

static struct vma_index_node *node_alloc(void)
{
	struct vma_index_node *node = quire_zalloc_aligned(64, sizeof(*node));

	if (node)
		memset(node->ends, 0xff, sizeof(node->ends));
	return node;
}

static void node_free(struct vma_index_node *node, uint32_t level)
{
	if (level)
		for (uint32_t i = 0; i < node->count; i++)
			node_free(node->slots[i], level - 1);
	quire_free(node);
}

void vma_index_destroy(struct mm_struct *mm)
{
	if (mm->vma_index)
		node_free(mm->vma_index, mm->vma_index_height);
	mm->vma_index = NULL;
	mm->vma_index_height = 0;
}

static void insert_slot(struct vma_index_node *node, uint32_t at, uint64_t end, void *slot)
{
	size_t behind = node->count - at;

	memmove(&node->ends[at + 1], &node->ends[at], behind * sizeof(node->ends[0]));
	memmove(&node->slots[at + 1], &node->slots[at], behind * sizeof(node->slots[0]));
	node->ends[at] = end;
	node->slots[at] = slot;
	node->count++;
}

static void remove_slot(struct vma_index_node *node, uint32_t at)
{
	size_t behind = --node->count - at;

	memmove(&node->ends[at], &node->ends[at + 1], behind * sizeof(node->ends[0]));
	memmove(&node->slots[at], &node->slots[at + 1], behind * sizeof(node->slots[0]));
	node->ends[node->count] = UINT64_MAX;
}

/* Moves the entries from `first` on to the end of `to`. */
static void move_tail(struct vma_index_node *to, struct vma_index_node *from, uint32_t first)
{
	size_t moved = from->count - first;

	memcpy(&to->ends[to->count], &from->ends[first], moved * sizeof(to->ends[0]));
	memcpy(&to->slots[to->count], &from->slots[first], moved * sizeof(to->slots[0]));
	memset(&from->ends[first], 0xff, moved * sizeof(from->ends[0]));
	to->count += moved;
	from->count = first;
}

static uint64_t last_end(const struct vma_index_node *node)
{
	return node->ends[node->count - 1];
}

/* Makes two of a full child, `parent` having room; where VMAs are added at one end only, nodes are
 * left nearly full. */
static bool split_child(struct vma_index_node *parent, uint32_t i, uint64_t end)
{
	struct vma_index_node *child = parent->slots[i];
	struct vma_index_node *right = node_alloc();
	uint32_t at = FANOUT / 2;

	if (!right)
		return false;
	if (end > last_end(child))
		at = FANOUT - 1;
	else if (end < child->ends[0])
		at = 1;
	move_tail(right, child, at);
	parent->ends[i] = last_end(child);
	insert_slot(parent, i + 1, last_end(right), right);
	return true;
}

static bool grow_root(struct mm_struct *mm, uint64_t end)
{
	struct vma_index_node *root = node_alloc();

	if (!root)
		return false;
	insert_slot(root, 0, last_end(mm->vma_index), mm->vma_index);
	mm->vma_index = root;
	mm->vma_index_height++;
	return split_child(root, 0, end);
}

static uint32_t child_slot(const struct vma_index_node *node, uint64_t end)
{
	uint32_t i = upper_slot(node, end);

	return i < node->count ? i : (uint32_t)node->count - 1;
}

/* Full nodes are split on the way down, so that there is room below. */
static bool try_insert(struct mm_struct *mm, struct vm_area_struct *vma)
{
	uint64_t end = vma->vm_end;
	struct vma_index_node *node;

	if (mm->vma_index->count == FANOUT && !grow_root(mm, end))
		return false;
	node = mm->vma_index;
	for (uint32_t level = mm->vma_index_height; level; level--) {
		uint32_t i = child_slot(node, end);
		const struct vma_index_node *child = node->slots[i];

		if (child->count == FANOUT) {
			if (!split_child(node, i, end))
				return false;
			i = child_slot(node, end);
		}
		if (node->ends[i] < end)
			node->ends[i] = end;
		node = node->slots[i];
	}
	insert_slot(node, upper_slot(node, end), end, vma);
	return true;
}

static void build(struct mm_struct *mm)
{
	struct vm_area_struct *vma;

	mm->vma_index = node_alloc();
	if (!mm->vma_index)
		return;
	for_each_vma (mm, vma)
		if (!try_insert(mm, vma)) {
			vma_index_destroy(mm);
			return;
		}
}

void vma_index_insert(struct mm_struct *mm, struct vm_area_struct *vma)
{
	if (mm->vma_index) {
		if (!try_insert(mm, vma))
			vma_index_destroy(mm);
	} else if (mm->map_count % VMA_INDEX_MIN == 0) {
		build(mm);
	}
}

/* The way to a key, from the root at 0 to the leaf at vma_index_height. */
struct vma_index_path {
	struct vma_index_node *nodes[MAX_HEIGHT];
	uint32_t slots[MAX_HEIGHT];
};

static void find_path(const struct mm_struct *mm, uint64_t end, struct vma_index_path *path)
{
	struct vma_index_node *node = mm->vma_index;
	uint32_t height = mm->vma_index_height;
	uint32_t slot = upper_slot(node, end - 1);

	path->nodes[0] = node;
	path->slots[0] = slot;
	for (uint32_t depth = 1; depth <= height; depth++) {
		node = node->slots[slot];
		slot = upper_slot(node, end - 1);
		path->nodes[depth] = node;
		path->slots[depth] = slot;
	}
	QUIRE_ASSERT(1, node->ends[slot] == end);
}

/* A child lost an entry: its key, and perhaps it itself, changes. */
static void mend_parent(struct vma_index_node *parent, uint32_t i, struct vma_index_node *child)
{
	struct vma_index_node *next;

	if (!child->count) {
		quire_free(child);
		remove_slot(parent, i);
		return;
	}
	parent->ends[i] = last_end(child);
	if (child->count >= FEW || i + 1 == parent->count)
		return;
	next = parent->slots[i + 1];
	if (child->count + next->count > MERGED_MAX)
		return;
	move_tail(child, next, 0);
	quire_free(next);
	parent->ends[i] = parent->ends[i + 1];
	remove_slot(parent, i + 1);
}

void vma_index_erase(struct mm_struct *mm, uint64_t end)
{
	struct vma_index_path path;
	uint32_t depth = mm->vma_index_height;

	if (!mm->vma_index)
		return;
	find_path(mm, end, &path);
	remove_slot(path.nodes[depth], path.slots[depth]);
	while (depth) {
		struct vma_index_node *child = path.nodes[depth--];

		if (child->count >= FEW &&
		    last_end(child) == path.nodes[depth]->ends[path.slots[depth]])
			return;
		mend_parent(path.nodes[depth], path.slots[depth], child);
	}
	while (mm->vma_index_height && mm->vma_index->count <= 1) {
		struct vma_index_node *root = mm->vma_index;

		if (!root->count) {
			mm->vma_index_height = 0;
			break;
		}
		mm->vma_index = root->slots[0];
		mm->vma_index_height--;
		quire_free(root);
	}
}

void vma_index_move(struct mm_struct *mm, uint64_t old_end, uint64_t new_end)
{
	struct vma_index_path path;
	uint32_t depth = mm->vma_index_height;

	if (!mm->vma_index || old_end == new_end)
		return;
	find_path(mm, old_end, &path);
	path.nodes[depth]->ends[path.slots[depth]] = new_end;
	/* The greatest key of a node is in its parent too. */
	while (depth && path.slots[depth] + 1 == path.nodes[depth]->count) {
		depth--;
		path.nodes[depth]->ends[path.slots[depth]] = new_end;
	}
}

/* Returns the number of VMAs below the node. */
static uint64_t validate_node(const struct vma_index_node *node, uint32_t level,
			      struct check_report *report)
{
	uint64_t vmas = 0;

	for (uint32_t i = 0; i < FANOUT; i++) {
		uint64_t end = node->ends[i];

		if (i >= node->count) {
			CHECK_THAT(report, end == UINT64_MAX, "vma index: unused key %u is set", i);
			continue;
		}
		CHECK_THAT(report, !i || node->ends[i - 1] < end, "vma index: key %llx is too low",
			   (unsigned long long)end);
		if (!level) {
			const struct vm_area_struct *vma = node->slots[i];

			CHECK_THAT(report, vma->vm_end == end, "vma index: vma %llx has key %llx",
				   (unsigned long long)vma->vm_start, (unsigned long long)end);
			vmas++;
			continue;
		}

		const struct vma_index_node *child = node->slots[i];

		vmas += validate_node(child, level - 1, report);
		CHECK_THAT(report, child->count && last_end(child) == end,
			   "vma index: key %llx is not the greatest below",
			   (unsigned long long)end);
	}
	return vmas;
}

void vma_index_validate(const struct mm_struct *mm, struct check_report *report)
{
	uint64_t vmas;

	if (!mm->vma_index)
		return;
	vmas = validate_node(mm->vma_index, mm->vma_index_height, report);
	CHECK_THAT(report, vmas == mm->map_count, "vma index: %llu of %u VMAs",
		   (unsigned long long)vmas, mm->map_count);
}
