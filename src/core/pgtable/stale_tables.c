/* SPDX-License-Identifier: MIT */
/*
 * The list of stale page tables (stale_tables.h), and when it is cleared: at a bound, when frames
 * run out, and at the end of the instance.
 */
#include "core/pgtable/stale_tables.h"

#include "core/frame/frame.h"
#include "core/instance/instance.h"

#define STALE_TABLES_MIN 16
#define STALE_TABLES_MAX 256
/* At most this part of the memory. */
#define STALE_TABLES_FRACTION 64

void stale_tables_init(struct quire *quire)
{
	spin_lock_init(&quire->stale_tables.lock, LOCK_LEAF);
	list_init(&quire->stale_tables.pages);
}

static uint64_t stale_tables_bound(const struct quire *quire)
{
	const uint64_t part = quire->zone.nr_frames / STALE_TABLES_FRACTION;

	return min_u64(STALE_TABLES_MAX, max_u64(STALE_TABLES_MIN, part));
}

void table_put(struct quire *quire, struct page *table)
{
	struct stale_tables *stale = &quire->stale_tables;
	uint64_t count;

	if (!quire->machine->ops->forget_tables) {
		put_page(quire, table);
		return;
	}
	spin_lock(&stale->lock);
	list_add_tail(&table->lru, &stale->pages);
	count = atomic_load_explicit(&stale->count, memory_order_relaxed) + 1;
	atomic_store_explicit(&stale->count, count, memory_order_relaxed);
	spin_unlock(&stale->lock);
	if (count >= stale_tables_bound(quire))
		forget_stale_tables(quire);
}

uint64_t forget_stale_tables(struct quire *quire)
{
	struct stale_tables *stale = &quire->stale_tables;
	struct page *page, *next;
	struct list_head pages;
	uint64_t count;

	if (!atomic_load_explicit(&stale->count, memory_order_relaxed))
		return 0;
	list_init(&pages);
	spin_lock(&stale->lock);
	list_splice_tail_init(&stale->pages, &pages);
	count = atomic_load_explicit(&stale->count, memory_order_relaxed);
	atomic_store_explicit(&stale->count, 0, memory_order_relaxed);
	spin_unlock(&stale->lock);
	if (!count)
		return 0;
	quire->machine->ops->forget_tables(quire->machine);
	list_for_each_entry_safe (page, next, &pages, lru)
		put_page(quire, page);
	return count;
}
