/* SPDX-License-Identifier: MIT */
/*
 * Tests of mmu_gather: nothing gathered is freed before the machine has revoked the range, and the
 * range covers all that was noted.
 */
#include "core/pgtable/mmu_gather.h"

#include "core/pgtable/fixture_test.h"

#include <pthread.h>

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
	tlb_note(&tlb, 7 * PAGE_SIZE, 40);
	tlb_note(&tlb, 3 * PAGE_SIZE, 40);
	tlb_note(&tlb, 5 * PAGE_SIZE, 40);
	tlb_flush_mmu(&tlb);
	assert_int_equal(f.last.start, 3 * PAGE_SIZE);
	assert_int_equal(f.last.end, 8 * PAGE_SIZE);

	/* The next range begins anew. */
	tlb_note(&tlb, 20 * PAGE_SIZE, 40);
	tlb_finish_mmu(&tlb);
	assert_int_equal(f.last.start, 20 * PAGE_SIZE);
	assert_int_equal(f.last.end, 21 * PAGE_SIZE);
	flush_tlb_page(f.mm, PAGE_SIZE, 33);
	assert_int_equal(f.last.start, PAGE_SIZE);
	assert_int_equal(f.last.end, 2 * PAGE_SIZE);
	assert_int_equal(f.frames[0].first, 33);
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
		tlb_note(&tlb, i * PAGE_SIZE, page_to_pfn(&f.quire->zone, page));
		if (tlb_remove_page(&tlb, page)) {
			assert_int_equal(gathered.count, MMU_GATHER_BATCH);
			tlb_flush_mmu(&tlb);
			assert_int_equal(gathered.alive, MMU_GATHER_BATCH);
			assert_int_equal(f.last.end, MMU_GATHER_BATCH * PAGE_SIZE);
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
	tlb_note(&tlb, PAGE_SIZE, page_to_pfn(&f.quire->zone, page));
	assert_false(tlb_remove_page(&tlb, page));
	tlb_finish_mmu(&tlb);
	assert_int_equal(page_count(page), 1);
	put_page(f.quire, page);
	fixture_destroy(&f);
}

static void assert_frames(const struct fixture *f, uint32_t i, uint64_t first, uint64_t count)
{
	assert_true(i < f->last.nr_frames);
	assert_int_equal(f->last.frames[i].first, first);
	assert_int_equal(f->last.frames[i].count, count);
}

static void neighbouring_frames_are_one_range(void **state)
{
	static const pfn_t frames[] = {10, 11, 12, 12, 11, 9, 8, 13, 20, 22, 21};
	struct mmu_gather tlb;
	struct fixture f;

	(void)state;
	fixture_create(&f, 64);
	tlb_gather_mmu(&tlb, f.mm);
	for (uint32_t i = 0; i < ARRAY_SIZE(frames); i++)
		tlb_note(&tlb, i * PAGE_SIZE, frames[i]);
	tlb_note_table(&tlb, PMD_SIZE);
	tlb_revoke(&tlb);
	assert_int_equal(f.last.nr_frames, 3);
	assert_false(f.last.all_frames);
	assert_frames(&f, 0, 8, 6);
	assert_frames(&f, 1, 20, 1);
	assert_frames(&f, 2, 21, 2);
	assert_int_equal(f.last.end, PMD_SIZE + PAGE_SIZE);
	fixture_destroy(&f);
}

/* More ranges than there is room for: those that are there are revoked, none is lost. */
static void frames_that_overflow_are_revoked_early(void **state)
{
	struct mmu_gather tlb;
	struct fixture f;

	(void)state;
	fixture_create(&f, 64);
	tlb_gather_mmu(&tlb, f.mm);
	for (uint64_t i = 0; i < MMU_GATHER_BATCH + 2; i++)
		tlb_note(&tlb, i * PAGE_SIZE, 2 * i);
	assert_int_equal(f.revokes, 1);
	assert_int_equal(f.last.nr_frames, MMU_GATHER_BATCH);
	assert_int_equal(f.last.end, MMU_GATHER_BATCH * PAGE_SIZE);
	for (uint32_t i = 0; i < MMU_GATHER_BATCH; i++)
		assert_frames(&f, i, 2 * i, 1);
	tlb_finish_mmu(&tlb);
	assert_int_equal(f.revokes, 2);
	assert_int_equal(f.last.nr_frames, 2);
	assert_int_equal(f.last.start, MMU_GATHER_BATCH * PAGE_SIZE);
	assert_frames(&f, 0, 2 * MMU_GATHER_BATCH, 1);
	assert_frames(&f, 1, 2 * MMU_GATHER_BATCH + 2, 1);
	fixture_destroy(&f);
}

