/* SPDX-License-Identifier: MIT */
/*
 * memcg_validate(): lists, flags of pages and counts of every group.
 */
#include "core/reclaim/memcg.h"

#include "base/check.h"
#include "core/instance/instance.h"
#include "core/reclaim/lruvec.h"

/* Every flag that a listed page must or must not have, by the list it is on. */
static void validate_page(const struct mem_cgroup *memcg, const struct page *page,
			  struct check_report *report)
{
	CHECK_THAT(report, page_memcg(page) == memcg,
		   "a page on a list of group %s is charged elsewhere", memcg->name);
	CHECK_THAT(report, page_test(page, PG_lru), "a page on a list of group %s lacks PG_lru",
		   memcg->name);
	CHECK_THAT(report, page_count(page) > 0, "a free page is on a list of group %s",
		   memcg->name);
}

static uint64_t validate_list(const struct mem_cgroup *memcg, enum lru_type type,
			      enum lru_list list, struct check_report *report)
{
	const struct list_head *head = &memcg->lruvec.lists[type][list];
	const struct page *page;
	uint64_t count = 0;

	list_for_each_entry (page, head, lru) {
		validate_page(memcg, page, report);
		CHECK_THAT(report,
			   page_lru_type(page) == type && page_lru_list(page) == list &&
				   !page_test(page, PG_unevictable),
			   "a page of group %s is on another list than its flags say", memcg->name);
		count++;
	}
	CHECK_THAT(report, count == lruvec_size(&memcg->lruvec, type, list),
		   "group %s counts %llu pages on a list of %llu", memcg->name,
		   (unsigned long long)lruvec_size(&memcg->lruvec, type, list),
		   (unsigned long long)count);
	return count;
}

static uint64_t validate_unevictable(const struct mem_cgroup *memcg, struct check_report *report)
{
	const struct lruvec *lruvec = &memcg->lruvec;
	const uint64_t expected =
		atomic_load_explicit(&lruvec->nr_unevictable, memory_order_relaxed);
	const struct page *page;
	uint64_t count = 0;

	list_for_each_entry (page, &lruvec->unevictable, lru) {
		validate_page(memcg, page, report);
		CHECK_THAT(report, page_test(page, PG_unevictable),
			   "an unevictable page of group %s lacks the flag", memcg->name);
		count++;
	}
	CHECK_THAT(report, count == expected, "group %s counts %llu unevictable pages of %llu",
		   memcg->name, (unsigned long long)expected, (unsigned long long)count);
	return count;
}

static uint64_t children_usage(struct mem_cgroup *memcg, uint64_t *swap)
{
	struct mem_cgroup *child;
	uint64_t usage = 0;

	*swap = 0;
	spin_lock(&memcg->quire->group_lock);
	list_for_each_entry (child, &memcg->children, sibling) {
		usage += memcg_usage(child);
		*swap += atomic_load_explicit(&child->swap_usage, memory_order_relaxed);
	}
	spin_unlock(&memcg->quire->group_lock);
	return usage;
}

static void validate_counts(struct mem_cgroup *memcg, uint64_t listed, struct check_report *report)
{
	const uint64_t pages = atomic_load_explicit(&memcg->pages, memory_order_relaxed);
	const uint64_t slots = atomic_load_explicit(&memcg->swap_slots, memory_order_relaxed);
	const uint64_t swap = atomic_load_explicit(&memcg->swap_usage, memory_order_relaxed);
	const uint64_t holds = atomic_load_explicit(&memcg->holds, memory_order_relaxed);
	uint64_t swap_below;
	const uint64_t usage_below = children_usage(memcg, &swap_below);

	CHECK_THAT(report, pages == listed, "group %s is charged for %llu pages, but lists %llu",
		   memcg->name, (unsigned long long)pages, (unsigned long long)listed);
	CHECK_THAT(report, memcg_usage(memcg) == pages + usage_below,
		   "group %s uses %llu pages, but has %llu and those below %llu", memcg->name,
		   (unsigned long long)memcg_usage(memcg), (unsigned long long)pages,
		   (unsigned long long)usage_below);
	CHECK_THAT(report, holds == pages + slots + 1,
		   "group %s is held %llu times by %llu pages and %llu slots", memcg->name,
		   (unsigned long long)holds, (unsigned long long)pages, (unsigned long long)slots);
	/* Slots of groups that are gone count in their ancestors only. */
	CHECK_THAT(report, swap >= slots + swap_below,
		   "group %s uses %llu slots, but has %llu and those below %llu", memcg->name,
		   (unsigned long long)swap, (unsigned long long)slots,
		   (unsigned long long)swap_below);
}

void memcg_validate(struct mem_cgroup *root, struct check_report *report)
{
	struct mem_cgroup *memcg;

	lru_add_drain_all(root->quire);
	memcg_drain_stocks(root->quire);
	for (memcg = memcg_iter(root, NULL); memcg; memcg = memcg_iter(root, memcg)) {
		uint64_t listed;

		spin_lock(&memcg->lruvec.lru_lock);
		listed = validate_unevictable(memcg, report);
		for (int type = 0; type < LRU_TYPES; type++)
			for (int list = 0; list < LRU_LISTS; list++)
				listed += validate_list(memcg, (enum lru_type)type,
							(enum lru_list)list, report);
		spin_unlock(&memcg->lruvec.lru_lock);
		validate_counts(memcg, listed, report);
	}
}
