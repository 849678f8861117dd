/* SPDX-License-Identifier: MIT */
/*
 * The lists of pages: adding through per-thread batches, isolating, putting back, the unevictable
 * list, and what file calls and advice say about use.
 *
 *   charged -> batch (a reference) -> PG_lru on a list of page->memcg
 *      on a list: last reference gone -> lru_del_page()
 *                 isolate (a reference, PG_lru clear) -> evicted, or putback
 *                 PG_mlocked -> unevictable list, and back by munlock_page()
 */
#include "core/reclaim/lruvec.h"

#include "base/alloc.h"
#include "core/instance/instance.h"

#include <errno.h>

#define LRU_BATCH_PAGES 31

/* B = lock. */
struct lru_batch {
	struct spinlock lock; /* LOCK_LEAF */
	uint32_t count;       /* B */
	struct page *pages[LRU_BATCH_PAGES];
} QUIRE_CACHE_ALIGNED;

int reclaim_init(struct quire *quire)
{
	int error;

	quire->lru_batches =
		quire_zalloc_aligned(64, QUIRE_THREAD_SLOTS * sizeof(*quire->lru_batches));
	if (!quire->lru_batches)
		return -ENOMEM;
	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		spin_lock_init(&quire->lru_batches[slot].lock, LOCK_LEAF);
	error = charge_stocks_init(quire);
	if (error)
		goto free_batches;
	error = memcg_table_init(quire);
	if (error)
		goto free_stocks;
	return 0;

free_stocks:
	charge_stocks_destroy(quire);
free_batches:
	quire_free(quire->lru_batches);
	return error;
}

void reclaim_destroy(struct quire *quire)
{
	memcg_table_destroy(quire);
	charge_stocks_destroy(quire);
	quire_free(quire->lru_batches);
}

static void count_size(_Atomic uint64_t *size, int64_t pages)
{
	uint64_t old = atomic_load_explicit(size, memory_order_relaxed);

	atomic_store_explicit(size, old + (uint64_t)pages, memory_order_relaxed);
}

static _Atomic uint64_t *page_list_size(struct lruvec *lruvec, const struct page *page)
{
	return &lruvec->size[page_lru_type(page)][page_lru_list(page)];
}

static struct list_head *page_list(struct lruvec *lruvec, const struct page *page)
{
	return &lruvec->lists[page_lru_type(page)][page_lru_list(page)];
}

void lruvec_add_page_before(struct lruvec *lruvec, struct page *page, struct list_head *position)
{
	list_add_tail(&page->lru, position);
	count_size(page_list_size(lruvec, page), 1);
}

void lruvec_add_page(struct lruvec *lruvec, struct page *page)
{
	lruvec_add_page_before(lruvec, page, page_list(lruvec, page)->next);
}

void lruvec_add_page_tail(struct lruvec *lruvec, struct page *page)
{
	lruvec_add_page_before(lruvec, page, page_list(lruvec, page));
}

void lruvec_del_page(struct lruvec *lruvec, struct page *page)
{
	list_del(&page->lru);
	count_size(page_list_size(lruvec, page), -1);
}

void lruvec_age(struct lruvec *lruvec, uint64_t pages)
{
	for (struct mem_cgroup *memcg = lruvec->memcg; memcg; memcg = memcg->parent)
		atomic_fetch_add_explicit(&memcg->lruvec.nonresident_age, pages,
					  memory_order_relaxed);
}

/* Old cost counts half as soon as it is a quarter of the pages there are. */
static void note_cost_here(struct lruvec *lruvec, enum lru_type type, uint64_t pages)
{
	uint64_t size = lruvec_type_size(lruvec, LRU_ANON) + lruvec_type_size(lruvec, LRU_FILE);
	uint64_t anon, file;

	atomic_fetch_add_explicit(&lruvec->cost[type], pages, memory_order_relaxed);
	anon = atomic_load_explicit(&lruvec->cost[LRU_ANON], memory_order_relaxed);
	file = atomic_load_explicit(&lruvec->cost[LRU_FILE], memory_order_relaxed);
	if (anon + file > size / 4) {
		atomic_store_explicit(&lruvec->cost[LRU_ANON], anon / 2, memory_order_relaxed);
		atomic_store_explicit(&lruvec->cost[LRU_FILE], file / 2, memory_order_relaxed);
	}
}

