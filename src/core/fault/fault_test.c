/* SPDX-License-Identifier: MIT */
/*
 * Faults step by step: what each kind of access finds, makes and counts.
 */
#include "core/fault/fault_fixture_test.h"

#include <stdio.h>

static void test_signals(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, 0), MAPERR);
	assert_int_equal(store(f, 0, 1), MAPERR);
	map_anon(f, 0, 2);
	assert_int_equal(load(f, 2), MAPERR);
	make_read_only(f, 0, 1);
	assert_int_equal(load(f, 0), 0);
	assert_int_equal(store(f, 0, 1), ACCERR);
	assert_ok(quire_mprotect(f->mm, AT(1), PAGE_SIZE, QUIRE_PROT_NONE));
	assert_int_equal(load(f, 1), ACCERR);
	assert_int_equal(store(f, 1, 1), ACCERR);
	assert_int_equal(handle_user_fault(f->mm, AT(0), FAULT_EXEC), VM_FAULT_ACCERR);
	/* What can be written can be read on x86-64. */
	assert_ok(quire_mprotect(f->mm, AT(1), PAGE_SIZE, QUIRE_PROT_WRITE));
	assert_int_equal(load(f, 1), 0);
}

static void test_api_signals(void **state)
{
	struct fixture *f = *state;
	enum quire_signal signal = QUIRE_SIGNAL_NONE;

	map_anon(f, 0, 1);
	assert_ok(quire_handle_fault(f->mm, AT(0), QUIRE_ACCESS_WRITE, &signal));
	assert_int_equal(signal, QUIRE_SIGNAL_NONE);
	assert_error(quire_handle_fault(f->mm, AT(0), QUIRE_ACCESS_EXEC, &signal), EFAULT);
	assert_int_equal(signal, QUIRE_SEGV_ACCERR);
	assert_error(quire_handle_fault(f->mm, AT(1), QUIRE_ACCESS_READ, &signal), EFAULT);
	assert_int_equal(signal, QUIRE_SEGV_MAPERR);
	make_stored_file(f, 1, 1);
	map_file(f, 4, 2, SHARED, 0);
	assert_error(quire_handle_fault(f->mm, AT(5), QUIRE_ACCESS_READ, &signal), EFAULT);
	assert_int_equal(signal, QUIRE_BUS_ADRERR);
}

static void test_zero_page_then_write(void **state)
{
	struct fixture *f = *state;
	uint64_t frames;

	map_anon(f, 0, 4);
	assert_int_equal(load(f, 0), 0);
	frames = frames_free(f);
	assert_all(f, 0, 4, 0);
	assert_int_equal(frames_free(f), frames);
	assert_int_equal(event(f, EVENT_ZERO_PAGE), 4);
	assert_true(pte_at(f->mm, 1) & PTE_SPECIAL);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 0);

	assert_int_equal(store(f, 1, 7), 0);
	assert_false(pte_at(f->mm, 1) & PTE_SPECIAL);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 1);
	assert_int_equal(frames_free(f), frames - 1);
	assert_int_equal(event(f, EVENT_COW_COPY), 0);
	assert_int_equal(load(f, 0), 0);
	assert_int_equal(load(f, 1), 7);
}

static void test_first_write(void **state)
{
	struct fixture *f = *state;
	struct page *page;

	map_anon(f, 0, 1);
	assert_int_equal(store(f, 0, 7), 0);
	page = page_of(f->mm, 0);
	assert_true(page_anon(page));
	assert_true(page_test(page, PG_anon_exclusive));
	assert_int_equal(page_mapcount(page), 1);
	assert_int_equal(pte_at(f->mm, 0) & (PTE_WRITE | PTE_DIRTY), PTE_WRITE | PTE_DIRTY);
	assert_true(pte_at(f->mm, 0) & PTE_NX);
	assert_int_equal(event(f, EVENT_FAULT), 1);
	assert_int_equal(event(f, EVENT_FAULT_MAJOR), 0);
}