static void whole_mm_names_its_frames_or_all(void **state)
{
	struct frame_ranges frames;
	struct fixture f;

	(void)state;
	fixture_create(&f, 64);
	f.mm->task_size = TASK_SIZE_MAX;
	frame_ranges_init(&frames);
	flush_tlb_mm(f.mm, &frames);
	assert_int_equal(f.revokes, 0);
	assert_true(frame_ranges_add(&frames, 7));
	flush_tlb_mm(f.mm, &frames);
	assert_int_equal(f.revokes, 1);
	assert_int_equal(f.last.nr_frames, 1);
	assert_false(f.last.all_frames);
	assert_frames(&f, 0, 7, 1);
	frames.all = true;
	flush_tlb_mm(f.mm, &frames);
	assert_true(f.last.all_frames);
	assert_int_equal(f.last.nr_frames, 0);
	fixture_destroy(&f);
}

static void put_off_revocations_are_one(void **state)
{
	struct revoke_batch batch;
	struct fixture f;

	(void)state;
	fixture_create(&f, 64);
	revoke_batch_init(&batch);
	revoke_batch_flush(&batch);
	for (uint64_t i = 0; i < 8; i++)
		revoke_batch_add(&batch, f.mm, (100 - i) * PAGE_SIZE, 20 + i);
	assert_int_equal(f.revokes, 0);
	assert_int_equal(f.mm->revokes_pending, 1);
	revoke_batch_flush(&batch);
	assert_int_equal(f.revokes, 1);
	assert_int_equal(f.last.start, 93 * PAGE_SIZE);
	assert_int_equal(f.last.end, 101 * PAGE_SIZE);
	assert_int_equal(f.last.nr_frames, 1);
	assert_frames(&f, 0, 20, 8);
	assert_int_equal(f.mm->revokes_pending, 0);
	revoke_batch_flush(&batch);
	assert_int_equal(f.revokes, 1);

	revoke_batch_add(NULL, f.mm, PAGE_SIZE, 5);
	assert_int_equal(f.revokes, 2);
	assert_int_equal(f.mm->revokes_pending, 0);
	fixture_destroy(&f);
}

/* A batch is of one mm, and has room for so many ranges: what does not fit makes it begin anew. */
static void batch_that_is_full_is_flushed(void **state)
{
	struct revoke_batch batch;
	struct mm_struct *other;
	struct fixture f;

	(void)state;
	fixture_create(&f, 64);
	other = quire_zalloc_aligned(64, sizeof(*other));
	assert_non_null(other);
	other->quire = f.quire;
	other->machine_context = &f;
	revoke_batch_init(&batch);
	for (uint64_t i = 0; i <= MMU_GATHER_BATCH; i++)
		revoke_batch_add(&batch, f.mm, i * PAGE_SIZE, 2 * i);
	assert_int_equal(f.revokes, 1);
	assert_int_equal(f.last.nr_frames, MMU_GATHER_BATCH);
	assert_int_equal(f.mm->revokes_pending, 1);
	revoke_batch_add(&batch, other, 7 * PAGE_SIZE, 9);
	assert_int_equal(f.revokes, 2);
	assert_frames(&f, 0, 2 * MMU_GATHER_BATCH, 1);
	assert_int_equal(f.mm->revokes_pending, 0);
	assert_int_equal(other->revokes_pending, 1);
	revoke_batch_flush(&batch);
	assert_int_equal(f.last.start, 7 * PAGE_SIZE);
	assert_frames(&f, 0, 9, 1);
	quire_free(other);
	fixture_destroy(&f);
}

static _Atomic bool gather_finished;

static void *finish_gather(void *argument)
{
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, argument);
	tlb_finish_mmu(&tlb);
	atomic_store(&gather_finished, true);
	return NULL;
}

/* Whoever changes the mm is not done before what reclaim put off is. */
static void gather_waits_for_what_was_put_off(void **state)
{
	struct revoke_batch batch;
	pthread_t thread;
	struct fixture f;

	(void)state;
	fixture_create(&f, 64);
	revoke_batch_init(&batch);
	revoke_batch_add(&batch, f.mm, PAGE_SIZE, 5);
	assert_int_equal(pthread_create(&thread, NULL, finish_gather, f.mm), 0);
	for (uint32_t spins = 0; spins < 1000; spins++)
		quire_relax(spins);
	assert_false(atomic_load(&gather_finished));
	revoke_batch_flush(&batch);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(atomic_load(&gather_finished));
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_gather_does_not_revoke),
		cmocka_unit_test(range_covers_all_notes),
		cmocka_unit_test(pages_outlive_the_revocation),
		cmocka_unit_test(other_references_keep_a_page),
		cmocka_unit_test(neighbouring_frames_are_one_range),
		cmocka_unit_test(frames_that_overflow_are_revoked_early),
		cmocka_unit_test(whole_mm_names_its_frames_or_all),
		cmocka_unit_test(put_off_revocations_are_one),
		cmocka_unit_test(batch_that_is_full_is_flushed),
		cmocka_unit_test(gather_waits_for_what_was_put_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
