/* SPDX-License-Identifier: MIT */
/*
 * Counts of what happened to mappings: what is counted where, that nothing is counted twice or
 * lost, and that the counts outlive what they are about.
 */
#include "core/vma/mapping_stat.h"

#include "core/call/fixture_test.h"

#include <stdio.h>

struct wanted {
	const char *name;
	struct mapping_report report;
	uint32_t found;
	uint32_t names;
};

static int look(void *context, const struct mapping_report *report)
{
	struct wanted *wanted = context;

	wanted->names++;
	if (strcmp(report->name, wanted->name) == 0) {
		wanted->report = *report;
		wanted->found++;
	}
	return 0;
}

static struct mapping_report report_of(struct fixture *f, const char *name)
{
	struct wanted wanted = {.name = name};

	assert_int_equal(mapping_report(f->quire, look, &wanted), 0);
	assert_true(wanted.found <= 1);
	return wanted.report;
}

static void assert_amounts(struct fixture *f, const char *name, uint64_t mapped,
			   uint64_t peak_mapped, uint64_t resident, uint64_t peak_resident)
{
	const struct mapping_report report = report_of(f, name);

	assert_int_equal(report.mapped, mapped);
	assert_int_equal(report.peak_mapped, peak_mapped);
	assert_int_equal(report.resident, resident);
	assert_int_equal(report.peak_resident, peak_resident);
}

static uint64_t events_of(struct fixture *f, const char *name, enum mapping_event event)
{
	return report_of(f, name).events[event];
}

static void test_anonymous(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 8);
	assert_amounts(f, "[anon]", 8, 8, 0, 0);
	store_pages(f, 0, 6, 1);
	assert_amounts(f, "[anon]", 8, 8, 6, 6);
	assert_int_equal(events_of(f, "[anon]", MAPPING_MINOR_FAULT), 6);
	assert_int_equal(load(f, 7), 0);
	assert_amounts(f, "[anon]", 8, 8, 6, 6);
	assert_ok(quire_munmap(f->mm, AT(0), PAGES(4)));
	assert_amounts(f, "[anon]", 4, 8, 2, 6);
	assert_ok(quire_mprotect(f->mm, AT(4), PAGE_SIZE, QUIRE_PROT_READ));
	assert_int_equal(quire_mremap(f->mm, AT(5), PAGE_SIZE, PAGES(4),
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AT(40)),
			 AT(40));
	assert_amounts(f, "[anon]", 7, 8, 2, 6);
	assert_ok(quire_munmap(f->mm, AT(0), PAGES(100)));
	assert_amounts(f, "[anon]", 0, 8, 0, 6);
}

static void test_heap_and_stack(void **state)
{
	struct fixture *f = *state;
	const uint64_t start = quire_brk(f->mm, 0);
	const uint8_t byte = 1;

	assert_int_equal(quire_brk(f->mm, start + PAGES(4)), start + PAGES(4));
	assert_int_equal(quire_write_memory(f->mm, start, &byte, 1), 1);
	assert_int_equal(quire_write_memory(f->mm, start + PAGES(3), &byte, 1), 1);
	map_at(f, 0, 2,
	       QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_GROWSDOWN | QUIRE_MAP_NORESERVE);
	assert_int_equal(store(f, 1, 1), 0);
	assert_amounts(f, "[heap]", 4, 4, 2, 2);
	assert_amounts(f, "[stack]", 2, 2, 1, 1);
	assert_amounts(f, "[anon]", 0, 0, 0, 0);
	/* Split and changed, it stays the heap. */
	assert_ok(quire_mprotect(f->mm, start + PAGE_SIZE, PAGE_SIZE, QUIRE_PROT_READ));
	assert_int_equal(quire_brk(f->mm, start + PAGE_SIZE), start + PAGE_SIZE);
	assert_amounts(f, "[heap]", 1, 4, 1, 2);
}