/* One fault too many is an access that finds everything in order. */
static void test_spurious_fault(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 1);
	assert_int_equal(store(f, 0, 7), 0);
	assert_int_equal(handle_user_fault(f->mm, AT(0), FAULT_WRITE), VM_FAULT_DONE);
	assert_int_equal(handle_user_fault(f->mm, AT(0), 0), VM_FAULT_DONE);
	assert_int_equal(event(f, EVENT_COW_COPY), 0);
	assert_int_equal(load(f, 0), 7);
}

static void test_file_beyond_end(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 2, 1);
	assert_ok(quire_ftruncate(f->file, PAGE_SIZE + 1));
	map_file(f, 0, 3, SHARED, 0);
	map_file(f, 4, 3, PRIVATE, 0);
	assert_int_equal(load(f, 1), 2);
	assert_int_equal(load(f, 2), SIGBUS);
	assert_int_equal(store(f, 2, 1), SIGBUS);
	assert_int_equal(store(f, 5, 1), 0);
	assert_int_equal(load(f, 6), SIGBUS);
	assert_int_equal(store(f, 6, 1), SIGBUS);
	assert_ok(quire_ftruncate(f->file, PAGES(3)));
	assert_int_equal(load(f, 2), 0);
}

static void test_file_read_error(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 2, 1);
	map_file(f, 0, 2, SHARED, 0);
	map_file(f, 4, 2, PRIVATE, 0);
	fail_store(stores.file, QUIRE_INJECT_READ);
	assert_int_equal(load(f, 0), SIGBUS);
	assert_int_equal(store(f, 0, 9), SIGBUS);
	assert_int_equal(store(f, 5, 9), SIGBUS);
	mend_store(stores.file, QUIRE_INJECT_READ);
	assert_int_equal(load(f, 0), 1);
	assert_int_equal(store(f, 5, 9), 0);
	assert_int_equal(load(f, 1), 2);
}

static void test_fault_around(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 64, 1);
	map_file(f, 0, 64, SHARED, 0);
	/* All cached, so that one fault finds its window of 16 pages. */
	for (uint64_t i = 0; i < 64; i++) {
		uint8_t byte;

		assert_int_equal(quire_pread(f->file, NULL, &byte, 1, PAGES(i)), 1);
	}
	for (uint64_t i = 0; i < 64; i++) {
		struct page *page = filemap_lookup(f->file->f_mapping, i);

		page_clear(page, PG_readahead);
		put_page(f->quire, page);
	}
	assert_int_equal(load(f, 20), 21);
	assert_int_equal(mapped_pages(f->mm, 0, 64), 16);
	assert_int_equal(mapped_pages(f->mm, 16, 16), 16);
	assert_int_equal(event(f, EVENT_FAULT_AROUND), 15);
	assert_int_equal(rss(f->mm, MM_FILEPAGES), 16);
	/* Only what was accessed says so. */
	assert_true(pte_at(f->mm, 20) & PTE_ACCESSED);
	assert_false(pte_at(f->mm, 21) & PTE_ACCESSED);
	assert_false(pte_at(f->mm, 21) & PTE_WRITE);
	assert_pages(f, 16, 16, 17);
	assert_int_equal(event(f, EVENT_FAULT), 1);
	/* Within the VMA only. */
	map_file(f, 100, 3, PRIVATE, 17);
	assert_int_equal(load(f, 101), 19);
	assert_int_equal(mapped_pages(f->mm, 96, 16), 3);
}

static void test_no_fault_around(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 32, 1);
	map_file(f, 0, 32, SHARED, 0);
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(32), QUIRE_MADV_RANDOM));
	for (uint64_t i = 0; i < 32; i++) {
		uint8_t byte;

		assert_int_equal(quire_pread(f->file, NULL, &byte, 1, PAGES(i)), 1);
	}
	assert_int_equal(load(f, 9), 10);
	assert_int_equal(mapped_pages(f->mm, 0, 32), 1);
	assert_int_equal(event(f, EVENT_FAULT_AROUND), 0);
}