void lruvec_note_cost(struct lruvec *lruvec, enum lru_type type, uint64_t pages)
{
	for (struct mem_cgroup *memcg = lruvec->memcg; memcg; memcg = memcg->parent)
		note_cost_here(&memcg->lruvec, type, pages);
}

struct lruvec *page_lruvec_lock(struct page *page)
{
	for (;;) {
		struct mem_cgroup *memcg = page_memcg(page);

		spin_lock(&memcg->lruvec.lru_lock);
		if (likely(page_memcg(page) == memcg))
			return &memcg->lruvec;
		spin_unlock(&memcg->lruvec.lru_lock);
	}
}

struct lruvec *page_lruvec_lock_online(struct page *page)
{
	for (;;) {
		struct lruvec *lruvec = page_lruvec_lock(page);
		struct mem_cgroup *memcg = lruvec->memcg;

		if (likely(!atomic_load_explicit(&memcg->offline, memory_order_relaxed)))
			return lruvec;
		memcg_move_charge(page, memcg->parent);
		lruvec_unlock(lruvec);
		memcg_drop_holds(memcg, 1);
	}
}

/* Under the lru_lock: the page, on no list, joins the unevictable one if it belongs there. */
static bool add_unevictable(struct lruvec *lruvec, struct page *page)
{
	if (likely(!page_test(page, PG_mlocked)))
		return false;
	page_set(page, PG_unevictable);
	list_add(&page->lru, &lruvec->unevictable);
	count_size(&lruvec->nr_unevictable, 1);
	return true;
}

static void del_unevictable(struct lruvec *lruvec, struct page *page)
{
	list_del(&page->lru);
	page_clear(page, PG_unevictable);
	count_size(&lruvec->nr_unevictable, -1);
}

static const struct reclaim_policy_ops *lruvec_policy(const struct lruvec *lruvec)
{
	return atomic_load_explicit(&lruvec->memcg->policy, memory_order_relaxed);
}

/* Under the lru_lock. */
static void lru_add_one(struct lruvec *lruvec, struct page *page)
{
	if (!page_test_and_set(page, PG_lru) && !add_unevictable(lruvec, page))
		lruvec_policy(lruvec)->add(lruvec, page, page_test(page, PG_workingset));
}

/* Under the lru_lock: a page that was taken off its list goes where PG_mlocked, which others may
 * have changed meanwhile, says now. */
static void lru_add_again(struct lruvec *lruvec, struct page *page)
{
	if (!add_unevictable(lruvec, page))
		lruvec_policy(lruvec)->add(lruvec, page, false);
}

/* Neighbours in a batch mostly belong to one group, whose lock is kept. */
void lru_add_pages(struct page **pages, uint32_t count)
{
	struct lruvec *lruvec = NULL;

	for (uint32_t i = 0; i < count; i++) {
		if (!lruvec || page_memcg(pages[i]) != lruvec->memcg) {
			if (lruvec)
				lruvec_unlock(lruvec);
			lruvec = page_lruvec_lock_online(pages[i]);
		}
		lru_add_one(lruvec, pages[i]);
	}
	if (lruvec)
		lruvec_unlock(lruvec);
}

static void drain_batch(struct quire *quire, struct lru_batch *batch)
{
	struct page *pages[LRU_BATCH_PAGES];
	uint32_t count;

	spin_lock(&batch->lock);
	count = batch->count;
	for (uint32_t i = 0; i < count; i++)
		pages[i] = batch->pages[i];
	batch->count = 0;
	spin_unlock(&batch->lock);
	lru_add_pages(pages, count);
	for (uint32_t i = 0; i < count; i++)
		put_page(quire, pages[i]);
}

