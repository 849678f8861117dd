/* SPDX-License-Identifier: MIT */
/*
 * Charging pages: fast from a stock of the thread slot, else from the group and all its ancestors,
 * after reclaim when one of them is full.
 *
 * Invariant: usage of a group = pages charged to it (with those in stocks) + usage of its children,
 * and never grows beyond max. It stands above max only after max was lowered.
 */
#include "core/reclaim/memcg.h"

#include "base/alloc.h"
#include "core/instance/instance.h"
#include "core/reclaim/lruvec.h"

#include <errno.h>

#define CHARGE_RECLAIM 32
/* Reclaim that freed nothing, before a charge is refused: others may hold pages for a moment. */
#define CHARGE_RETRIES 4
/* The owner is told when less than this part of a budget is left. */
#define PRESSURE_FRACTION 16

/* B = lock. */
struct charge_stock {
	struct spinlock lock;     /* LOCK_LEAF */
	struct mem_cgroup *memcg; /* B: NULL when empty */
	uint32_t pages;           /* B */
} QUIRE_CACHE_ALIGNED;

int charge_stocks_init(struct quire *quire)
{
	quire->charge_stocks =
		quire_zalloc_aligned(64, QUIRE_THREAD_SLOTS * sizeof(*quire->charge_stocks));
	if (!quire->charge_stocks)
		return -ENOMEM;
	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		spin_lock_init(&quire->charge_stocks[slot].lock, LOCK_LEAF);
	return 0;
}

void charge_stocks_destroy(struct quire *quire)
{
	quire_free(quire->charge_stocks);
}

uint64_t memcg_usage(const struct mem_cgroup *memcg)
{
	return atomic_load_explicit(&memcg->usage, memory_order_relaxed);
}

static uint64_t memcg_max(const struct mem_cgroup *memcg)
{
	return atomic_load_explicit(&memcg->max, memory_order_relaxed);
}