static void test_major_fault(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 1, 1);
	map_file(f, 0, 1, SHARED, 0);
	assert_int_equal(handle_user_fault(f->mm, AT(0), 0), VM_FAULT_MAJOR);
	assert_int_equal(event(f, EVENT_FAULT_MAJOR), 1);
	map_file(f, 4, 1, PRIVATE, 0);
	assert_int_equal(handle_user_fault(f->mm, AT(4), 0), VM_FAULT_DONE);
	assert_int_equal(event(f, EVENT_FAULT_MAJOR), 1);
}

static void test_private_file_write(void **state)
{
	struct fixture *f = *state;

	make_stored_file(f, 2, 1);
	map_file(f, 0, 2, PRIVATE, 0);
	map_file(f, 4, 2, SHARED, 0);
	/* Read first, then written; and written at once. */
	assert_int_equal(load(f, 0), 1);
	assert_int_equal(rss(f->mm, MM_FILEPAGES), 1);
	assert_int_equal(store(f, 0, 50), 0);
	assert_int_equal(rss(f->mm, MM_FILEPAGES), 0);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 1);
	assert_int_equal(store(f, 1, 51), 0);
	assert_int_equal(event(f, EVENT_COW_COPY), 2);
	assert_pages(f, 4, 2, 1);
	assert_pages(f, 0, 2, 50);
	assert_ok(quire_fsync(f->file));
	assert_int_equal(stored_byte(0), 1);
	/* A page that was not copied shows what is written to the file, a copy does not. */
	assert_int_equal(store(f, 5, 60), 0);
	assert_int_equal(load(f, 1), 51);
}

static void test_shared_write_is_tracked(void **state)
{
	struct fixture *f = *state;
	struct page *page;

	make_stored_file(f, 2, 1);
	map_file(f, 0, 2, SHARED, 0);
	assert_int_equal(load(f, 0), 1);
	page = page_of(f->mm, 0);
	assert_false(pte_at(f->mm, 0) & PTE_WRITE);
	assert_false(page_test(page, PG_dirty));

	assert_int_equal(store(f, 0, 9), 0);
	assert_ptr_equal(page_of(f->mm, 0), page);
	assert_true(page_test(page, PG_dirty));
	assert_true(pte_at(f->mm, 0) & PTE_WRITE);
	assert_int_equal(atomic_load(&f->quire->nr_dirty), 1);

	assert_ok(quire_fsync(f->file));
	assert_int_equal(stored_byte(0), 9);
	assert_false(page_test(page, PG_dirty));
	assert_false(pte_at(f->mm, 0) & (PTE_WRITE | PTE_DIRTY));
	/* The next write is noticed, and so written back too. */
	assert_int_equal(store(f, 0, 10), 0);
	assert_true(page_test(page, PG_dirty));
	assert_ok(quire_msync(f->mm, AT(0), PAGE_SIZE, QUIRE_MS_SYNC));
	assert_int_equal(stored_byte(0), 10);
	/* Written at once. */
	assert_ok(quire_munmap(f->mm, AT(1), PAGE_SIZE));
	map_file(f, 1, 1, SHARED, 1);
	assert_int_equal(store(f, 1, 11), 0);
	assert_int_equal(atomic_load(&f->quire->nr_dirty), 1);
}

static void test_guard_markers(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	assert_ok(quire_madvise(f->mm, AT(1), PAGE_SIZE, QUIRE_MADV_GUARD_INSTALL));
	assert_int_equal(load(f, 1), MAPERR);
	assert_int_equal(store(f, 1, 9), MAPERR);
	assert_true(pte_guard(pte_at(f->mm, 1)));
	assert_int_equal(load(f, 0), 1);
	assert_int_equal(load(f, 2), 3);
	assert_ok(quire_madvise(f->mm, AT(1), PAGE_SIZE, QUIRE_MADV_GUARD_REMOVE));
	assert_int_equal(load(f, 1), 0);
}

