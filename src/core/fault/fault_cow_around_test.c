/* SPDX-License-Identifier: MIT */
/*
 * Tests of the copies that a write to a program's segment makes beside its own page.
 */
#include "core/fault/fault_fixture_test.h"

#define FILE_PAGES 40
#define SEGMENT (QUIRE_MAP_PRIVATE | QUIRE_MAP_DENYWRITE)
#define COPIED (PTE_WRITE | PTE_DIRTY | PTE_ACCESSED)

static void setup_memory(void **state, uint64_t memory, uint32_t around)
{
	static struct fixture f;

	fault_setup_params(&f, (struct quire_params){
				       .memory = memory,
				       .anon_fault_around = around,
				       .no_zero_page = true,
				       .premark_accessed = true,
			       });
	make_file(&f, FILE_PAGES, 1);
	*state = &f;
}

static int around_setup(void **state)
{
	setup_memory(state, (uint64_t)16 << 20, PAGES(512));
	return 0;
}

static int plain_setup(void **state)
{
	setup_memory(state, (uint64_t)16 << 20, PAGE_SIZE);
	return 0;
}

static bool is_copy(struct fixture *f, uint64_t page)
{
	return page_anon(page_of(f->mm, page));
}

/* Pages [first, first + count) are copies, and hold what the file has at offset pages on. */
static void assert_copies(struct fixture *f, uint64_t first, uint64_t count, uint64_t pgoff)
{
	for (uint64_t i = first; i < first + count; i++) {
		assert_true(is_copy(f, i));
		assert_int_equal(pte_at(f->mm, i) & COPIED, COPIED);
		assert_int_equal(page_count(page_of(f->mm, i)), 1);
		assert_int_equal(load(f, i), (uint8_t)(1 + pgoff + i));
	}
}

/* Pages that were read first, so that they are mapped and have to be revoked. */
static void test_mapped_neighbours(void **state)
{
	struct fixture *f = *state;
	uint64_t revokes;

	map_file(f, 0, FILE_PAGES, SEGMENT, 0);
	for (uint64_t i = 0; i < FILE_PAGES; i++)
		assert_int_equal(load(f, i), 1 + i);
	assert_int_equal(rss(f->mm, MM_FILEPAGES), FILE_PAGES);
	revokes = event(f, EVENT_REVOKE);
	assert_int_equal(store(f, 21, 99), 0);
	/* One for the page itself, one for all others. */
	assert_int_equal(event(f, EVENT_REVOKE), revokes + 2);
	assert_int_equal(load(f, 21), 99);
	assert_copies(f, 16, 5, 0);
	assert_copies(f, 22, 10, 0);
	assert_false(is_copy(f, 15));
	assert_false(is_copy(f, 32));
	assert_int_equal(event(f, EVENT_COW_COPY), 16);
	assert_int_equal(rss(f->mm, MM_FILEPAGES), FILE_PAGES - 16);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 16);
	test_instance_check(&f->instance);
	/* No fault for any of them. */
	revokes = event(f, EVENT_FAULT);
	for (uint64_t i = 16; i < 32; i++)
		assert_int_equal(store(f, i, (uint8_t)(100 + i)), 0);
	assert_int_equal(event(f, EVENT_FAULT), revokes);
	for (uint64_t i = 16; i < 32; i++) {
		uint8_t byte;

		assert_int_equal(quire_pread(f->file, NULL, &byte, 1, PAGES(i)), 1);
		assert_int_equal(byte, 1 + i);
	}
}

/* Nothing is mapped yet: what is cached is copied, and nothing is read in for it. */
static void test_cached_neighbours(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 16, SEGMENT, 8);
	assert_int_equal(store(f, 3, 99), 0);
	assert_copies(f, 0, 3, 8);
	assert_copies(f, 4, 12, 8);
	assert_int_equal(event(f, EVENT_FAULT), 1);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 16);
	assert_int_equal(rss(f->mm, MM_FILEPAGES), 0);
	test_instance_check(&f->instance);
	assert_ok(quire_munmap(f->mm, AT(0), PAGES(16)));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 0);
}

/* The window ends with the area and with the file; other pages stay what they are. */
static void test_edges(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 8, SEGMENT, FILE_PAGES - 4);
	assert_int_equal(load(f, 3), FILE_PAGES);
	assert_int_equal(store(f, 2, 99), 0);
	assert_copies(f, 0, 2, FILE_PAGES - 4);
	assert_copies(f, 3, 1, FILE_PAGES - 4);
	assert_int_equal(load(f, 4), SIGBUS);
	assert_int_equal(mapped_pages(f->mm, 0, 8), 4);
	/* Copies made before are not made again. */
	assert_int_equal(event(f, EVENT_COW_COPY), 4);
	map_file(f, 20, 3, SEGMENT, 0);
	assert_int_equal(store(f, 20, 98), 0);
	assert_int_equal(store(f, 22, 97), 0);
	assert_int_equal(event(f, EVENT_COW_COPY), 7);
	assert_int_equal(load(f, 2), 99);
	test_instance_check(&f->instance);
}

/* Elsewhere a page follows its file until it is written itself. */
static void test_other_mappings(void **state)
{
	struct fixture *f = *state;
	const uint8_t byte = 77;

	map_file(f, 0, 16, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(load(f, 4), 5);
	assert_int_equal(store(f, 3, 99), 0);
	assert_int_equal(event(f, EVENT_COW_COPY), 1);
	assert_int_equal(quire_pwrite(f->file, NULL, &byte, 1, PAGES(4)), 1);
	assert_int_equal(load(f, 4), 77);
	/* Shared is shared, whatever else is asked for. */
	map_file(f, 20, 16, QUIRE_MAP_SHARED | QUIRE_MAP_DENYWRITE, 0);
	assert_int_equal(store(f, 23, 98), 0);
	assert_int_equal(event(f, EVENT_COW_COPY), 1);
}

/* Where a fault is not to fill around, nothing is copied around. */
static void test_not_asked_for(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 16, SEGMENT, 0);
	assert_int_equal(store(f, 3, 99), 0);
	assert_int_equal(event(f, EVENT_COW_COPY), 1);
}

/* What is copied ahead stays within the budget. */
static void test_near_the_budget(void **state)
{
	struct fixture *f = *state;
	quire_group *group = quire_mm_group(f->mm);

	map_file(f, 0, 16, SEGMENT, 0);
	assert_ok(quire_group_set_budget(group, PAGES(4)));
	assert_int_equal(store(f, 3, 99), 0);
	assert_int_equal(load(f, 3), 99);
	assert_true(event(f, EVENT_COW_COPY) <= 4);
	assert_ok(quire_group_set_budget(group, 0));
	test_instance_check(&f->instance);
}

static void test_truncated_neighbours(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 16, SEGMENT, 0);
	for (uint64_t i = 0; i < 16; i++)
		assert_int_equal(load(f, i), 1 + i);
	assert_int_equal(store(f, 3, 99), 0);
	/* Truncation takes private copies, too. */
	assert_ok(quire_ftruncate(f->file, PAGES(6)));
	assert_int_equal(load(f, 5), 6);
	assert_int_equal(load(f, 6), SIGBUS);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 6);
	test_instance_check(&f->instance);
}

#define rule(name) cmocka_unit_test_setup_teardown(name, around_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(test_mapped_neighbours),
		rule(test_cached_neighbours),
		rule(test_edges),
		rule(test_other_mappings),
		rule(test_near_the_budget),
		rule(test_truncated_neighbours),
		cmocka_unit_test_setup_teardown(test_not_asked_for, plain_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