void lru_add_page(struct quire *quire, struct page *page)
{
	struct lru_batch *batch = &quire->lru_batches[quire_thread_slot()];
	bool full;

	QUIRE_ASSERT(1, page_memcg(page) && !page_test(page, PG_lru));
	get_page(page);
	spin_lock(&batch->lock);
	while (unlikely(batch->count == LRU_BATCH_PAGES)) {
		/* Another thread of this slot was about to drain it. */
		spin_unlock(&batch->lock);
		drain_batch(quire, batch);
		spin_lock(&batch->lock);
	}
	batch->pages[batch->count++] = page;
	full = batch->count == LRU_BATCH_PAGES;
	spin_unlock(&batch->lock);
	if (unlikely(full))
		drain_batch(quire, batch);
}

void lru_add_drain(struct quire *quire)
{
	drain_batch(quire, &quire->lru_batches[quire_thread_slot()]);
}

void lru_add_drain_all(struct quire *quire)
{
	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		drain_batch(quire, &quire->lru_batches[slot]);
}

/* Under the lru_lock: off whatever list it is on. */
static void take_off_list(struct lruvec *lruvec, struct page *page)
{
	if (page_test(page, PG_unevictable))
		del_unevictable(lruvec, page);
	else
		lruvec_policy(lruvec)->remove(lruvec, page);
	page_clear(page, PG_lru);
}

void lru_del_page(struct page *page)
{
	struct lruvec *lruvec = page_lruvec_lock(page);

	if (page_test(page, PG_lru))
		take_off_list(lruvec, page);
	lruvec_unlock(lruvec);
}

void mark_page_accessed(struct page *page)
{
	struct lruvec *lruvec;

	if (!page_test(page, PG_referenced)) {
		page_set(page, PG_referenced);
		return;
	}
	if (!page_test(page, PG_lru) || page_test(page, PG_active) ||
	    page_test(page, PG_unevictable))
		return;
	/* A guess, as the group may have ended; its policy is that of its parent mostly. */
	if (!atomic_load_explicit(&page_memcg(page)->policy, memory_order_acquire)->accessed)
		return;
	lruvec = page_lruvec_lock(page);
	if (page_test(page, PG_lru) && !page_test(page, PG_unevictable) &&
	    lruvec_policy(lruvec)->accessed)
		lruvec_policy(lruvec)->accessed(lruvec, page);
	lruvec_unlock(lruvec);
}

void deactivate_page(struct quire *quire, struct page *page)
{
	struct lruvec *lruvec;

	(void)quire;
	lruvec = page_lruvec_lock(page);
	if (page_test(page, PG_lru) && !page_test(page, PG_unevictable))
		lruvec_policy(lruvec)->deactivate(lruvec, page);
	lruvec_unlock(lruvec);
}

void mark_page_lazyfree(struct quire *quire, struct page *page)
{
	struct lruvec *lruvec;

	(void)quire;
	lruvec = page_lruvec_lock(page);
	page_clear(page, PG_referenced);
	if (page_test(page, PG_lru) && !page_test(page, PG_unevictable)) {
		lruvec_policy(lruvec)->remove(lruvec, page);
		page_set(page, PG_lazyfree);
		lruvec_policy(lruvec)->add(lruvec, page, false);
	} else {
		page_set(page, PG_lazyfree);
	}
	lruvec_unlock(lruvec);
}

/* The flag first: whoever puts the page on a list meanwhile sees it, or is seen. */
void mlock_page(struct quire *quire, struct page *page)
{
	struct lruvec *lruvec;

	(void)quire;
	if (page_test_and_set(page, PG_mlocked) || !page_memcg(page))
		return;
	lruvec = page_lruvec_lock(page);
	if (page_test(page, PG_lru) && !page_test(page, PG_unevictable)) {
		lruvec_policy(lruvec)->remove(lruvec, page);
		lru_add_again(lruvec, page);
	}
	lruvec_unlock(lruvec);
}

void munlock_page(struct quire *quire, struct page *page)
{
	struct lruvec *lruvec;

	(void)quire;
	if (!page_test_and_clear(page, PG_mlocked) || !page_memcg(page))
		return;
	lruvec = page_lruvec_lock(page);
	if (page_test(page, PG_lru) && page_test(page, PG_unevictable)) {
		del_unevictable(lruvec, page);
		lru_add_again(lruvec, page);
	}
	lruvec_unlock(lruvec);
}

