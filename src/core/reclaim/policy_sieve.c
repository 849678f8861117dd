/* SPDX-License-Identifier: MIT */
/*
 * SIEVE (Zhang and others, "SIEVE is Simpler than LRU", NSDI 2024): one queue, new pages at its
 * head, and a hand that moves from tail to head. A page at the hand that was visited loses its mark
 * and keeps its place; one that was not is evicted. So old pages in use stay where they are, and
 * new ones are soon looked at.
 *
 * Visited is PG_referenced (file calls) or an accessed bit, which the scanner harvests: it returns
 * such a page by putback, and the page takes its place behind the hand again.
 *
 * policy_data[type] is the page at the hand, NULL when the next scan starts at the tail. The queue
 * is lists[type][LRU_INACTIVE].
 */
#include "core/reclaim/lruvec.h"

static struct list_head *sieve_queue(struct lruvec *lruvec, enum lru_type type)
{
	return &lruvec->lists[type][LRU_INACTIVE];
}

static void sieve_add(struct lruvec *lruvec, struct page *page, bool refault)
{
	(void)refault;
	lruvec_add_page(lruvec, page);
}

/* The next newer page, or NULL behind the newest one. */
static struct page *sieve_newer(struct list_head *queue, struct page *page)
{
	struct page *newer = list_prev_entry(page, lru);

	return list_entry_is_head(newer, queue, lru) ? NULL : newer;
}

static void sieve_remove(struct lruvec *lruvec, struct page *page)
{
	const enum lru_type type = page_lru_type(page);

	if (lruvec->policy_data[type] == page)
		lruvec->policy_data[type] = sieve_newer(sieve_queue(lruvec, type), page);
	lruvec_del_page(lruvec, page);
}

/* To the hand itself: the next page it looks at. */
static void sieve_deactivate(struct lruvec *lruvec, struct page *page)
{
	const enum lru_type type = page_lru_type(page);
	struct page *hand;

	sieve_remove(lruvec, page);
	page_clear(page, PG_referenced);
	hand = lruvec->policy_data[type];
	if (!hand) {
		lruvec_add_page_tail(lruvec, page);
		return;
	}
	lruvec_add_page_before(lruvec, page, hand->lru.next);
	lruvec->policy_data[type] = page;
}

static uint32_t sieve_isolate(struct lruvec *lruvec, enum lru_type type, uint32_t nr,
			      struct list_head *out)
{
	struct list_head *queue = sieve_queue(lruvec, type);
	/* Twice round: the first time may only take marks away. */
	uint64_t steps = 2 * lruvec_size(lruvec, type, LRU_INACTIVE);
	uint32_t taken = 0;

	while (taken < nr && steps-- && !list_empty(queue)) {
		struct page *page = lruvec->policy_data[type];

		if (!page)
			page = list_last_entry(queue, struct page, lru);
		lruvec->policy_data[type] = sieve_newer(queue, page);
		if (page_test_and_clear(page, PG_referenced) || !get_page_unless_zero(page))
			continue;
		lruvec_del_page(lruvec, page);
		page_clear(page, PG_lru);
		list_add_tail(&page->lru, out);
		taken++;
	}
	return taken;
}

/* Right behind the hand, where it was when the hand passed; at the head when that had come to the
 * end. */
static void sieve_putback(struct lruvec *lruvec, struct page *page, bool referenced)
{
	struct page *hand = lruvec->policy_data[page_lru_type(page)];

	(void)referenced;
	if (hand)
		lruvec_add_page_before(lruvec, page, hand->lru.next);
	else
		lruvec_add_page(lruvec, page);
}

const struct reclaim_policy_ops policy_sieve = {
	.name = "sieve",
	.add = sieve_add,
	.remove = sieve_remove,
	.deactivate = sieve_deactivate,
	.isolate = sieve_isolate,
	.putback = sieve_putback,
};
