/* SPDX-License-Identifier: MIT */
/*
 * Waiting on bits of page->flags: the page lock and the end of writeback.
 *
 * A waiter sets PG_waiters in the very value that it parks on, so whoever clears the bit sees it
 * and wakes all; those who still find their bit set mark the word again. struct page outlives the
 * page's use, so waking after the release touches no freed memory.
 */
#include "core/frame/page.h"

#include "base/lock.h"

#define SPINS_BEFORE_PARK 16

/* Clears bits and wakes those who wait on the word. */
static void clear_and_wake(struct page *page, uint32_t bits)
{
	uint32_t old = atomic_fetch_and_explicit(&page->flags, ~(bits | (1u << PG_waiters)),
						 memory_order_acq_rel);

	if (unlikely(old & (1u << PG_waiters)))
		quire_unpark(&page->flags, UINT32_MAX);
}

/* Waits for a moment in which the bit is clear. */
static void wait_on_bit(struct page *page, uint32_t bit)
{
	for (uint32_t spins = 0;; spins++) {
		uint32_t flags = atomic_load_explicit(&page->flags, memory_order_acquire);

		if (!(flags & bit))
			return;
		if (spins < SPINS_BEFORE_PARK) {
			quire_relax(spins);
			continue;
		}

		uint32_t marked = flags | (1u << PG_waiters);

		if (flags == marked || atomic_compare_exchange_strong_explicit(
					       &page->flags, &flags, marked, memory_order_acq_rel,
					       memory_order_relaxed))
			quire_park(&page->flags, marked);
	}
}

bool trylock_page(struct page *page)
{
	if (page_test_and_set(page, PG_locked))
		return false;
	lock_rank_note(LOCK_PAGE, LOCK_RANK_TRY);
	return true;
}

void lock_page(struct page *page)
{
	/* Nested: several pages of one file are locked in ascending order. */
	lock_rank_note(LOCK_PAGE, LOCK_RANK_NESTED);
	while (unlikely(page_test_and_set(page, PG_locked)))
		wait_on_bit(page, 1u << PG_locked);
}

void unlock_page(struct page *page)
{
	lock_rank_release(LOCK_PAGE);
	unlock_page_disowned(page);
}

void disown_page_lock(struct page *page)
{
	QUIRE_ASSERT(1, page_locked(page));
	lock_rank_release(LOCK_PAGE);
}

void unlock_page_disowned(struct page *page)
{
	QUIRE_ASSERT(1, page_locked(page));
	clear_and_wake(page, 1u << PG_locked);
}

void wait_on_page_writeback(struct page *page)
{
	wait_on_bit(page, 1u << PG_writeback);
}

void end_page_writeback_flag(struct page *page)
{
	QUIRE_ASSERT(1, page_test(page, PG_writeback));
	clear_and_wake(page, 1u << PG_writeback);
}
