/* SPDX-License-Identifier: MIT */
/*
 * Faults of private pages that are shared by forks or swapped out: who copies, who takes over, and
 * what failing swap does.
 */
#include "core/fault/fault_fixture_test.h"

static quire_mm *fork_of(quire_mm *mm)
{
	quire_mm *child;

	assert_ok(quire_fork(mm, "child", &child));
	return child;
}

static void test_copy_on_either_side(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;
	struct page *page;

	map_anon(f, 0, 2);
	store_pages(f, 0, 2, 1);
	page = page_of(f->mm, 0);
	child = fork_of(f->mm);
	assert_ptr_equal(page_of(child, 0), page);
	assert_int_equal(page_mapcount(page), 2);
	assert_false(page_test(page, PG_anon_exclusive));
	assert_false(pte_at(f->mm, 0) & PTE_WRITE);

	assert_int_equal(store(f, 0, 10), 0);
	assert_int_equal(load_in(child, 0), 1);
	assert_int_equal(store_in(child, 1, 20), 0);
	assert_int_equal(load(f, 1), 2);
	assert_int_equal(load_in(child, 1), 20);
	assert_int_equal(event(f, EVENT_COW_COPY), 2);
	assert_int_equal(page_mapcount(page), 1);
	quire_mm_exit(child);
	assert_pages(f, 1, 1, 2);
}

/* When the other side is gone, what is left writes in place. */
static void test_reuse_without_copy(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;
	struct page *pages[2];
	uint64_t frames;

	map_anon(f, 0, 2);
	store_pages(f, 0, 2, 1);
	pages[0] = page_of(f->mm, 0);
	pages[1] = page_of(f->mm, 1);
	child = fork_of(f->mm);
	assert_int_equal(store_in(child, 0, 9),
			 0); /* the child's own; the parent keeps the first */
	quire_mm_exit(child);
	frames = frames_free(f);
	assert_int_equal(event(f, EVENT_COW_COPY), 1);
	assert_int_equal(store(f, 0, 11), 0);
	assert_int_equal(store(f, 1, 12), 0);
	assert_ptr_equal(page_of(f->mm, 0), pages[0]);
	assert_ptr_equal(page_of(f->mm, 1), pages[1]);
	assert_int_equal(event(f, EVENT_COW_COPY), 1);
	assert_int_equal(event(f, EVENT_COW_REUSE), 2);
	assert_int_equal(frames_free(f), frames);
	assert_true(page_test(pages[0], PG_anon_exclusive));
}

/* The child is the last one: the page is its own from then on. */
static void test_child_inherits(void **state)
{
	struct fixture *f = *state;
	struct page *page;
	quire_mm *child;

	map_anon(f, 0, 1);
	assert_int_equal(store(f, 0, 1), 0);
	page = page_of(f->mm, 0);
	child = fork_of(f->mm);
	quire_mm_exit(f->mm);
	f->mm = child;
	assert_int_equal(store(f, 0, 2), 0);
	assert_ptr_equal(page_of(f->mm, 0), page);
	assert_ptr_equal(page_anon_vma(page), atomic_load(&vma_lookup(child, AT(0))->anon_vma));
	test_instance_check(&f->instance);
	evict_all(f);
	assert_int_equal(load(f, 0), 2);
}

static void test_generations(void **state)
{
	struct fixture *f = *state;
	quire_mm *mms[5] = {f->mm};

	map_anon(f, 0, 5);
	store_pages(f, 0, 5, 1);
	for (int i = 1; i < 5; i++) {
		mms[i] = fork_of(mms[i - 1]);
		assert_int_equal(store_in(mms[i], (uint64_t)i, (uint8_t)(100 + i)), 0);
	}
	assert_ptr_equal(page_of(mms[4], 0), page_of(f->mm, 0));
	assert_int_equal(page_mapcount(page_of(f->mm, 0)), 5);
	evict_all(f);
	for (int i = 4; i > 0; i--) {
		for (int page = 0; page < 5; page++)
			assert_int_equal(load_in(mms[i], (uint64_t)page),
					 page && page <= i ? 100 + page : 1 + page);
		quire_mm_exit(mms[i]);
		test_instance_check(&f->instance);
	}
	assert_pages(f, 0, 5, 1);
}

static void test_zero_page_is_shared(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 1);
	assert_int_equal(load(f, 0), 0);
	child = fork_of(f->mm);
	assert_int_equal(store(f, 0, 1), 0);
	assert_int_equal(load_in(child, 0), 0);
	assert_int_equal(store_in(child, 0, 2), 0);
	assert_int_equal(load(f, 0), 1);
	quire_mm_exit(child);
}

static void swap_out(struct fixture *f)
{
	evict_all(f);
	assert_true(pte_swap(pte_at(f->mm, 0)));
}

