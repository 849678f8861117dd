/* SPDX-License-Identifier: MIT */
/*
 * The tree of groups: creation, walks, budgets, and the end of a group (life: see memcg.h).
 */
#include "core/reclaim/memcg.h"

#include "base/alloc.h"
#include "base/xarray.h"
#include "core/instance/instance.h"
#include "core/reclaim/lruvec.h"
#include "core/vma/mm.h"

#include <errno.h>
#include <string.h>

/* Attempts to get below a new budget that freed nothing, before giving up. */
#define SET_MAX_RETRIES 4

/* G = quire->group_lock. */
struct memcg_table {
	struct xarray ids;       /* G: online groups by id */
	struct mem_cgroup *free; /* G: memory of groups that are gone */
};

int memcg_table_init(struct quire *quire)
{
	quire->memcgs = quire_zalloc(sizeof(*quire->memcgs));
	return quire->memcgs ? 0 : -ENOMEM;
}

void memcg_table_destroy(struct quire *quire)
{
	struct memcg_table *table = quire->memcgs;

	QUIRE_ASSERT(1, xa_empty(&table->ids));
	while (table->free) {
		struct mem_cgroup *memcg = table->free;

		table->free = memcg->next_free;
		quire_free(memcg);
	}
	xa_destroy(&table->ids);
	quire_free(table);
}

/* The instance and the lock of the lists are set once only: somebody who saw a page's former group
 * may be about to use them. */
static struct mem_cgroup *memcg_alloc(struct quire *quire)
{
	struct mem_cgroup *memcg;

	spin_lock(&quire->group_lock);
	memcg = quire->memcgs->free;
	if (memcg)
		quire->memcgs->free = memcg->next_free;
	spin_unlock(&quire->group_lock);
	if (memcg)
		return memcg;
	memcg = quire_zalloc(sizeof(*memcg));
	if (memcg) {
		memcg->quire = quire;
		spin_lock_init(&memcg->lruvec.lru_lock, LOCK_LRU);
	}
	return memcg;
}

static void memcg_retire(struct mem_cgroup *memcg)
{
	struct quire *quire = memcg->quire;

	spin_lock(&quire->group_lock);
	memcg->next_free = quire->memcgs->free;
	quire->memcgs->free = memcg;
	spin_unlock(&quire->group_lock);
}

static void lruvec_init(struct lruvec *lruvec, struct mem_cgroup *memcg)
{
	lruvec->memcg = memcg;
	list_init(&lruvec->unevictable);
	atomic_store_explicit(&lruvec->nr_unevictable, 0, memory_order_relaxed);
	atomic_store_explicit(&lruvec->nr_isolated, 0, memory_order_relaxed);
	atomic_store_explicit(&lruvec->nonresident_age, 0, memory_order_relaxed);
	for (int type = 0; type < LRU_TYPES; type++) {
		lruvec->policy_data[type] = NULL;
		atomic_store_explicit(&lruvec->cost[type], 0, memory_order_relaxed);
		atomic_store_explicit(&lruvec->refaults[type], 0, memory_order_relaxed);
		for (int list = 0; list < LRU_LISTS; list++) {
			list_init(&lruvec->lists[type][list]);
			atomic_store_explicit(&lruvec->size[type][list], 0, memory_order_relaxed);
		}
	}
}

static void memcg_init(struct mem_cgroup *memcg, const char *name)
{
	list_init(&memcg->children);
	list_init(&memcg->sibling);
	atomic_store_explicit(&memcg->max, MEMCG_UNLIMITED, memory_order_relaxed);
	atomic_store_explicit(&memcg->usage, 0, memory_order_relaxed);
	atomic_store_explicit(&memcg->peak, 0, memory_order_relaxed);
	atomic_store_explicit(&memcg->swap_usage, 0, memory_order_relaxed);
	atomic_store_explicit(&memcg->failures, 0, memory_order_relaxed);
	atomic_store_explicit(&memcg->pages, 0, memory_order_relaxed);
	atomic_store_explicit(&memcg->swap_slots, 0, memory_order_relaxed);
	atomic_store_explicit(&memcg->scan_cursor, 0, memory_order_relaxed);
	atomic_store_explicit(&memcg->offline, false, memory_order_relaxed);
	atomic_store_explicit(&memcg->holds, 1, memory_order_relaxed);
	atomic_store_explicit(&memcg->refcount, 1, memory_order_relaxed);
	memcg->id = atomic_fetch_add_explicit(&memcg->quire->next_id, 1, memory_order_relaxed) + 1;
	memset(memcg->name, 0, sizeof(memcg->name));
	strncpy(memcg->name, name, sizeof(memcg->name) - 1);
	lruvec_init(&memcg->lruvec, memcg);
}

/* Visible to walks and look-ups from here on. */
static int memcg_link(struct mem_cgroup *memcg, struct mem_cgroup *parent)
{
	struct quire *quire = memcg->quire;
	int error;

	spin_lock(&quire->group_lock);
	error = xa_store(&quire->memcgs->ids, memcg->id, memcg);
	if (!error && parent) {
		memcg_get(parent);
		list_add_tail(&memcg->sibling, &parent->children);
	}
	spin_unlock(&quire->group_lock);
	return error;
}

