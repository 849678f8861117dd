/* SPDX-License-Identifier: MIT */
/*
 * Page reclaim: the lists of pages, the choice of victims (behind struct reclaim_policy_ops), and
 * getting rid of them.
 *
 * Clean file pages are dropped; dirty ones are written first and freed when the write is done;
 * anonymous and shmem pages go to swap. VM_LOCKED pages move to the unevictable list and stay. A
 * page pinned or locked by somebody is passed over.
 */
#ifndef QUIRE_CORE_RECLAIM_VMSCAN_H
#define QUIRE_CORE_RECLAIM_VMSCAN_H

#include "core/reclaim/memcg.h"

/*
 * A replacement policy. All functions run under the lru_lock of the lruvec. Pages carry PG_active,
 * PG_referenced, PG_workingset, PG_policy1 and PG_policy2 for it. The policy owns the order of
 * lruvec->lists[type][*] and their sizes (lruvec_add_page/lruvec_del_page helpers).
 */
struct reclaim_policy_ops {
	const char *name;
	int (*init)(struct lruvec *lruvec);     /* policy_data; 0 or -ENOMEM; may be NULL */
	void (*destroy)(struct lruvec *lruvec); /* may be NULL */
	/* A page enters the lists: fresh, or `refault` within the working set. */
	void (*add)(struct lruvec *lruvec, struct page *page, bool refault);
	/* It leaves them (freed, isolated, unevictable); the policy forgets it. */
	void (*remove)(struct lruvec *lruvec, struct page *page);
	/* A file call used it again since it was last looked at (PG_referenced is set). May be
	 * NULL. */
	void (*accessed)(struct lruvec *lruvec, struct page *page);
	/* MADV_COLD and writeback for reclaim: next to go. */
	void (*deactivate)(struct lruvec *lruvec, struct page *page);
	/*
	 * Takes up to `nr` candidates of a type off the lists in the order of eviction, linked by
	 * page->lru on `out`, each with a reference that the policy took by get_page_unless_zero().
	 * Accessed bits are looked at later, by the scanner, which returns used pages by putback.
	 */
	uint32_t (*isolate)(struct lruvec *lruvec, enum lru_type type, uint32_t nr,
			    struct list_head *out);
	/* A candidate was not evicted; `referenced`: because it is in use. */
	void (*putback)(struct lruvec *lruvec, struct page *page, bool referenced);
	/* Keeps the lists in proportion before a scan (the two-list policy ages the active list):
	 * may move pages, looks at accessed bits by page_referenced() with the lock dropped. May be
	 * NULL. */
	void (*balance)(struct lruvec *lruvec, enum lru_type type);
};

extern const struct reclaim_policy_ops
	policy_two_list; /* Linux's active and inactive lists: the default */
extern const struct reclaim_policy_ops policy_sieve; /* SIEVE: one queue, a hand, a visited bit */
/* By name, NULL when unknown. */
const struct reclaim_policy_ops *reclaim_policy_find(const char *name);

/* Per-thread batches and stocks of an instance and the table of its groups (quire->lru_batches,
 * charge_stocks, memcgs). 0 or -ENOMEM. */
QUIRE_MUST_CHECK int reclaim_init(struct quire *quire);
/* All batches are drained and all stocks given back first. */
void reclaim_destroy(struct quire *quire);

/* The page was charged and is visible: puts it on its group's lists (through the thread's batch,
 * which holds a reference). */
void lru_add_page(struct quire *quire, struct page *page);
/* Many at once, each of which somebody holds or maps until this returns. */
void lru_add_pages(struct page **pages, uint32_t count);
void lru_add_drain(struct quire *quire);     /* this thread's batch */
void lru_add_drain_all(struct quire *quire); /* all batches */
/* Last reference gone: off the list. */
void lru_del_page(struct page *page);
/* Used through a file call. */
void mark_page_accessed(struct page *page);
/* The next one to go; nothing happens to a page that is on no list (in a batch, say). */
void deactivate_page(struct quire *quire, struct page *page);
/* MADV_FREE: a clean anonymous page may be dropped, and goes to the lists of file pages, which are
 * looked at without swap too. Under the lock of the only entry that maps it. */
void mark_page_lazyfree(struct quire *quire, struct page *page);
/* munlock: back among the evictable ones (when no other VM_LOCKED VMA maps it, which the next scan
 * finds). mlock: to the unevictable list. */
void munlock_page(struct quire *quire, struct page *page);
void mlock_page(struct quire *quire, struct page *page);

/*
 * Reclaims `pages` pages charged to the group or below. Returns how many were freed; fewer: no more
 * can be. The caller holds no lock inside LOCK_PAGE.
 */
uint64_t try_to_free_pages(struct mem_cgroup *memcg, uint64_t pages);
/* The same for readahead (GFP_QUIET_RETRY): one pass that waits for nothing and spares what is in
 * use. */
uint64_t try_to_free_pages_once(struct mem_cgroup *memcg, uint64_t pages);
/* Evicts these pages (MADV_PAGEOUT), linked by lru, isolated by isolate_page() with a reference
 * each. Returns the number freed. */
uint64_t reclaim_pages(struct quire *quire, struct list_head *pages);
/* Takes one page off its list with a reference. False: it is on none. */
bool isolate_page(struct page *page);
void putback_page(struct page *page);

/* One round of background reclaim: from below the low watermark to the high one, groups near their
 * budgets too, writeback of old dirty pages. Pages freed. */
uint64_t balance_instance(struct quire *quire);

/*
 * Nothing can be reclaimed for a charge or an allocation: picks the mm with the largest resident
 * set within the group that is over its budget, marks it oom_killed, tells the instance's
 * events.oom, and returns it (no reference).
 */
struct mm_struct *out_of_memory(struct quire *quire, struct mem_cgroup *memcg);

#endif
