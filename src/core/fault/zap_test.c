/* SPDX-License-Identifier: MIT */
/*
 * Unmapping: what goes, what stays, and that a CPU's last store before the flush is not lost.
 */
#include "core/fault/fault_fixture_test.h"
#include "core/pgtable/mmu_gather.h"

#include <pthread.h>

static void zap(struct fixture *f, uint64_t page, uint64_t pages, struct zap_details details)
{
	struct mmu_gather tlb;

	mmap_read_lock(f->mm);
	tlb_gather_mmu(&tlb, f->mm);
	zap_page_range(&tlb, vma_lookup(f->mm, AT(page)), AT(page), AT(page + pages), &details);
	tlb_finish_mmu(&tlb);
	mmap_read_unlock(f->mm);
}

static void test_zap_anonymous(void **state)
{
	struct fixture *f = *state;
	uint64_t frames;

	map_anon(f, 0, 4);
	assert_int_equal(store(f, 0, 1), 0);
	frames = frames_free(f);
	store_pages(f, 1, 2, 1);
	assert_int_equal(load(f, 3), 0);
	zap(f, 1, 3, (struct zap_details){0});
	assert_int_equal(frames_free(f), frames);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 1);
	assert_int_equal(mapped_pages(f->mm, 0, 4), 1);
	assert_all(f, 1, 3, 0);
	assert_int_equal(load(f, 0), 1);
}

/* More than a gather holds, and more than one table. */
static void test_zap_many(void **state)
{
	struct fixture *f = *state;
	const uint64_t pages = 2 * MMU_GATHER_BATCH + 100;
	const uint64_t revokes = atomic_load(&f->instance.machine.revokes);
	uint64_t frames;

	map_anon(f, 400, pages);
	store_pages(f, 400, 1, 1);
	frames = frames_free(f);
	store_pages(f, 400, pages, 1);
	zap(f, 401, pages - 1, (struct zap_details){0});
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 1);
	/* The second table stays until the area goes. */
	assert_in_range(frames_free(f), frames - 2, frames);
	assert_int_equal(atomic_load(&f->instance.machine.revokes) - revokes, 3);
	assert_all(f, 401, 3, 0);
}

static void test_zap_swapped(void **state)
{
	struct fixture *f = *state;
	const uint64_t slots = swap_free_slots(f->quire);

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	evict_all(f);
	assert_int_equal(swap_free_slots(f->quire), slots - 4);
	zap(f, 0, 3, (struct zap_details){0});
	assert_int_equal(swap_free_slots(f->quire), slots - 1);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 1);
	assert_int_equal(load(f, 0), 0);
	assert_int_equal(load(f, 3), 4);
}

static void test_zap_guards(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 3);
	store_pages(f, 0, 3, 1);
	assert_ok(quire_madvise(f->mm, AT(1), PAGE_SIZE, QUIRE_MADV_GUARD_INSTALL));
	zap(f, 0, 3, (struct zap_details){.keep_guards = true});
	assert_int_equal(load(f, 0), 0);
	assert_int_equal(load(f, 1), MAPERR);
	zap(f, 0, 3, (struct zap_details){0});
	assert_int_equal(load(f, 1), 0);
}

/* Hole punching leaves private copies, in memory or in swap. */
static void test_zap_file_only(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 4, 1);
	map_file(f, 0, 4, PRIVATE, 0);
	assert_int_equal(store(f, 0, 50), 0);
	assert_ok(quire_madvise(f->mm, AT(0), PAGE_SIZE, QUIRE_MADV_PAGEOUT));
	assert_true(pte_swap(pte_at(f->mm, 0)));
	assert_int_equal(store(f, 1, 51), 0);
	assert_int_equal(load(f, 2), 3);
	zap(f, 0, 4, (struct zap_details){.file_only = true});
	assert_int_equal(rss(f->mm, MM_FILEPAGES), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 1);
	assert_int_equal(rss(f->mm, MM_SWAPENTS), 1);
	assert_pages(f, 0, 2, 50);
	assert_int_equal(load(f, 2), 3);
}

static void test_zap_keeps_dirty_data(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 2, 1);
	map_file(f, 0, 2, SHARED, 0);
	assert_int_equal(store(f, 0, 9), 0);
	assert_int_equal(load(f, 1), 2);
	assert_ok(quire_munmap(f->mm, AT(0), PAGES(2)));
	assert_int_equal(atomic_load(&f->quire->nr_dirty), 1);
	assert_ok(quire_writeback(f->quire));
	assert_int_equal(stored_byte(0), 9);
	assert_int_equal(stored_byte(1), 2);
}

/*
 * A machine whose CPU stores through its old translation at the last moment, when a revocation
 * reaches it; before that, another thread has written everything back.
 */
static struct {
	struct quire *quire;
	uint8_t *byte;
	uint32_t stores;
	void (*revoke)(struct quire_machine *machine, void *context,
		       const struct quire_revoke *what);
} late;

static void *write_back(void *unused)
{
	(void)unused;
	assert_ok(quire_writeback(late.quire));
	return NULL;
}

static void late_revoke(struct quire_machine *machine, void *context,
			const struct quire_revoke *what)
{
	pthread_t thread;

	late.revoke(machine, context, what);
	if (!late.byte)
		return;
	assert_int_equal(pthread_create(&thread, NULL, write_back, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	*late.byte = 99;
	late.byte = NULL;
	late.stores++;
}

static void test_store_until_the_flush(void **state)
{
	struct fixture *f = *state;
	struct quire_machine *machine = f->quire->machine;
	struct quire_machine_ops ops = *machine->ops;
	const struct quire_machine_ops *own = machine->ops;

	make_stored_file(f, 1, 1);
	map_file(f, 0, 1, SHARED, 0);
	assert_int_equal(store(f, 0, 9), 0);
	late.quire = f->quire;
	late.byte = page_address(&f->quire->zone, page_of(f->mm, 0));
	late.revoke = ops.revoke;
	ops.revoke = late_revoke;
	machine->ops = &ops;
	assert_ok(quire_munmap(f->mm, AT(0), PAGE_SIZE));
	machine->ops = own;
	assert_int_equal(late.stores, 1);
	assert_int_equal(stored_byte(0), 9);
	assert_ok(quire_writeback(f->quire));
	assert_int_equal(stored_byte(0), 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_zap_anonymous, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_zap_many, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_zap_swapped, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_zap_guards, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_zap_file_only, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_zap_keeps_dirty_data, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_until_the_flush, fault_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