int memcg_create(struct quire *quire, struct mem_cgroup *parent, const char *name,
		 const struct reclaim_policy_ops *policy, struct mem_cgroup **result)
{
	struct mem_cgroup *memcg = memcg_alloc(quire);
	int error = 0;

	if (!memcg)
		return -ENOMEM;
	if (!policy)
		policy = parent->policy;
	memcg_init(memcg, name);
	memcg->parent = parent;
	atomic_store_explicit(&memcg->policy, policy, memory_order_release);
	if (policy->init)
		error = policy->init(&memcg->lruvec);
	if (error)
		goto retire;
	error = memcg_link(memcg, parent);
	if (error)
		goto destroy_policy;
	*result = memcg;
	return 0;

destroy_policy:
	if (policy->destroy)
		policy->destroy(&memcg->lruvec);
retire:
	memcg_retire(memcg);
	return error;
}

void memcg_get(struct mem_cgroup *memcg)
{
	atomic_fetch_add_explicit(&memcg->refcount, 1, memory_order_relaxed);
}

struct mem_cgroup *memcg_find(struct quire *quire, uint64_t id)
{
	struct mem_cgroup *memcg;

	spin_lock(&quire->group_lock);
	memcg = xa_load(&quire->memcgs->ids, id);
	if (memcg && !get_unless_zero(&memcg->refcount))
		memcg = NULL;
	spin_unlock(&quire->group_lock);
	return memcg;
}

/* The last reference is gone: nobody charges to it any more. */
static void memcg_offline(struct mem_cgroup *memcg)
{
	struct quire *quire = memcg->quire;

	spin_lock(&quire->group_lock);
	xa_erase(&quire->memcgs->ids, memcg->id);
	list_del_init(&memcg->sibling);
	spin_unlock(&quire->group_lock);
	memcg_drain_stocks(quire);
	if (memcg->parent) {
		spin_lock(&memcg->lruvec.lru_lock);
		atomic_store_explicit(&memcg->offline, true, memory_order_relaxed);
		spin_unlock(&memcg->lruvec.lru_lock);
		lru_reparent(memcg);
	}
	memcg_drop_holds(memcg, 1);
}

void memcg_put(struct mem_cgroup *memcg)
{
	if (atomic_fetch_sub_explicit(&memcg->refcount, 1, memory_order_acq_rel) == 1)
		memcg_offline(memcg);
}

void memcg_drop_holds(struct mem_cgroup *memcg, uint64_t holds)
{
	const struct reclaim_policy_ops *policy = memcg->policy;
	struct mem_cgroup *parent = memcg->parent;

	if (atomic_fetch_sub_explicit(&memcg->holds, holds, memory_order_acq_rel) != holds)
		return;
	if (policy->destroy)
		policy->destroy(&memcg->lruvec);
	memcg_retire(memcg);
	if (parent)
		memcg_put(parent);
}

bool memcg_is_descendant(const struct mem_cgroup *memcg, const struct mem_cgroup *ancestor)
{
	while (memcg && memcg != ancestor)
		memcg = memcg->parent;
	return memcg;
}

struct mem_cgroup *vma_memcg(const struct vm_area_struct *vma)
{
	return vma->vm_memcg ? vma->vm_memcg : vma->vm_mm->memcg;
}

/* Under the group lock: the one after `position` in pre-order below `root`, or NULL. */
static struct mem_cgroup *next_in_tree(const struct mem_cgroup *root, struct mem_cgroup *position)
{
	if (!list_empty(&position->children))
		return list_first_entry(&position->children, struct mem_cgroup, sibling);
	while (position != root) {
		struct mem_cgroup *parent = position->parent;

		if (position->sibling.next != &parent->children)
			return list_next_entry(position, sibling);
		position = parent;
	}
	return NULL;
}

struct mem_cgroup *memcg_iter(struct mem_cgroup *root, struct mem_cgroup *previous)
{
	struct quire *quire = root->quire;
	struct mem_cgroup *next = previous;

	if (!previous) {
		memcg_get(root);
		return root;
	}
	spin_lock(&quire->group_lock);
	do {
		next = next_in_tree(root, next);
	} while (next && !get_unless_zero(&next->refcount));
	spin_unlock(&quire->group_lock);
	memcg_put(previous);
	return next;
}

void memcg_iter_break(struct mem_cgroup *position)
{
	if (position)
		memcg_put(position);
}

void memcg_copy_max(struct mem_cgroup *memcg, const struct mem_cgroup *from)
{
	atomic_store_explicit(&memcg->max, atomic_load_explicit(&from->max, memory_order_relaxed),
			      memory_order_relaxed);
}

int memcg_set_max(struct mem_cgroup *memcg, uint64_t pages)
{
	uint32_t retries = 0;

	atomic_store_explicit(&memcg->max, pages, memory_order_relaxed);
	while (memcg_usage(memcg) > pages) {
		memcg_drain_stocks(memcg->quire);

		uint64_t usage = memcg_usage(memcg);

		if (usage <= pages)
			break;
		if (!try_to_free_pages(memcg, usage - pages) && ++retries > SET_MAX_RETRIES)
			return -EBUSY;
	}
	return 0;
}