static void test_stack_growth(void **state)
{
	struct fixture *f = *state;
	const uint64_t gap = STACK_GUARD_GAP >> PAGE_SHIFT;

	assert_int_equal(quire_mmap(f->mm, AT(1000), PAGES(2), RW,
				    ANON | QUIRE_MAP_FIXED | QUIRE_MAP_GROWSDOWN, NULL, 0),
			 AT(1000));
	map_anon(f, 1000 - gap - 20, 10); /* the stack may come down to 1000 - 10 */
	assert_int_equal(store(f, 999, 1), 0);
	assert_int_equal(store(f, 995, 2), 0);
	assert_int_equal(vma_lookup(f->mm, AT(995))->vm_start, AT(995));
	assert_int_equal(load(f, 997), 0);
	assert_int_equal(store(f, 990, 3), 0);
	assert_int_equal(store(f, 989, 4), MAPERR);
	assert_int_equal(store(f, 1000 - gap - 5, 4), MAPERR);
	assert_int_equal(load(f, 995), 2);
	/* Nor beyond its limit. */
	assert_ok(quire_munmap(f->mm, AT(1000 - gap - 20), PAGES(10)));
	assert_ok(quire_setlimit(f->mm, QUIRE_LIMIT_STACK, PAGES(12)));
	assert_int_equal(store(f, 989, 4), MAPERR);
	assert_ok(quire_setlimit(f->mm, QUIRE_LIMIT_STACK, PAGES(13)));
	assert_int_equal(store(f, 989, 4), 0);
}

struct verdict {
	uint32_t count;
	char mm[32];
	char group[32];
};

static void note_verdict(void *context, const char *mm, uint64_t resident, const char *group,
			 uint64_t limit)
{
	struct verdict *verdict = context;

	(void)resident;
	(void)limit;
	verdict->count++;
	snprintf(verdict->mm, sizeof(verdict->mm), "%s", mm);
	snprintf(verdict->group, sizeof(verdict->group), "%s", group);
}

/* No frame: a program's access ends in a verdict, a call's in ENOMEM; both can be repeated. */
static void test_out_of_frames(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct verdict verdict = {0};
	enum quire_signal signal;
	uint8_t byte = 1;

	(void)state;
	fault_setup_params(f, (struct quire_params){
				      .memory = (uint64_t)8 << 20,
				      .events = {.context = &verdict, .oom = note_verdict},
			      });
	map_anon(f, 0, 2);
	assert_int_equal(store(f, 0, 1), 0);
	quire_fail_arm(FAIL_FRAME, 1, true);
	assert_error(quire_write_memory(f->mm, AT(1), &byte, 1), ENOMEM);
	assert_int_equal(verdict.count, 0);
	assert_error(quire_handle_fault(f->mm, AT(1), QUIRE_ACCESS_WRITE, &signal), EFAULT);
	assert_int_equal(signal, QUIRE_KILL_OOM);
	assert_true(quire_fail_disarm());
	assert_int_equal(verdict.count, 1);
	assert_string_equal(verdict.mm, "main");
	assert_int_equal(load(f, 0), 1);
	assert_int_equal(store(f, 1, 2), 0);
	assert_int_equal(teardown((void **)&f), 0);
}

/* The verdict names the group whose budget it was: here that of a mapping. */
static void test_out_of_mapping_budget(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct verdict verdict = {0};
	uint32_t error = 0;

	(void)state;
	fault_setup_params(f, (struct quire_params){
				      .memory = (uint64_t)8 << 20,
				      .events = {.context = &verdict, .oom = note_verdict},
			      });
	map_anon(f, 0, 64);
	assert_ok(quire_set_mapping_budget(f->mm, AT(0), PAGES(64), PAGES(8)));
	store_pages(f, 0, 8, 1);
	/* All of them are locked, so that nothing can be evicted. */
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(8)));
	test_store(f->mm, AT(8), 1, &error);
	assert_int_equal(error, VM_FAULT_OOM);
	assert_int_equal(verdict.count, 1);
	assert_string_equal(verdict.group, "mapping");
	assert_int_equal(teardown((void **)&f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_signals, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_api_signals, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero_page_then_write, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_write, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_spurious_fault, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_beyond_end, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_read_error, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_fault_around, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_fault_around, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_major_fault, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_private_file_write, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_write_is_tracked, fault_setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_guard_markers, fault_setup, teardown),
		cmocka_unit_test_setup_teardown(test_stack_growth, fault_setup, teardown),
		cmocka_unit_test(test_out_of_frames),
		cmocka_unit_test(test_out_of_mapping_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
