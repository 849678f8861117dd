/* SPDX-License-Identifier: MIT */
/*
 * Lists of pages: batches, isolation, the unevictable list, advice. And the numbers of
 * workingset.c, which compare with what these lists hold.
 */
#include "base/xarray.h"
#include "core/instance/test_instance.h"
#include "core/reclaim/lruvec.h"
#include "core/reclaim/workingset.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)4 << 20)

struct fixture {
	struct test_instance test;
	struct quire *quire;
	struct mem_cgroup *memcg;
	struct lruvec *lruvec;
};

static void begin(struct fixture *f)
{
	test_instance_create(&f->test, (struct quire_params){.memory = MEMORY});
	f->quire = f->test.quire;
	assert_int_equal(memcg_create(f->quire, NULL, "group", &policy_two_list, &f->memcg), 0);
	f->lruvec = &f->memcg->lruvec;
}

static void end(struct fixture *f)
{
	memcg_put(f->memcg);
	assert_int_equal(zone_nr_free(&f->quire->zone), f->test.frames_free);
	test_instance_destroy(&f->test);
}

static struct page *new_page(struct fixture *f, bool swapbacked)
{
	struct page *page = zone_alloc(&f->quire->zone, 0, GFP_NOWAIT);

	assert_non_null(page);
	if (swapbacked)
		page_set(page, PG_swapbacked);
	assert_int_equal(memcg_charge(f->quire, f->memcg, page, GFP_NOWAIT), 0);
	return page;
}

static struct page *listed_page(struct fixture *f, bool swapbacked)
{
	struct page *page = new_page(f, swapbacked);

	lru_add_page(f->quire, page);
	lru_add_drain(f->quire);
	assert_int_equal(page_count(page), 1);
	return page;
}

static uint64_t size(struct fixture *f, enum lru_type type, enum lru_list list)
{
	return lruvec_size(f->lruvec, type, list);
}

static void batches_hold_a_reference_until_drained(void **state)
{
	enum {
		PAGES = 40, /* more than one batch, less than two */
		LAST = PAGES - 1
	};
	struct fixture f;
	struct page *pages[PAGES];

	(void)state;
	begin(&f);
	for (int i = 0; i < PAGES; i++) {
		pages[i] = new_page(&f, i % 2);
		lru_add_page(f.quire, pages[i]);
	}
	/* The first full batch was drained, the rest waits. */
	assert_true(page_test(pages[0], PG_lru));
	assert_int_equal(page_count(pages[0]), 1);
	assert_false(page_test(pages[LAST], PG_lru));
	assert_int_equal(page_count(pages[LAST]), 2);
	lru_add_drain_all(f.quire);
	for (int i = 0; i < PAGES; i++) {
		assert_true(page_test(pages[i], PG_lru));
		assert_int_equal(page_count(pages[i]), 1);
	}
	assert_int_equal(size(&f, LRU_ANON, LRU_INACTIVE), PAGES / 2);
	assert_int_equal(size(&f, LRU_FILE, LRU_INACTIVE), PAGES / 2);
	/* Newest first. */
	assert_ptr_equal(
		list_first_entry(&f.lruvec->lists[LRU_ANON][LRU_INACTIVE], struct page, lru),
		pages[LAST]);
	assert_ptr_equal(
		list_last_entry(&f.lruvec->lists[LRU_ANON][LRU_INACTIVE], struct page, lru),
		pages[1]);
	for (int i = 0; i < PAGES; i++)
		put_page(f.quire, pages[i]);
	assert_int_equal(size(&f, LRU_ANON, LRU_INACTIVE), 0);
	assert_int_equal(size(&f, LRU_FILE, LRU_INACTIVE), 0);
	end(&f);
}