/* Pages whose locked mappings have gone, while others remain, still stand here: all go back, and
 * the next scan finds which are locked. */
void lru_rescue_unevictable(struct lruvec *lruvec)
{
	spin_lock(&lruvec->lru_lock);
	while (!list_empty(&lruvec->unevictable)) {
		struct page *page = list_last_entry(&lruvec->unevictable, struct page, lru);

		del_unevictable(lruvec, page);
		page_clear(page, PG_mlocked);
		lruvec_policy(lruvec)->add(lruvec, page, false);
	}
	spin_unlock(&lruvec->lru_lock);
}

void lruvec_count_isolated(struct lruvec *lruvec, uint64_t pages)
{
	atomic_fetch_add_explicit(&lruvec->nr_isolated, pages, memory_order_relaxed);
}

/* While it is on no list, nothing changes the group of the page. */
void page_end_isolation(struct page *page)
{
	atomic_fetch_sub_explicit(&page_memcg(page)->lruvec.nr_isolated, 1, memory_order_relaxed);
}

bool isolate_page(struct page *page)
{
	struct lruvec *lruvec;
	bool isolated = false;

	if (!page_memcg(page))
		return false;
	if (!page_test(page, PG_lru))
		lru_add_drain_all(page_memcg(page)->quire);
	lruvec = page_lruvec_lock(page);
	if (page_test(page, PG_lru) && !page_test(page, PG_unevictable) &&
	    get_page_unless_zero(page)) {
		take_off_list(lruvec, page);
		lruvec_count_isolated(lruvec, 1);
		isolated = true;
	}
	lruvec_unlock(lruvec);
	return isolated;
}

void lruvec_putback(struct page *page, enum putback_how how)
{
	const struct reclaim_policy_ops *policy;
	struct lruvec *lruvec;
	struct quire *quire;

	QUIRE_ASSERT(1, !page_test(page, PG_lru));
	page_end_isolation(page);
	lruvec = page_lruvec_lock_online(page);
	policy = lruvec_policy(lruvec);
	quire = lruvec->memcg->quire;
	page_set(page, PG_lru);
	if (!add_unevictable(lruvec, page)) {
		if (how == PUTBACK_ADD)
			policy->add(lruvec, page, false);
		else
			policy->putback(lruvec, page, how == PUTBACK_REFERENCED);
		if (how == PUTBACK_NEXT)
			policy->deactivate(lruvec, page);
	}
	lruvec_unlock(lruvec);
	put_page(quire, page);
}

void putback_page(struct page *page)
{
	lruvec_putback(page, PUTBACK_KEEP);
}

/* One page of the group with a reference, off its list; NULL: none is left but those being freed,
 * which leave by themselves. */
static struct page *take_any_page(struct lruvec *lruvec)
{
	struct list_head *heads[] = {
		&lruvec->lists[LRU_ANON][LRU_INACTIVE],
		&lruvec->lists[LRU_ANON][LRU_ACTIVE],
		&lruvec->lists[LRU_FILE][LRU_INACTIVE],
		&lruvec->lists[LRU_FILE][LRU_ACTIVE],
		&lruvec->unevictable,
	};
	struct page *page;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		list_for_each_entry_reverse (page, heads[i], lru) {
			if (!get_page_unless_zero(page))
				continue;
			take_off_list(lruvec, page);
			lruvec_count_isolated(lruvec, 1);
			return page;
		}
	}
	return NULL;
}

/* The group is offline: nothing joins its lists any more, and what is there moves up. */
void lru_reparent(struct mem_cgroup *memcg)
{
	struct lruvec *lruvec = &memcg->lruvec;
	struct page *page;

	lru_add_drain_all(memcg->quire);
	do {
		spin_lock(&lruvec->lru_lock);
		page = take_any_page(lruvec);
		spin_unlock(&lruvec->lru_lock);
		if (page)
			lruvec_putback(page, PUTBACK_ADD);
	} while (page);
}