static void test_swap_in_exclusive(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	store_pages(f, 0, 2, 1);
	swap_out(f);
	assert_true(pte_at(f->mm, 0) & SWP_EXCLUSIVE);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 0);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 2);
	assert_int_equal(handle_user_fault(f->mm, AT(0), 0), VM_FAULT_MAJOR);
	assert_false(pte_at(f->mm, 0) & PTE_WRITE);
	assert_int_equal(load(f, 0), 1);
	assert_int_equal(store(f, 0, 9), 0);
	/* A write at once. */
	assert_int_equal(store(f, 1, 8), 0);
	assert_int_equal(event(f, EVENT_COW_COPY), 0);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 0);
	swap_out(f);
	assert_int_equal(load(f, 0), 9);
	assert_int_equal(load(f, 1), 8);
}

static void test_swap_in_shared(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 2);
	store_pages(f, 0, 2, 1);
	child = fork_of(f->mm);
	swap_out(f);
	assert_true(pte_swap(pte_at(child, 0)));
	assert_int_equal(swap_count(f->quire, pte_to_swp_entry(pte_at(child, 0))), 2);
	assert_int_equal(load(f, 0), 1);
	assert_int_equal(load_in(child, 0), 1);
	assert_ptr_equal(page_of(f->mm, 0), page_of(child, 0));
	assert_int_equal(store(f, 0, 9), 0);
	assert_int_equal(load_in(child, 0), 1);
	/* Written while the other side still has the swap entry. */
	assert_int_equal(store_in(child, 1, 7), 0);
	assert_int_equal(load(f, 1), 2);
	assert_int_equal(load_in(child, 1), 7);
	quire_mm_exit(child);
	assert_int_equal(store(f, 1, 3), 0);
	evict_all(f);
	assert_int_equal(load(f, 1), 3);
}

/* An entry that fork duplicated, whose other holder has exited: no copy. */
static void test_swap_in_last_holder(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 1);
	assert_int_equal(store(f, 0, 1), 0);
	swap_out(f);
	child = fork_of(f->mm);
	assert_false(pte_at(f->mm, 0) & SWP_EXCLUSIVE);
	quire_mm_exit(child);
	assert_int_equal(store(f, 0, 2), 0);
	assert_int_equal(event(f, EVENT_COW_COPY), 0);
	assert_true(page_test(page_of(f->mm, 0), PG_anon_exclusive));
}

static void test_swap_read_error(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	swap_out(f);
	fail_store(stores.swap, QUIRE_INJECT_READ);
	assert_int_equal(load(f, 0), SIGBUS);
	assert_int_equal(store(f, 1, 9), SIGBUS);
	assert_error(quire_read_memory(f->mm, AT(2), &byte, 1), EFAULT);
	test_instance_check(&f->instance);
	mend_store(stores.swap, QUIRE_INJECT_READ);
	assert_pages(f, 0, 4, 1);
}

static void test_swap_write_error(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	fail_store(stores.swap, QUIRE_INJECT_WRITE);
	assert_int_equal(quire_reclaim(f->quire, NULL, 4), 0);
	test_instance_check(&f->instance);
	assert_pages(f, 0, 4, 1);
	mend_store(stores.swap, QUIRE_INJECT_WRITE);
	swap_out(f);
	assert_pages(f, 0, 4, 1);
}

/* The store still reads the page when it is written again: the writer gets a copy, so that what
 * goes to swap is one state of the page. */
static void test_write_under_writeback(void **state)
{
	const struct quire_inject_rule held = {.nth = 1, .from_then_on = true, .delay = 1};
	struct fixture *f = *state;
	struct page *page;

	map_anon(f, 0, 2);
	store_pages(f, 0, 2, 1);
	page = page_of(f->mm, 0);
	quire_inject_set(stores.swap, QUIRE_INJECT_WRITE, &held);
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(2), QUIRE_MADV_PAGEOUT));
	assert_true(page_test(page, PG_writeback));
	assert_int_equal(load(f, 1), 2);
	assert_int_equal(store(f, 1, 8), 0);
	assert_int_equal(store(f, 0, 9), 0);
	assert_ptr_not_equal(page_of(f->mm, 0), page);
	assert_int_equal(*(uint8_t *)page_address(&f->quire->zone, page), 1);
	assert_int_equal(event(f, EVENT_COW_COPY), 2);
	assert_int_equal(quire_inject_step(stores.swap), 0);
	mend_store(stores.swap, QUIRE_INJECT_WRITE);
	test_instance_check(&f->instance);
	swap_out(f);
	assert_pages(f, 0, 1, 9);
	assert_pages(f, 1, 1, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_copy_on_either_side, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_reuse_without_copy, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_child_inherits, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_generations, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero_page_is_shared, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_swap_in_exclusive, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_swap_in_shared, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_swap_in_last_holder, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_under_writeback, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_swap_read_error, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_swap_write_error, fault_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