static void a_page_freed_in_a_batch_goes_when_it_is_drained(void **state)
{
	struct fixture f;
	struct page *page;
	uint64_t free;

	(void)state;
	begin(&f);
	page = new_page(&f, false);
	free = zone_nr_free(&f.quire->zone);
	lru_add_page(f.quire, page);
	put_page(f.quire, page);
	assert_int_equal(zone_nr_free(&f.quire->zone), free);
	lru_add_drain(f.quire);
	assert_int_equal(zone_nr_free(&f.quire->zone), free + 1);
	end(&f);
}

static void isolated_pages_are_on_no_list(void **state)
{
	struct fixture f;
	struct page *page;

	(void)state;
	begin(&f);
	page = new_page(&f, true);
	lru_add_page(f.quire, page);
	/* Still in the batch: isolation drains it. */
	assert_true(isolate_page(page));
	assert_false(page_test(page, PG_lru));
	assert_int_equal(page_count(page), 2);
	assert_int_equal(size(&f, LRU_ANON, LRU_INACTIVE), 0);
	assert_false(isolate_page(page));
	putback_page(page);
	assert_int_equal(page_count(page), 1);
	assert_int_equal(size(&f, LRU_ANON, LRU_INACTIVE), 1);
	assert_true(isolate_page(page));
	assert_int_equal(atomic_load(&f.lruvec->nr_isolated), 1);
	put_page(f.quire, page);
	putback_page(page);
	assert_int_equal(atomic_load(&f.lruvec->nr_isolated), 0);
	assert_int_equal(size(&f, LRU_ANON, LRU_INACTIVE), 0);
	end(&f);
}

static void locked_pages_are_unevictable(void **state)
{
	struct fixture f;
	struct page *page, *later;

	(void)state;
	begin(&f);
	page = listed_page(&f, true);
	mlock_page(f.quire, page);
	assert_true(page_test(page, PG_unevictable));
	assert_int_equal(size(&f, LRU_ANON, LRU_INACTIVE), 0);
	assert_int_equal(atomic_load(&f.lruvec->nr_unevictable), 1);
	assert_false(isolate_page(page));
	munlock_page(f.quire, page);
	assert_false(page_test(page, PG_unevictable));
	assert_int_equal(size(&f, LRU_ANON, LRU_INACTIVE), 1);
	assert_int_equal(atomic_load(&f.lruvec->nr_unevictable), 0);

	/* Locked before it reached a list, and while it is isolated. */
	later = new_page(&f, true);
	lru_add_page(f.quire, later);
	mlock_page(f.quire, later);
	lru_add_drain(f.quire);
	assert_true(page_test(later, PG_unevictable));
	assert_true(isolate_page(page));
	mlock_page(f.quire, page);
	assert_false(page_test(page, PG_unevictable));
	putback_page(page);
	assert_true(page_test(page, PG_unevictable));
	assert_int_equal(atomic_load(&f.lruvec->nr_unevictable), 2);
	lru_rescue_unevictable(f.lruvec);
	assert_int_equal(size(&f, LRU_ANON, LRU_INACTIVE), 2);
	mlock_page(f.quire, page);
	put_page(f.quire, page);
	put_page(f.quire, later);
	assert_int_equal(atomic_load(&f.lruvec->nr_unevictable), 0);
	end(&f);
}

static void two_uses_by_file_calls_activate(void **state)
{
	struct fixture f;
	struct page *page;

	(void)state;
	begin(&f);
	page = listed_page(&f, false);
	mark_page_accessed(page);
	assert_int_equal(size(&f, LRU_FILE, LRU_ACTIVE), 0);
	mark_page_accessed(page);
	assert_int_equal(size(&f, LRU_FILE, LRU_ACTIVE), 1);
	assert_int_equal(size(&f, LRU_FILE, LRU_INACTIVE), 0);
	deactivate_page(f.quire, page);
	assert_int_equal(size(&f, LRU_FILE, LRU_ACTIVE), 0);
	assert_int_equal(size(&f, LRU_FILE, LRU_INACTIVE), 1);
	assert_false(page_test(page, PG_referenced));
	put_page(f.quire, page);
	end(&f);
}