static void test_file(void **state)
{
	struct fixture *f = *state;
	struct quire_store *store;

	assert_ok(quire_memory_store_create(PAGES(8), &store));
	assert_ok(quire_open(f->quire, "/data/file", 3, 3, store, QUIRE_O_READ | QUIRE_O_WRITE,
			     &f->file));
	map_file(f, 0, 8, QUIRE_MAP_SHARED, 0);
	map_file(f, 16, 2, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(load(f, 0), 0);
	assert_true(events_of(f, "/data/file", MAPPING_READ));
	assert_int_equal(events_of(f, "/data/file", MAPPING_MAJOR_FAULT), 1);
	assert_int_equal(store_in(f->mm, 0, 1), 0);
	assert_int_equal(store_in(f->mm, 16, 2), 0);
	assert_int_equal(events_of(f, "/data/file", MAPPING_COPY), 1);
	assert_ok(quire_fsync(f->file));
	assert_int_equal(events_of(f, "/data/file", MAPPING_WRITEBACK), 1);
	assert_int_equal(report_of(f, "/data/file").mapped, 10);
	assert_int_equal(report_of(f, "/data/file").resident,
			 rss(f->mm, MM_FILEPAGES) + rss(f->mm, MM_ANONPAGES));
	assert_int_equal(report_of(f, "[anon]").peak_mapped, 0);
}

static void test_swap(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	map_at(f, 8, 2, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	store_pages(f, 0, 4, 1);
	store_pages(f, 8, 2, 1);
	evict_all(f);
	assert_amounts(f, "[anon]", 4, 4, 0, 4);
	assert_amounts(f, "/dev/zero (deleted)", 2, 2, 0, 2);
	assert_int_equal(events_of(f, "[anon]", MAPPING_EVICTION), 4);
	assert_int_equal(events_of(f, "[anon]", MAPPING_WRITEBACK), 4);
	assert_int_equal(events_of(f, "/dev/zero (deleted)", MAPPING_EVICTION), 2);
	assert_int_equal(events_of(f, "/dev/zero (deleted)", MAPPING_WRITEBACK), 2);
	assert_pages(f, 0, 4, 1);
	assert_int_equal(events_of(f, "[anon]", MAPPING_SWAP_IN), 4);
	assert_amounts(f, "[anon]", 4, 4, 4, 4);
	/* What comes back unchanged needs no second write. */
	evict_all(f);
	assert_int_equal(events_of(f, "[anon]", MAPPING_EVICTION), 8);
	assert_int_equal(events_of(f, "[anon]", MAPPING_WRITEBACK), 4);
}

static void test_fork(void **state)
{
	struct fixture *f = *state;
	quire_mm *child;

	map_anon(f, 0, 4);
	store_pages(f, 0, 4, 1);
	assert_ok(quire_fork(f->mm, "child", &child));
	assert_amounts(f, "[anon]", 8, 8, 8, 8);
	assert_int_equal(store_in(child, 0, 9), 0);
	assert_int_equal(events_of(f, "[anon]", MAPPING_COPY), 1);
	assert_amounts(f, "[anon]", 8, 8, 8, 8);
	quire_mm_exit(child);
	assert_amounts(f, "[anon]", 4, 8, 4, 8);
	assert_int_equal(events_of(f, "[anon]", MAPPING_COPY), 1);
}

static void test_outlives(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		map_at(f, 0, 2, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
		store_pages(f, 0, 2, 1);
		assert_ok(quire_munmap(f->mm, AT(0), PAGES(2)));
	}
	assert_amounts(f, "/dev/zero (deleted)", 0, 6, 0, 6);
	assert_int_equal(events_of(f, "/dev/zero (deleted)", MAPPING_MINOR_FAULT), 6);
	map_anon(f, 0, 2);
	quire_mm_exit(f->mm);
	f->mm = NULL;
	assert_amounts(f, "[anon]", 0, 2, 0, 0);
}

/* More names than are kept: the rest is counted without one. */
static void test_bounded(void **state)
{
	struct fixture *f = *state;
	struct wanted wanted = {.name = "[other]"};
	const uint32_t files = 4100;
	char name[32];

	for (uint32_t i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_ok(quire_memfd_create(f->quire, name, 0, &f->file));
		map_file(f, 0, 1, QUIRE_MAP_SHARED, 0);
		quire_close(f->file);
		f->file = NULL;
		assert_ok(quire_munmap(f->mm, AT(0), PAGE_SIZE));
	}
	assert_int_equal(mapping_report(f->quire, look, &wanted), 0);
	assert_int_equal(wanted.names, 4097);
	assert_int_equal(wanted.report.peak_mapped, files - 4096);
}

static int refuse(void *context, const struct mapping_report *report)
{
	(void)report;
	++*(int *)context;
	return -EIO;
}

static void test_errors(void **state)
{
	struct fixture *f = *state;
	int calls = 0;

	map_anon(f, 0, 1);
	map_at(f, 8, 1, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	assert_int_equal(mapping_report(f->quire, refuse, &calls), -EIO);
	assert_int_equal(calls, 1);
	for (uint64_t nth = 1; nth <= 2; nth++) {
		quire_fail_arm(FAIL_ALLOC, nth, false);
		assert_int_equal(mapping_report(f->quire, refuse, &calls), -ENOMEM);
		assert_true(quire_fail_disarm());
	}
	assert_int_equal(calls, 1);
	/* Where no memory is left for its name, it is counted all the same. */
	quire_fail_arm(FAIL_ALLOC, 1, true);
	assert_ok(quire_munmap(f->mm, AT(8), PAGE_SIZE));
	assert_true(quire_fail_disarm());
	assert_amounts(f, "[other]", 0, 1, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_anonymous, setup, teardown),
		cmocka_unit_test_setup_teardown(test_heap_and_stack, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_swap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outlives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
