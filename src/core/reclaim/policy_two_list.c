/* SPDX-License-Identifier: MIT */
/*
 * Linux's active and inactive lists.
 *
 *   new -> inactive head ... tail -> evicted
 *   found in use at the tail, first time -> PG_referenced, inactive head (a second chance)
 *   found in use again, or back by refault within the working set -> active head
 *   active tail -> inactive head, with its accessed bits cleared, when the inactive list is low
 *
 * So a page that is used once passes through the inactive list only and cannot push out those that
 * proved to be in use.
 */
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/lruvec.h"
#include "core/rmap/rmap.h"

#define DEACTIVATE_BATCH 32
#define PAGES_PER_GIB ((uint64_t)1 << (30 - PAGE_SHIFT))

static void add_active(struct lruvec *lruvec, struct page *page)
{
	page_set(page, PG_active);
	page_clear(page, PG_referenced);
	lruvec_add_page(lruvec, page);
}

static void two_list_add(struct lruvec *lruvec, struct page *page, bool refault)
{
	if (refault)
		add_active(lruvec, page);
	else
		lruvec_add_page(lruvec, page);
}

static void two_list_remove(struct lruvec *lruvec, struct page *page)
{
	lruvec_del_page(lruvec, page);
	page_clear(page, PG_active);
}

static void two_list_accessed(struct lruvec *lruvec, struct page *page)
{
	if (page_test(page, PG_active))
		return;
	lruvec_del_page(lruvec, page);
	add_active(lruvec, page);
	lruvec_age(lruvec, 1);
}

static void two_list_deactivate(struct lruvec *lruvec, struct page *page)
{
	two_list_remove(lruvec, page);
	page_clear(page, PG_referenced);
	lruvec_add_page_tail(lruvec, page);
}

static uint32_t take_tail(struct lruvec *lruvec, struct list_head *list, uint32_t nr,
			  struct list_head *out)
{
	struct page *page = list_last_entry(list, struct page, lru);
	uint32_t taken = 0;

	while (taken < nr && !list_entry_is_head(page, list, lru)) {
		struct page *newer = list_prev_entry(page, lru);

		/* One whose last reference has gone is about to take itself off. */
		if (get_page_unless_zero(page)) {
			two_list_remove(lruvec, page);
			page_clear(page, PG_lru);
			list_add_tail(&page->lru, out);
			taken++;
		}
		page = newer;
	}
	return taken;
}

static uint32_t two_list_isolate(struct lruvec *lruvec, enum lru_type type, uint32_t nr,
				 struct list_head *out)
{
	return take_tail(lruvec, &lruvec->lists[type][LRU_INACTIVE], nr, out);
}

static void two_list_putback(struct lruvec *lruvec, struct page *page, bool referenced)
{
	if (referenced && page_test_and_set(page, PG_referenced)) {
		add_active(lruvec, page);
		lruvec_age(lruvec, 1);
	} else {
		lruvec_add_page(lruvec, page);
	}
}

/*
 * The inactive list must be long enough for pages to show that they are used, but the larger the
 * memory, the smaller the part that suffices: the square root of ten times its size in GiB is the
 * proportion, as on Linux.
 */
static bool inactive_is_low(const struct lruvec *lruvec, enum lru_type type)
{
	const uint64_t inactive = lruvec_size(lruvec, type, LRU_INACTIVE);
	const uint64_t active = lruvec_size(lruvec, type, LRU_ACTIVE);
	const uint64_t tens_of_gib = 10 * (inactive + active) / PAGES_PER_GIB;
	uint64_t ratio = 1;

	while ((ratio + 1) * (ratio + 1) <= tens_of_gib)
		ratio++;
	return inactive * ratio < active;
}

/* Program text that is in use is worth more than data: it stays active. */
static bool keep_active(struct page *page, struct revoke_batch *batch)
{
	uint64_t vm_flags = 0;
	bool keep;

	if (!trylock_page(page))
		return false;
	keep = page_referenced(page, &vm_flags, batch) && (vm_flags & VM_EXEC) &&
	       page_mapping(page);
	unlock_page(page);
	swap_cache_release(page_memcg(page)->quire, page);
	return keep;
}

static void two_list_balance(struct lruvec *lruvec, enum lru_type type)
{
	struct revoke_batch batch;
	struct list_head pages;

	if (!inactive_is_low(lruvec, type))
		return;
	list_init(&pages);
	revoke_batch_init(&batch);
	lruvec_count_isolated(lruvec, take_tail(lruvec, &lruvec->lists[type][LRU_ACTIVE],
						DEACTIVATE_BATCH, &pages));
	spin_unlock(&lruvec->lru_lock);
	while (!list_empty(&pages)) {
		struct page *page = list_first_entry(&pages, struct page, lru);
		bool keep = keep_active(page, &batch);

		list_del(&page->lru);
		page_clear(page, PG_referenced);
		if (keep)
			page_set(page, PG_referenced);
		lruvec_putback(page, keep ? PUTBACK_REFERENCED : PUTBACK_KEEP);
	}
	revoke_batch_flush(&batch);
	spin_lock(&lruvec->lru_lock);
}

const struct reclaim_policy_ops policy_two_list = {
	.name = "two-list",
	.add = two_list_add,
	.remove = two_list_remove,
	.accessed = two_list_accessed,
	.deactivate = two_list_deactivate,
	.isolate = two_list_isolate,
	.putback = two_list_putback,
	.balance = two_list_balance,
};