static void note_peak(struct mem_cgroup *memcg, uint64_t usage)
{
	uint64_t peak = atomic_load_explicit(&memcg->peak, memory_order_relaxed);

	while (usage > peak &&
	       !atomic_compare_exchange_weak_explicit(&memcg->peak, &peak, usage,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

static bool usage_add(struct mem_cgroup *memcg, uint64_t pages)
{
	const uint64_t max = memcg_max(memcg);
	uint64_t usage = atomic_load_explicit(&memcg->usage, memory_order_relaxed);

	do {
		if (usage + pages > max)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&memcg->usage, &usage, usage + pages, memory_order_relaxed, memory_order_relaxed));
	note_peak(memcg, usage + pages);
	return true;
}

/* From `memcg` up to, but without, `stop`. */
static void usage_sub(struct mem_cgroup *memcg, const struct mem_cgroup *stop, uint64_t pages)
{
	for (; memcg != stop; memcg = memcg->parent)
		atomic_fetch_sub_explicit(&memcg->usage, pages, memory_order_relaxed);
}

static bool try_charge(struct mem_cgroup *memcg, uint64_t pages)
{
	for (struct mem_cgroup *level = memcg; level; level = level->parent) {
		if (!usage_add(level, pages)) {
			usage_sub(memcg, level, pages);
			return false;
		}
	}
	atomic_fetch_add_explicit(&memcg->pages, pages, memory_order_relaxed);
	atomic_fetch_add_explicit(&memcg->holds, pages, memory_order_relaxed);
	return true;
}

/* The pages of stock or page are free; this may free the group. */
static void cancel_charge(struct mem_cgroup *memcg, uint64_t pages)
{
	usage_sub(memcg, NULL, pages);
	atomic_fetch_sub_explicit(&memcg->pages, pages, memory_order_relaxed);
	memcg_drop_holds(memcg, pages);
}

struct mem_cgroup *memcg_over_budget(struct mem_cgroup *memcg, uint64_t pages)
{
	struct mem_cgroup *highest = NULL;

	for (; memcg; memcg = memcg->parent)
		if (memcg_usage(memcg) + pages > memcg_max(memcg))
			highest = memcg;
	return highest;
}

static void drain_stock(struct charge_stock *stock)
{
	struct mem_cgroup *memcg;
	uint32_t pages;

	spin_lock(&stock->lock);
	memcg = stock->memcg;
	pages = stock->pages;
	stock->memcg = NULL;
	stock->pages = 0;
	spin_unlock(&stock->lock);
	if (pages)
		cancel_charge(memcg, pages);
}

void memcg_drain_stocks(struct quire *quire)
{
	for (uint32_t slot = 0; slot < QUIRE_THREAD_SLOTS; slot++)
		drain_stock(&quire->charge_stocks[slot]);
}

static struct charge_stock *this_stock(struct quire *quire)
{
	return &quire->charge_stocks[quire_thread_slot()];
}

static bool consume_stock(struct quire *quire, const struct mem_cgroup *memcg)
{
	struct charge_stock *stock = this_stock(quire);
	bool consumed;

	spin_lock(&stock->lock);
	consumed = stock->memcg == memcg && stock->pages;
	if (consumed)
		stock->pages--;
	spin_unlock(&stock->lock);
	return consumed;
}

/* What was charged beyond the page asked for stays with the thread. */
static void refill_stock(struct quire *quire, struct mem_cgroup *memcg, uint32_t pages)
{
	struct charge_stock *stock = this_stock(quire);
	struct mem_cgroup *displaced = NULL;
	uint32_t displaced_pages = 0;

	spin_lock(&stock->lock);
	if (stock->memcg != memcg) {
		displaced = stock->memcg;
		displaced_pages = stock->pages;
		stock->pages = 0;
	}
	stock->memcg = memcg;
	stock->pages += pages;
	spin_unlock(&stock->lock);
	if (displaced_pages)
		cancel_charge(displaced, displaced_pages);
}

/* Usage from which on the end of the budget is near. */
static uint64_t budget_mark(const struct mem_cgroup *memcg)
{
	const uint64_t max = memcg_max(memcg);

	return max == MEMCG_UNLIMITED ? max : max - max / PRESSURE_FRACTION;
}

static bool near_budget(const struct mem_cgroup *memcg)
{
	for (; memcg; memcg = memcg->parent)
		if (memcg_usage(memcg) > budget_mark(memcg))
			return true;
	return false;
}

/* Pages that can be charged until any budget is at its end, or near it. */
static uint64_t budget_room(const struct mem_cgroup *memcg, bool near)
{
	uint64_t room = UINT64_MAX;

	for (; memcg; memcg = memcg->parent) {
		const uint64_t mark = near ? budget_mark(memcg) : memcg_max(memcg);
		const uint64_t usage = memcg_usage(memcg);

		room = usage > mark ? 0 : min_u64(room, mark - usage);
	}
	return room;
}

static bool charge_without_reclaim(struct quire *quire, struct mem_cgroup *memcg)
{
	if (try_charge(memcg, CHARGE_BATCH)) {
		refill_stock(quire, memcg, CHARGE_BATCH - 1);
		return true;
	}
	if (try_charge(memcg, 1))
		return true;
	memcg_drain_stocks(quire);
	return try_charge(memcg, 1);
}

static int charge_slow(struct quire *quire, struct mem_cgroup *memcg, uint32_t gfp)
{
	uint32_t retries = gfp & GFP_RECLAIM ? 0 : CHARGE_RETRIES + 1;

	while (!charge_without_reclaim(quire, memcg)) {
		struct mem_cgroup *over = memcg_over_budget(memcg, 1);

		if (retries > CHARGE_RETRIES) {
			atomic_fetch_add_explicit(&memcg->failures, 1, memory_order_relaxed);
			return -ENOMEM;
		}
		if (gfp & GFP_QUIET_RETRY) {
			if (over)
				try_to_free_pages_once(over, CHARGE_RECLAIM);
			retries = CHARGE_RETRIES + 1;
		} else if (over && !try_to_free_pages(over, CHARGE_RECLAIM)) {
			quire_relax(retries++);
		}
	}
	if (quire->params.events.pressure && near_budget(memcg))
		quire->params.events.pressure(quire->params.events.context);
	return 0;
}

int memcg_charge(struct quire *quire, struct mem_cgroup *memcg, struct page *page, uint32_t gfp)
{
	if (!memcg)
		memcg = quire->root_memcg;
	QUIRE_ASSERT(1, !page_memcg(page));
	if (unlikely(!consume_stock(quire, memcg))) {
		int error = charge_slow(quire, memcg, gfp);

		if (error)
			return error;
	}
	atomic_store_explicit(&page->memcg, memcg, memory_order_release);
	return 0;
}

uint32_t memcg_charge_ahead(struct mem_cgroup *memcg, struct page **pages, uint32_t n, bool spare)
{
	n = (uint32_t)min_u64(n, budget_room(memcg, spare));
	if (!n || !try_charge(memcg, n))
		return 0;
	for (uint32_t i = 0; i < n; i++)
		atomic_store_explicit(&pages[i]->memcg, memcg, memory_order_release);
	return n;
}

/* Into the stock while that is of the same group, so that a run of them costs little. */
void memcg_uncharge(struct page *page)
{
	struct mem_cgroup *memcg = page_memcg(page);
	struct charge_stock *stock = this_stock(memcg->quire);
	uint32_t cancel = 1;

	atomic_store_explicit(&page->memcg, NULL, memory_order_release);
	spin_lock(&stock->lock);
	if (stock->memcg == memcg) {
		cancel = 0;
		if (++stock->pages > 2 * CHARGE_BATCH) {
			cancel = CHARGE_BATCH;
			stock->pages -= CHARGE_BATCH;
		}
	}
	spin_unlock(&stock->lock);
	if (cancel)
		cancel_charge(memcg, cancel);
}

void memcg_move_charge(struct page *page, struct mem_cgroup *to)
{
	struct mem_cgroup *from = page_memcg(page);

	QUIRE_ASSERT(1, from->parent == to);
	atomic_fetch_add_explicit(&to->pages, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&to->holds, 1, memory_order_relaxed);
	atomic_store_explicit(&page->memcg, to, memory_order_release);
	atomic_fetch_sub_explicit(&from->usage, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&from->pages, 1, memory_order_relaxed);
}

void memcg_charge_swap(struct mem_cgroup *memcg)
{
	atomic_fetch_add_explicit(&memcg->holds, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&memcg->swap_slots, 1, memory_order_relaxed);
	for (struct mem_cgroup *level = memcg; level; level = level->parent)
		atomic_fetch_add_explicit(&level->swap_usage, 1, memory_order_relaxed);
}

void memcg_uncharge_swap(struct mem_cgroup *memcg)
{
	atomic_fetch_sub_explicit(&memcg->swap_slots, 1, memory_order_relaxed);
	for (struct mem_cgroup *level = memcg; level; level = level->parent)
		atomic_fetch_sub_explicit(&level->swap_usage, 1, memory_order_relaxed);
	memcg_drop_holds(memcg, 1);
}
