/* SPDX-License-Identifier: MIT */
/*
 * Tests of mlock and its relatives, of mincore and of msync.
 */
#include "core/call/fixture_test.h"
#include "core/reclaim/memcg.h"

static bool is_locked(struct fixture *f, uint64_t page)
{
	return vma_lookup(f->mm, AT(page))->vm_flags & VM_LOCKED;
}

static void assert_resident(struct fixture *f, uint64_t page, const char *wanted)
{
	unsigned char vector[64];
	const size_t pages = strlen(wanted);

	assert_ok(quire_mincore(f->mm, AT(page), PAGES(pages), vector));
	for (size_t i = 0; i < pages; i++)
		assert_int_equal(vector[i], wanted[i] - '0');
}

static void test_mlock_populates(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 6);
	assert_ok(quire_mlock(f->mm, AT(1) + 100, PAGES(2)));
	assert_int_equal(f->mm->locked_vm, 3);
	assert_int_equal(f->mm->map_count, 3);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 3);
	evict_all(f);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 3);
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(6)));
	assert_int_equal(f->mm->locked_vm, 6);
	assert_int_equal(f->mm->map_count, 1);
	assert_ok(quire_munlock(f->mm, AT(2), PAGES(1)));
	assert_int_equal(f->mm->map_count, 3);
	assert_int_equal(f->mm->locked_vm, 5);
	assert_ok(quire_munlock(f->mm, AT(0), PAGES(6)));
	assert_ok(quire_munlock(f->mm, AT(0), PAGES(6)));
	assert_int_equal(f->mm->map_count, 1);
	assert_int_equal(f->mm->locked_vm, 0);
	evict_all(f);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 0);
}

static uint64_t unevictable(struct fixture *f)
{
	lru_add_drain_all(f->quire);
	return atomic_load(&f->mm->memcg->lruvec.nr_unevictable);
}

/* Pages that are there when they are locked, those that come by it, and those that come later. */
static void test_locked_pages_are_on_no_scanned_list(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 6);
	store_pages(f, 0, 2, 1);
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(4)));
	assert_int_equal(unevictable(f), 4);
	assert_ok(quire_mlock2(f->mm, AT(4), PAGES(2), QUIRE_MLOCK_ONFAULT));
	assert_int_equal(unevictable(f), 4);
	assert_int_equal(store(f, 4, 9), 0);
	assert_int_equal(unevictable(f), 5);
	assert_ok(quire_munlock(f->mm, AT(0), PAGES(6)));
	assert_int_equal(unevictable(f), 0);
	test_instance_check(&f->instance);
}

static void test_mlock_errors(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	map_anon(f, 3, 2);
	assert_error(quire_mlock(f->mm, AT(0), PAGES(5)), ENOMEM);
	assert_true(is_locked(f, 0));
	assert_false(is_locked(f, 3));
	assert_error(quire_munlock(f->mm, AT(0), PAGES(5)), ENOMEM);
	assert_false(is_locked(f, 0));
	assert_error(quire_mlock2(f->mm, AT(0), PAGES(1), 2), EINVAL);
	assert_error(quire_munlock(f->mm, AT(0), (UINT64_MAX & PAGE_MASK) - PAGES(1)), EINVAL);
	assert_ok(quire_mlock(f->mm, AT(9), 0));
	/* No access, a guard page, beyond the end of a file: locked, but not all of it is there. */
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(1), QUIRE_PROT_NONE));
	assert_error(quire_mlock(f->mm, AT(0), PAGES(2)), ENOMEM);
	assert_true(is_locked(f, 0));
	assert_true(is_locked(f, 1));
	assert_ok(quire_madvise(f->mm, AT(3), PAGES(1), QUIRE_MADV_GUARD_INSTALL));
	assert_error(quire_mlock(f->mm, AT(3), PAGES(2)), ENOMEM);
	assert_true(is_locked(f, 4));
	make_file(f, 1, 40);
	map_file(f, 8, 2, QUIRE_MAP_SHARED, 0);
	assert_error(quire_mlock(f->mm, AT(8), PAGES(2)), ENOMEM);
	assert_true(is_locked(f, 8));
}