static void lazily_freed_pages_count_as_file_pages(void **state)
{
	struct fixture f;
	struct page *page;

	(void)state;
	begin(&f);
	page = listed_page(&f, true);
	mark_page_lazyfree(f.quire, page);
	assert_int_equal(size(&f, LRU_ANON, LRU_INACTIVE), 0);
	assert_int_equal(size(&f, LRU_FILE, LRU_INACTIVE), 1);
	put_page(f.quire, page);
	assert_int_equal(size(&f, LRU_FILE, LRU_INACTIVE), 0);
	end(&f);
}

static void *evict(struct fixture *f, struct page *page)
{
	void *shadow;

	lock_page(page);
	shadow = workingset_eviction(page);
	unlock_page(page);
	put_page(f->quire, page);
	assert_true(xa_is_value(shadow));
	return shadow;
}

static bool refault(struct fixture *f, void *shadow, struct page **page)
{
	bool within;

	*page = new_page(f, false);
	lock_page(*page);
	within = workingset_refault(*page, shadow);
	unlock_page(*page);
	assert_int_equal(page_test(*page, PG_workingset), within);
	return within;
}

/* Within the working set precisely as long as no more pages were evicted since than are active. */
static void refault_distance_is_compared_with_the_active_list(void **state)
{
	const uint64_t active = 5;
	struct fixture f;
	struct page *pages[5], *page;

	(void)state;
	begin(&f);
	for (uint64_t i = 0; i < active; i++) {
		pages[i] = listed_page(&f, false);
		mark_page_accessed(pages[i]);
		mark_page_accessed(pages[i]);
	}
	assert_int_equal(size(&f, LRU_FILE, LRU_ACTIVE), active);
	for (uint64_t others = 0; others < 10; others++) {
		void *shadow = evict(&f, listed_page(&f, false));
		bool within;

		for (uint64_t i = 0; i < others; i++)
			evict(&f, listed_page(&f, false));
		within = refault(&f, shadow, &page);
		/* Its own eviction counts too. */
		assert_int_equal(within, others + 1 <= active);
		lru_add_page(f.quire, page);
		lru_add_drain(f.quire);
		assert_int_equal(page_test(page, PG_active), within);
		put_page(f.quire, page);
	}
	assert_int_equal(stat_read(&f.quire->events, EVENT_REFAULT), 10);
	assert_int_equal(stat_read(&f.quire->events, EVENT_WORKINGSET), active);
	assert_int_equal(atomic_load(&f.lruvec->refaults[LRU_FILE]), 10);
	for (uint64_t i = 0; i < active; i++)
		put_page(f.quire, pages[i]);
	end(&f);
}

static void a_shadow_of_a_group_that_ended_means_nothing(void **state)
{
	struct fixture f;
	struct mem_cgroup *survivor;
	struct page *page;
	void *shadow;

	(void)state;
	begin(&f);
	assert_int_equal(memcg_create(f.quire, NULL, "survivor", &policy_two_list, &survivor), 0);
	shadow = evict(&f, listed_page(&f, false));
	memcg_put(f.memcg);
	f.memcg = survivor;
	assert_false(refault(&f, shadow, &page));
	put_page(f.quire, page);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_hold_a_reference_until_drained),
		cmocka_unit_test(a_page_freed_in_a_batch_goes_when_it_is_drained),
		cmocka_unit_test(isolated_pages_are_on_no_list),
		cmocka_unit_test(locked_pages_are_unevictable),
		cmocka_unit_test(two_uses_by_file_calls_activate),
		cmocka_unit_test(lazily_freed_pages_count_as_file_pages),
		cmocka_unit_test(refault_distance_is_compared_with_the_active_list),
		cmocka_unit_test(a_shadow_of_a_group_that_ended_means_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
