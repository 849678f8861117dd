/* SPDX-License-Identifier: MIT */
/*
 * mem_cgroup: a budget. Groups form a tree (instance, mm, a single mapping); a page is charged to
 * one group and counts in all its ancestors. Each group has its own lists, so that what a budget
 * evicts is its own.
 *
 * Charges are taken from a per-thread stock of CHARGE_BATCH pages; memcg_usage() may so be higher
 * than what is in use by the stocks; they are given back under pressure.
 *
 * Life: a group is online while it has references (owners, mms, VMAs, groups below it). The last
 * one takes it offline: it leaves the tree and its pages go to its parent, one by one. Its memory
 * goes when nothing is charged to it any more, pages on their way or swap slots, and only to other
 * groups of the instance: whoever reads page->memcg may find the group reused after all, so it
 * locks the lists it saw and looks again.
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
	_Atomic uint64_t nr_isolated; /* A: pages of the group that somebody took off the lists for
					 a moment */
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
	_Atomic(const struct reclaim_policy_ops *)
		policy; /* A: changes only when the memory is reused */
	struct lruvec lruvec;
	_Atomic uint32_t refcount;   /* A: owners, mms, VMAs, children; 0: offline */
	_Atomic bool offline;        /* written under L: pages added from now on go to the parent */
	_Atomic uint64_t pages;      /* A: pages charged to this group itself, with stocks */
	_Atomic uint64_t swap_slots; /* A: slots charged to this group itself */
	_Atomic uint64_t holds;      /* A: pages, slots, and one while online: freed at 0 */
	_Atomic uint64_t scan_cursor; /* A: id of the group below where the next reclaim begins */
	uint64_t id;                  /* C: for shadows */
	struct mem_cgroup *next_free; /* G: while its memory is unused */
	char name[32];                /* C */
};

/* A group below `parent` (NULL: makes the root) with one reference. `policy` NULL: the parent's. 0,
 * -ENOMEM. */
QUIRE_MUST_CHECK int memcg_create(struct quire *quire, struct mem_cgroup *parent, const char *name,
				  const struct reclaim_policy_ops *policy,
				  struct mem_cgroup **memcg);
void memcg_get(struct mem_cgroup *memcg);
/* The last reference reparents the pages that are still charged (file pages other mms may use) to
 * the parent. No lock of rank LOCK_GROUP or higher is held. */
void memcg_put(struct mem_cgroup *memcg);
/* Whether `memcg` is `ancestor` or below it. */
bool memcg_is_descendant(const struct mem_cgroup *memcg, const struct mem_cgroup *ancestor);
/* The online group of that id with a reference, or NULL. */
struct mem_cgroup *memcg_find(struct quire *quire, uint64_t id);

/*
 * Charges a page before it becomes visible: may reclaim from the group (and ancestors) that is full
 * when gfp has GFP_RECLAIM. 0 and page->memcg set; -ENOMEM: over budget and nothing can be
 * reclaimed. `memcg` NULL: the root.
 */
QUIRE_MUST_CHECK int memcg_charge(struct quire *quire, struct mem_cgroup *memcg, struct page *page,
				  uint32_t gfp);
/*
 * Charges the first of `n` pages that are filled ahead of need: without reclaim, and as long as no
 * budget comes to its end or, with `spare`, near it. Returns how many.
 */
uint32_t memcg_charge_ahead(struct mem_cgroup *memcg, struct page **pages, uint32_t n, bool spare);
/* From put_page(). */
void memcg_uncharge(struct page *page);
/* Sets the budget in pages; reclaims down to it. -EBUSY: could not get below (the budget holds from
 * now on). */
QUIRE_MUST_CHECK int memcg_set_max(struct mem_cgroup *memcg, uint64_t pages);
/* Gives a new group, to which nothing is charged yet, the budget of another. */
void memcg_copy_max(struct mem_cgroup *memcg, const struct mem_cgroup *from);
uint64_t memcg_usage(const struct mem_cgroup *memcg);
/* The highest of the group and its ancestors whose budget does not allow `pages` more, or NULL. */
struct mem_cgroup *memcg_over_budget(struct mem_cgroup *memcg, uint64_t pages);
/* A swap slot is charged to the group (which stays in memory until it is given back), and counts in
 * all ancestors. */
void memcg_charge_swap(struct mem_cgroup *memcg);
void memcg_uncharge_swap(struct mem_cgroup *memcg);
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