static void test_mlock_limits(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 8);
	assert_ok(quire_setlimit(f->mm, QUIRE_LIMIT_MEMLOCK, PAGES(3)));
	assert_error(quire_mlock(f->mm, AT(0), PAGES(4)), ENOMEM);
	assert_int_equal(f->mm->locked_vm, 0);
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(3)));
	/* What is locked already does not count twice. */
	assert_ok(quire_mlock(f->mm, AT(1), PAGES(2)));
	assert_error(quire_mlock(f->mm, AT(1), PAGES(3)), ENOMEM);
	assert_error(quire_mlockall(f->mm, QUIRE_MCL_CURRENT), ENOMEM);
	assert_ok(quire_setlimit(f->mm, QUIRE_LIMIT_MEMLOCK, 0));
	assert_error(quire_mlock(f->mm, AT(0), PAGES(1)), EPERM);
	assert_error(quire_mlockall(f->mm, QUIRE_MCL_FUTURE), EPERM);
	assert_ok(quire_munlock(f->mm, AT(0), PAGES(8)));
	quire_set_privileged(f->mm, true);
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(8)));
}

static void test_onfault(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	assert_ok(quire_mlock2(f->mm, AT(0), PAGES(4), QUIRE_MLOCK_ONFAULT));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 0);
	assert_int_equal(f->mm->locked_vm, 4);
	store_pages(f, 1, 1, 7);
	evict_all(f);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 1);
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(4)));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 4);
	assert_int_equal(f->mm->locked_vm, 4);
}

static void test_mlockall(void **state)
{
	struct fixture *f = *state;

	assert_error(quire_mlockall(f->mm, 0), EINVAL);
	assert_error(quire_mlockall(f->mm, QUIRE_MCL_ONFAULT), EINVAL);
	assert_error(quire_mlockall(f->mm, 8), EINVAL);
	map_anon(f, 0, 2);
	assert_ok(quire_mlockall(f->mm, QUIRE_MCL_FUTURE));
	assert_false(is_locked(f, 0));
	map_anon(f, 4, 2);
	assert_true(is_locked(f, 4));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 2);
	assert_ok(quire_mlockall(f->mm, QUIRE_MCL_CURRENT));
	assert_int_equal(f->mm->locked_vm, 4);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 4);
	assert_int_equal(f->mm->def_flags, 0);
	assert_ok(quire_mlockall(f->mm, QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT));
	map_anon(f, 8, 2);
	assert_true(is_locked(f, 8));
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 4);
	assert_ok(quire_munlockall(f->mm));
	assert_int_equal(f->mm->locked_vm, 0);
	map_anon(f, 12, 2);
	assert_false(is_locked(f, 12));
	/* A hole or a page without access does not matter here. */
	assert_ok(quire_mprotect(f->mm, AT(0), PAGES(1), QUIRE_PROT_NONE));
	assert_ok(quire_mlockall(f->mm, QUIRE_MCL_CURRENT));
	assert_int_equal(f->mm->locked_vm, 8);
	assert_int_equal(rss(f->mm, MM_ANONPAGES), 8);
}

static void test_mincore_errors(void **state)
{
	struct fixture *f = *state;
	unsigned char vector[4] = {9, 9, 9, 9};

	map_anon(f, 0, 2);
	assert_error(quire_mincore(f->mm, AT(0) + 1, 1, vector), EINVAL);
	assert_error(quire_mincore(f->mm, AT(0), PAGES(3), vector), ENOMEM);
	assert_error(quire_mincore(f->mm, AT(0), UINT64_MAX, vector), ENOMEM);
	assert_error(quire_mincore(f->mm, AT(0), PAGES(1), NULL), EFAULT);
	assert_ok(quire_mincore(f->mm, AT(9), 0, NULL));
	assert_int_equal(vector[0], 0);
	assert_int_equal(vector[2], 9);
	store_pages(f, 0, 1, 1);
	assert_ok(quire_mincore(f->mm, AT(0), 1, vector));
	assert_int_equal(vector[0], 1);
}

