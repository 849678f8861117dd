/* SPDX-License-Identifier: MIT */
/*
 * Moving pages on and off the lists of a group: shared by lru.c, the scanner and the policies.
 *
 * Which list a page is on follows from its flags: PG_unevictable, else PG_swapbacked and
 * PG_lazyfree give the type and PG_active the list. So while PG_lru is set these flags change only
 * together with the list, under the lru_lock.
 */
#ifndef QUIRE_CORE_RECLAIM_LRUVEC_H
#define QUIRE_CORE_RECLAIM_LRUVEC_H

#include "core/reclaim/vmscan.h"

static inline struct mem_cgroup *page_memcg(const struct page *page)
{
	return atomic_load_explicit(&page->memcg, memory_order_acquire);
}

/* Anonymous pages without contents worth keeping are reclaimed like clean file pages. */
static inline enum lru_type page_lru_type(const struct page *page)
{
	return page_test(page, PG_swapbacked) && !page_test(page, PG_lazyfree) ? LRU_ANON
									       : LRU_FILE;
}

static inline enum lru_list page_lru_list(const struct page *page)
{
	return page_test(page, PG_active) ? LRU_ACTIVE : LRU_INACTIVE;
}

static inline uint64_t lruvec_size(const struct lruvec *lruvec, enum lru_type type,
				   enum lru_list list)
{
	return atomic_load_explicit(&lruvec->size[type][list], memory_order_relaxed);
}

static inline uint64_t lruvec_type_size(const struct lruvec *lruvec, enum lru_type type)
{
	return lruvec_size(lruvec, type, LRU_INACTIVE) + lruvec_size(lruvec, type, LRU_ACTIVE);
}

/* Under the lru_lock: the page goes in front of `position` on the list of its type and PG_active,
 * or to the head or tail of that list. */
void lruvec_add_page_before(struct lruvec *lruvec, struct page *page, struct list_head *position);
void lruvec_add_page(struct lruvec *lruvec, struct page *page);
void lruvec_add_page_tail(struct lruvec *lruvec, struct page *page);
void lruvec_del_page(struct lruvec *lruvec, struct page *page);

/* The clock of refault distances moves on, here and in all ancestors. */
void lruvec_age(struct lruvec *lruvec, uint64_t pages);
/* Evicting pages of this type turned out to cost so much: here and in all ancestors. */
void lruvec_note_cost(struct lruvec *lruvec, enum lru_type type, uint64_t pages);

/* The lists of the page's group, locked. The page is charged and the caller has a reference, or is
 * the last to have had one. */
struct lruvec *page_lruvec_lock(struct page *page);
/* The same for a page on no list that is about to be added: never those of a group that is offline.
 */
struct lruvec *page_lruvec_lock_online(struct page *page);
static inline void lruvec_unlock(struct lruvec *lruvec)
{
	spin_unlock(&lruvec->lru_lock);
}

/* Under the lru_lock: so many pages were taken off the lists, each with a reference. */
void lruvec_count_isolated(struct lruvec *lruvec, uint64_t pages);
/* An isolated page is about to be put back or freed. */
void page_end_isolation(struct page *page);

/* How an isolated page goes back to the lists. */
enum putback_how {
	PUTBACK_KEEP,       /* not evicted, for a reason other than use */
	PUTBACK_REFERENCED, /* in use */
	PUTBACK_NEXT,       /* to be looked at first: its writeback is under way */
	PUTBACK_ADD         /* as if it were new */
};
/* Puts the page back and drops the reference of its isolation. */
void lruvec_putback(struct page *page, enum putback_how how);

/* memcg.c */
int memcg_table_init(struct quire *quire);
void memcg_table_destroy(struct quire *quire);
/* memcg_charge.c */
int charge_stocks_init(struct quire *quire);
void charge_stocks_destroy(struct quire *quire);
/* Pages that change from one group to another below the same ancestors: `from` goes on to its end.
 */
void memcg_move_charge(struct page *page, struct mem_cgroup *to);
/* Something charged to the group is gone: the last one frees it. */
void memcg_drop_holds(struct mem_cgroup *memcg, uint64_t holds);
/* lru.c */
void lru_reparent(struct mem_cgroup *memcg);
void lru_rescue_unevictable(struct lruvec *lruvec);

#endif
