/* SPDX-License-Identifier: MIT */
/*
 * Tests of mmu_gather: nothing gathered is freed before the machine has revoked the range, and the
 * range covers all that was noted.
 */
#include "core/pgtable/mmu_gather.h"

#include "core/pgtable/fixture_test.h"

/* The pages of the gather, as the revocation finds them. */
struct gathered {
	struct page *pages[2 * MMU_GATHER_BATCH];
	uint32_t count;
	uint32_t alive;
};

static void count_alive(struct fixture *f)
{
	struct gathered *gathered = f->context;

	gathered->alive = 0;
	for (uint32_t i = 0; i < gathered->count; i++)
		gathered->alive += page_count(gathered->pages[i]) == 1;
}

static void empty_gather_does_not_revoke(void **state)
{
	struct mmu_gather tlb;
	struct fixture f;

	(void)state;
	fixture_create(&f, 64);
	tlb_gather_mmu(&tlb, f.mm);
	tlb_flush_mmu(&tlb);
	tlb_finish_mmu(&tlb);
	assert_int_equal(f.revokes, 0);
	assert_int_equal(stat_read(&f.quire->events, EVENT_REVOKE), 0);
	fixture_destroy(&f);
}

static void range_covers_all_notes(void **state)
{
	struct mmu_gather tlb;
	struct fixture f;

	(void)state;
	fixture_create(&f, 64);
	tlb_gather_mmu(&tlb, f.mm);
	tlb_note(&tlb, 7 * PAGE_SIZE);
	tlb_note(&tlb, 3 * PAGE_SIZE);
	tlb_note(&tlb, 5 * PAGE_SIZE);
	tlb_flush_mmu(&tlb);
	assert_int_equal(f.start, 3 * PAGE_SIZE);
	assert_int_equal(f.end, 8 * PAGE_SIZE);

	/* The next range begins anew. */
	tlb_note(&tlb, 20 * PAGE_SIZE);
	tlb_finish_mmu(&tlb);
	assert_int_equal(f.start, 20 * PAGE_SIZE);
	assert_int_equal(f.end, 21 * PAGE_SIZE);
	flush_tlb_page(f.mm, PAGE_SIZE);
	assert_int_equal(f.start, PAGE_SIZE);
	assert_int_equal(f.end, 2 * PAGE_SIZE);
	assert_int_equal(f.revokes, 3);
	assert_int_equal(stat_read(&f.quire->events, EVENT_REVOKE), 3);
	fixture_destroy(&f);
}

static void pages_outlive_the_revocation(void **state)
{
	struct gathered gathered = {0};
	struct mmu_gather tlb;
	struct fixture f;

	(void)state;
	fixture_create(&f, 1024);
	f.on_revoke = count_alive;
	f.context = &gathered;
	tlb_gather_mmu(&tlb, f.mm);
	for (uint32_t i = 0; i < MMU_GATHER_BATCH + 10; i++) {
		struct page *page = zone_alloc(&f.quire->zone, 0, GFP_NOWAIT);

		gathered.pages[gathered.count++] = page;
		tlb_note(&tlb, i * PAGE_SIZE);
		if (tlb_remove_page(&tlb, page)) {
			assert_int_equal(gathered.count, MMU_GATHER_BATCH);
			tlb_flush_mmu(&tlb);
			assert_int_equal(gathered.alive, MMU_GATHER_BATCH);
			assert_int_equal(f.end, MMU_GATHER_BATCH * PAGE_SIZE);
			gathered.count = 0;
		}
	}
	assert_int_equal(gathered.count, 10);
	tlb_finish_mmu(&tlb);
	assert_int_equal(gathered.alive, 10);
	assert_int_equal(f.revokes, 2);
	for (uint32_t i = 0; i < gathered.count; i++)
		assert_int_equal(page_count(gathered.pages[i]), 0);
	fixture_destroy(&f);
}

static void other_references_keep_a_page(void **state)
{
	struct mmu_gather tlb;
	struct fixture f;
	struct page *page;

	(void)state;
	fixture_create(&f, 64);
	page = zone_alloc(&f.quire->zone, 0, GFP_NOWAIT);
	get_page(page);
	tlb_gather_mmu(&tlb, f.mm);
	tlb_note(&tlb, PAGE_SIZE);
	assert_false(tlb_remove_page(&tlb, page));
	tlb_finish_mmu(&tlb);
	assert_int_equal(page_count(page), 1);
	put_page(f.quire, page);
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_gather_does_not_revoke),
		cmocka_unit_test(range_covers_all_notes),
		cmocka_unit_test(pages_outlive_the_revocation),
		cmocka_unit_test(other_references_keep_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