static void test_mincore_tells_the_truth(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 4);
	store_pages(f, 1, 1, 1);
	assert_int_equal(load(f, 3), 0);
	assert_resident(f, 0, "0101");
	assert_ok(quire_madvise(f->mm, AT(0), PAGES(1), QUIRE_MADV_GUARD_INSTALL));
	assert_ok(quire_madvise(f->mm, AT(1), PAGES(1), QUIRE_MADV_PAGEOUT));
	assert_resident(f, 0, "0001");
	assert_int_equal(load(f, 1), 1);
	assert_resident(f, 0, "0101");

	/* A page of a file is resident whoever brought it in. */
	make_file(f, 4, 40);
	map_file(f, 10, 5, QUIRE_MAP_PRIVATE, 0);
	assert_resident(f, 10, "11110");
	assert_ok(quire_fsync(f->file));
	evict_all(f);
	assert_resident(f, 10, "00000");
	assert_ok(quire_madvise(f->mm, AT(10), PAGES(4), QUIRE_MADV_RANDOM));
	assert_int_equal(load(f, 12), 42);
	assert_resident(f, 10, "00100");
}

static void test_msync_arguments(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	map_at(f, 3, 2, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	assert_ok(quire_msync(f->mm, AT(7), 0, QUIRE_MS_SYNC));
	assert_error(quire_msync(f->mm, AT(7), 1, QUIRE_MS_SYNC), ENOMEM);
	assert_error(quire_msync(f->mm, AT(0) + 1, 1, QUIRE_MS_SYNC), EINVAL);
	assert_error(quire_msync(f->mm, AT(0), 1, QUIRE_MS_SYNC | QUIRE_MS_ASYNC), EINVAL);
	assert_error(quire_msync(f->mm, AT(0), 1, 8), EINVAL);
	assert_error(quire_msync(f->mm, AT(0), UINT64_MAX - PAGE_SIZE, 0), ENOMEM);
	assert_ok(quire_msync(f->mm, AT(0), 5, 0));
	assert_ok(quire_msync(f->mm, AT(3), PAGES(2), QUIRE_MS_SYNC | QUIRE_MS_INVALIDATE));
	assert_ok(quire_mlock(f->mm, AT(1), PAGES(1)));
	assert_error(quire_msync(f->mm, AT(0), PAGES(2), QUIRE_MS_INVALIDATE), EBUSY);
	assert_ok(quire_msync(f->mm, AT(0), PAGES(2), QUIRE_MS_ASYNC));
	assert_error(quire_msync(f->mm, AT(0), PAGES(5), QUIRE_MS_ASYNC), ENOMEM);
}

static void test_msync_writes(void **state)
{
	struct fixture *f = *state;
	struct quire_stat before = {.size = sizeof(before)};
	struct quire_stat after = {.size = sizeof(after)};

	make_file(f, 6, 40);
	assert_ok(quire_fsync(f->file));
	map_file(f, 0, 2, QUIRE_MAP_SHARED, 0);
	map_file(f, 3, 3, QUIRE_MAP_SHARED, 3);
	store_pages(f, 0, 2, 1);
	store_pages(f, 3, 3, 4);
	assert_int_equal(atomic_load(&f->quire->nr_dirty), 5);
	assert_ok(quire_get_stat(f->quire, &before));
	/* What lies behind a hole is written too. */
	assert_error(quire_msync(f->mm, AT(1), PAGES(4), QUIRE_MS_SYNC), ENOMEM);
	assert_ok(quire_get_stat(f->quire, &after));
	assert_int_equal(after.file_written - before.file_written, 3);
	assert_int_equal(atomic_load(&f->quire->nr_dirty), 2);
	assert_false(pte_at(f->mm, 1) & (PTE_DIRTY | PTE_WRITE));
	/* Clean again: the next store is noticed. */
	assert_int_equal(store(f, 1, 9), 0);
	assert_int_equal(atomic_load(&f->quire->nr_dirty), 3);
	assert_ok(quire_msync(f->mm, AT(0), PAGES(2), QUIRE_MS_ASYNC));
	assert_ok(quire_msync(f->mm, AT(0), PAGES(2), QUIRE_MS_SYNC));
	assert_int_equal(atomic_load(&f->quire->nr_dirty), 1);
}

#define rule(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(test_mlock_populates), rule(test_locked_pages_are_on_no_scanned_list),
		rule(test_mlock_errors),    rule(test_mlock_limits),
		rule(test_onfault),         rule(test_mlockall),
		rule(test_mincore_errors),  rule(test_mincore_tells_the_truth),
		rule(test_msync_arguments), rule(test_msync_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
