/* SPDX-License-Identifier: MIT */
/*
 * mem_cgroup: a budget. Groups form a tree (instance, mm, a single mapping); a page is charged to
 * one group and counts in all its ancestors. Each group has its own lists, so that what a budget
 * evicts is its own.
 *
 * Charges are taken from a per-thread stock of CHARGE_BATCH pages; memcg_usage() may so be higher
 * than what is in use by the stocks; they are given back under pressure.
 *
 * Locks: L = lru_lock of the group, A = atomic, C = constant, G = the instance's group lock
 * (LOCK_GROUP).
 */
#ifndef QUIRE_CORE_RECLAIM_MEMCG_H
#define QUIRE_CORE_RECLAIM_MEMCG_H

#include "base/list.h"
#include "base/lock.h"
#include "core/frame/page.h"

struct check_report;
struct mm_struct;
struct quire;
struct reclaim_policy_ops;

#define CHARGE_BATCH 32
#define MEMCG_UNLIMITED UINT64_MAX

enum lru_type {
	LRU_ANON,
	LRU_FILE,
	LRU_TYPES
};
enum lru_list {
	LRU_INACTIVE,
	LRU_ACTIVE,
	LRU_LISTS
};

/* Lists of one group. Reclaim looks at the tails. A policy may use `active` or not, and keeps words
 * of its own. */
struct lruvec {
	struct spinlock lru_lock;
	struct mem_cgroup *memcg;                     /* C */
	struct list_head lists[LRU_TYPES][LRU_LISTS]; /* L */
	_Atomic uint64_t size[LRU_TYPES][LRU_LISTS];  /* written under L */
	struct list_head unevictable;                 /* L */
	_Atomic uint64_t nr_unevictable;              /* written under L */
	_Atomic uint64_t
		nonresident_age; /* A: evictions and activations: the clock of refault distance */
	_Atomic uint64_t cost[LRU_TYPES]; /* A: recent cost of evicting each type wrongly: refaults
					     and writes */
	void *policy_data[LRU_TYPES];     /* L: the policy's own (SIEVE's hand, ghost queue, ...) */
	_Atomic uint64_t refaults[LRU_TYPES]; /* A */
};

struct mem_cgroup {
	struct quire *quire;         /* C */
	struct mem_cgroup *parent;   /* C: holds a reference; NULL: the instance's root group */
	struct list_head children;   /* G */
	struct list_head sibling;    /* G */
	_Atomic uint64_t max;        /* A: pages; MEMCG_UNLIMITED */
	_Atomic uint64_t usage;      /* A: pages charged here and below, with stocks */
	_Atomic uint64_t peak;       /* A: pages */
	_Atomic uint64_t swap_usage; /* A: swap slots charged here and below */
	_Atomic uint64_t failures;   /* A: charges refused */
	const struct reclaim_policy_ops *policy; /* C */
	struct lruvec lruvec;
	_Atomic uint32_t refcount; /* A: owners, children, pages do not count */
	_Atomic uint64_t pages; /* A: charged pages of this group itself: it is freed when refcount
				   and pages are 0 */
	uint64_t id;            /* C: for shadows */
	char name[32];          /* C */
};

/* A group below `parent` (NULL: makes the root) with one reference. `policy` NULL: the parent's. 0,
 * -ENOMEM. */
QUIRE_MUST_CHECK int memcg_create(struct quire *quire, struct mem_cgroup *parent, const char *name,
				  const struct reclaim_policy_ops *policy,
				  struct mem_cgroup **memcg);
void memcg_get(struct mem_cgroup *memcg);
/* The last reference reparents the pages that are still charged (file pages other mms may use) to
 * the parent. */
void memcg_put(struct mem_cgroup *memcg);

/*
 * Charges a page before it becomes visible: may reclaim from the group (and ancestors) that is full
 * when gfp has GFP_RECLAIM. 0 and page->memcg set; -ENOMEM: over budget and nothing can be
 * reclaimed. `memcg` NULL: the root.
 */
QUIRE_MUST_CHECK int memcg_charge(struct quire *quire, struct mem_cgroup *memcg, struct page *page,
				  uint32_t gfp);
/* From put_page(). */
void memcg_uncharge(struct page *page);
/* Sets the budget in pages; reclaims down to it. -EBUSY: could not get below (the budget holds from
 * now on). */
QUIRE_MUST_CHECK int memcg_set_max(struct mem_cgroup *memcg, uint64_t pages);
uint64_t memcg_usage(const struct mem_cgroup *memcg);
/* Gives all threads' stocks back. */
void memcg_drain_stocks(struct quire *quire);

/* The group that pages of the VMA are charged to. */
struct vm_area_struct;
struct mem_cgroup *vma_memcg(const struct vm_area_struct *vma);

/* Pre-order walk of the tree below `root` (NULL: start). References are handled; break out with
 * memcg_iter_break(). */
struct mem_cgroup *memcg_iter(struct mem_cgroup *root, struct mem_cgroup *previous);
void memcg_iter_break(struct mem_cgroup *position);

/* Lists, sizes, flags of pages, counts against usage. Nothing under way. */
void memcg_validate(struct mem_cgroup *root, struct check_report *report);

#endif
