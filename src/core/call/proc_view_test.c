/* SPDX-License-Identifier: MIT */
/*
 * What /proc shows: the numbers are those that Linux 6.18 shows for the same mappings, but for
 * names of files and of frames.
 */
#include "core/call/proc_view.h"

#include "core/call/fixture_test.h"

#define KB4 PAGE_SIZE

static struct vma_view view_of(struct fixture *f, quire_mm *mm, uint64_t page,
			       struct smaps_view *smaps)
{
	struct vma_view view;

	(void)f;
	memset(smaps, 0, sizeof(*smaps));
	assert_true(mm_view_next(mm, AT(page), &view, smaps));
	return view;
}

static struct smaps_view smaps_of(quire_mm *mm, uint64_t page)
{
	struct smaps_view smaps;

	view_of(NULL, mm, page, &smaps);
	return smaps;
}

static void assert_flags(struct fixture *f, uint64_t page, const char *expected)
{
	struct smaps_view smaps;
	char text[VM_FLAGS_TEXT];

	vm_flags_text(view_of(f, f->mm, page, &smaps).vm_flags, text);
	assert_string_equal(text, expected);
}

static void map_prot(struct fixture *f, uint64_t page, int prot, int flags)
{
	assert_int_equal(
		quire_mmap(f->mm, AT(page), PAGE_SIZE, prot,
			   flags | QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL,
			   0),
		AT(page));
}

static void test_names(void **state)
{
	struct fixture *f = *state;
	struct vma_view view;
	struct quire_store *store;
	quire_file *zero;
	quire_file *deep;

	assert_false(mm_view_next(f->mm, AT(0), &view, NULL));
	map_anon(f, 0, 2);
	assert_true(mm_view_next(f->mm, 0, &view, NULL));
	assert_int_equal(view.start, AT(0));
	assert_int_equal(view.end, AT(2));
	assert_string_equal(view.name, "");
	assert_false(view.regular);

	assert_ok(quire_memory_store_create(PAGES(4), &store));
	assert_ok(quire_open(f->quire, "/some/where/a file", 7, 8, store, QUIRE_O_READ, &deep));
	f->file = deep;
	assert_int_equal(quire_mmap(f->mm, AT(8), PAGES(2), QUIRE_PROT_READ,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, deep, (int64_t)PAGES(1)),
			 AT(8));
	assert_true(mm_view_next(f->mm, AT(2), &view, NULL));
	assert_string_equal(view.name, "/some/where/a file");
	assert_string_equal(deep->f_inode->name, "a file");
	assert_int_equal(view.offset, PAGES(1));
	assert_int_equal(view.dev, 7);
	assert_int_equal(view.ino, 8);
	assert_true(view.regular);

	map_at(f, 16, 1, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	assert_true(mm_view_next(f->mm, AT(10), &view, NULL));
	assert_string_equal(view.name, "/dev/zero (deleted)");
	assert_int_equal(view.dev, 1);
	assert_ok(quire_open_zero(f->quire, &zero));
	assert_int_equal(quire_mmap(f->mm, AT(18), PAGE_SIZE, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, zero, 0),
			 AT(18));
	quire_close(zero);
	assert_true(mm_view_next(f->mm, AT(17), &view, NULL));
	assert_string_equal(view.name, "/dev/zero");

	const uint64_t brk = quire_brk(f->mm, 0);

	assert_int_equal(quire_brk(f->mm, brk + 1), brk + 1);
	assert_true(mm_view_next(f->mm, brk, &view, NULL));
	assert_string_equal(view.name, "[heap]");
}

static void test_memfd_name(void **state)
{
	struct fixture *f = *state;
	char name[250];
	struct vma_view view;

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_ok(quire_memfd_create(f->quire, name, 0, &f->file));
	assert_ok(quire_ftruncate(f->file, PAGE_SIZE));
	map_file(f, 0, 1, QUIRE_MAP_SHARED, 0);
	assert_true(mm_view_next(f->mm, 0, &view, NULL));
	assert_int_equal(strlen(view.name), strlen("/memfd: (deleted)") + 249);
	assert_memory_equal(view.name, "/memfd:nnn", 10);
}

static void test_flags_text(void **state)
{
	struct fixture *f = *state;

	map_prot(f, 0, QUIRE_PROT_NONE, 0);
	map_prot(f, 1, QUIRE_PROT_READ, QUIRE_MAP_NORESERVE);
	map_prot(f, 2, QUIRE_PROT_EXEC | QUIRE_PROT_WRITE, QUIRE_MAP_STACK);
	map_prot(f, 3, QUIRE_PROT_READ, QUIRE_MAP_GROWSDOWN);
	assert_ok(quire_madvise(f->mm, AT(0), PAGE_SIZE, QUIRE_MADV_SEQUENTIAL));
	assert_ok(quire_madvise(f->mm, AT(1), PAGE_SIZE, QUIRE_MADV_RANDOM));
	assert_flags(f, 0, "mr mw me sr ");
	assert_flags(f, 1, "rd mr mw me rr nr ");
	assert_flags(f, 2, "wr ex mr mw me ac nh ");
	assert_flags(f, 3, "rd mr mw me gd ");
	assert_ok(quire_mlock2(f->mm, AT(2), PAGE_SIZE, QUIRE_MLOCK_ONFAULT));
	assert_flags(f, 2, "wr ex mr mw me lo lf ac nh ");
	make_file(f, 4, 1);
	map_file(f, 8, 4, QUIRE_MAP_SHARED, 0);
	assert_flags(f, 8, "rd wr sh mr mw me ms ");
	assert_ok(quire_madvise(f->mm, AT(8), PAGES(4), QUIRE_MADV_GUARD_INSTALL));
	assert_flags(f, 8, "rd wr sh mr mw me ms gu ");
}

/* Written, only read, a guard, written, untouched: as the page-map words of Linux. */
static void test_anonymous(void **state)
{
	struct fixture *f = *state;
	struct smaps_view smaps;
	uint64_t words[5];
	quire_mm *child;

	map_anon(f, 0, 8);
	assert_int_equal(store(f, 0, 1), 0);
	assert_int_equal(load(f, 1), 0);
	assert_ok(quire_madvise(f->mm, AT(2), PAGE_SIZE, QUIRE_MADV_GUARD_INSTALL));
	assert_int_equal(store(f, 3, 1), 0);
	mm_pagemap(f->mm, AT(0), 5, words);
	assert_int_equal(words[0] & ~PM_PFN_MASK, PM_PRESENT | PM_MMAP_EXCLUSIVE);
	assert_int_equal(words[0] & PM_PFN_MASK, pte_pfn(pte_at(f->mm, 0)));
	assert_int_equal(words[1] & ~PM_PFN_MASK, PM_PRESENT);
	assert_int_equal(words[2] & ~PM_PFN_MASK, PM_SWAP | PM_GUARD_REGION);
	assert_int_equal(words[3] & ~PM_PFN_MASK, PM_PRESENT | PM_MMAP_EXCLUSIVE);
	assert_int_equal(words[4], 0);
	smaps = smaps_of(f->mm, 0);
	assert_int_equal(smaps.rss, 2 * KB4);
	assert_int_equal(smaps.pss, 2 * KB4 << PSS_SHIFT);
	assert_int_equal(smaps.pss_dirty, smaps.pss);
	assert_int_equal(smaps.private_dirty, 2 * KB4);
	assert_int_equal(smaps.referenced, 2 * KB4);
	assert_int_equal(smaps.anonymous, 2 * KB4);

	assert_ok(quire_fork(f->mm, "child", &child));
	assert_int_equal(store_in(child, 0, 2), 0);
	smaps = smaps_of(child, 0);
	assert_int_equal(smaps.rss, 2 * KB4);
	assert_int_equal(smaps.pss, (KB4 + KB4 / 2) << PSS_SHIFT);
	assert_int_equal(smaps.shared_dirty, KB4);
	assert_int_equal(smaps.private_dirty, KB4);
	assert_int_equal(smaps.referenced, KB4);
	mm_pagemap(child, AT(0), 4, words);
	assert_int_equal(words[0] & ~PM_PFN_MASK, PM_PRESENT | PM_MMAP_EXCLUSIVE);
	assert_int_equal(words[3] & ~PM_PFN_MASK, PM_PRESENT);
	quire_mm_exit(child);

	assert_ok(quire_madvise(f->mm, AT(3), PAGE_SIZE, QUIRE_MADV_FREE));
	smaps = smaps_of(f->mm, 0);
	assert_int_equal(smaps.private_clean, KB4);
	assert_int_equal(smaps.lazyfree, KB4);
	assert_int_equal(smaps.referenced, KB4);
}

static void test_file(void **state)
{
	struct fixture *f = *state;
	struct smaps_view smaps;
	uint64_t words[4];

	make_file(f, 4, 1);
	assert_ok(quire_fsync(f->file));
	map_file(f, 0, 4, QUIRE_MAP_SHARED, 0);
	assert_int_equal(load(f, 0), 1);
	assert_int_equal(store(f, 1, 1), 0);
	mm_pagemap(f->mm, AT(0), 4, words);
	for (int i = 0; i < 4; i++)
		assert_int_equal(words[i] & ~PM_PFN_MASK, PM_PRESENT | PM_FILE | PM_MMAP_EXCLUSIVE);
	smaps = smaps_of(f->mm, 0);
	assert_int_equal(smaps.rss, 4 * KB4);
	assert_int_equal(smaps.private_clean, 3 * KB4);
	assert_int_equal(smaps.private_dirty, KB4);
	assert_int_equal(smaps.pss_file, 4 * KB4 << PSS_SHIFT);
	assert_int_equal(smaps.anonymous, 0);
	assert_int_equal(smaps.file_pages, 4);

	map_file(f, 8, 4, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(load(f, 8), 1);
	assert_int_equal(store(f, 10, 1), 0);
	smaps = smaps_of(f->mm, 8);
	assert_int_equal(smaps.rss, 4 * KB4);
	assert_int_equal(smaps.shared_clean, 2 * KB4);
	assert_int_equal(smaps.shared_dirty, KB4);
	assert_int_equal(smaps.private_dirty, KB4);
	assert_int_equal(smaps.pss, (KB4 + 3 * KB4 / 2) << PSS_SHIFT);
	assert_int_equal(smaps.anonymous, KB4);
	assert_int_equal(smaps.mapcount_max, 2);
	assert_int_equal(smaps.anon_pages, 1);
	mm_pagemap(f->mm, AT(10), 1, words);
	assert_int_equal(words[0] & ~PM_PFN_MASK, PM_PRESENT | PM_MMAP_EXCLUSIVE);
}

static void test_swap(void **state)
{
	struct fixture *f = *state;
	struct smaps_view smaps;
	uint64_t word;
	quire_mm *child;

	map_anon(f, 0, 3);
	map_at(f, 8, 2, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS);
	store_pages(f, 0, 3, 1);
	store_pages(f, 8, 2, 1);
	assert_ok(quire_fork(f->mm, "child", &child));
	evict_all(f);
	smaps = smaps_of(f->mm, 0);
	assert_int_equal(smaps.rss, 0);
	assert_int_equal(smaps.swap, 3 * KB4);
	assert_int_equal(smaps.swap_pss, (3 * KB4 << PSS_SHIFT) / 2);
	mm_pagemap(f->mm, AT(0), 1, &word);
	assert_int_equal(word & ~PM_PFN_MASK, PM_SWAP);
	assert_int_equal(word & 31, swp_type(pte_to_swp_entry(pte_at(f->mm, 0))));
	assert_int_equal((word & PM_PFN_MASK) >> 5, swp_slot(pte_to_swp_entry(pte_at(f->mm, 0))));
	smaps = smaps_of(f->mm, 8);
	assert_int_equal(smaps.swap, 2 * KB4);
	assert_int_equal(smaps.swap_pss, 0);
	quire_mm_exit(child);
}

static void test_locked(void **state)
{
	struct fixture *f = *state;

	map_anon(f, 0, 2);
	assert_ok(quire_mlock(f->mm, AT(0), PAGES(2)));
	assert_int_equal(smaps_of(f->mm, 0).pss_locked, 2 * KB4 << PSS_SHIFT);
}

static void test_clear_refs(void **state)
{
	struct fixture *f = *state;

	make_file(f, 2, 1);
	map_file(f, 0, 2, QUIRE_MAP_PRIVATE, 0);
	map_anon(f, 8, 2);
	assert_int_equal(load(f, 0), 1);
	store_pages(f, 8, 2, 1);
	assert_int_equal(mm_clear_refs(f->mm, 0), -EINVAL);
	assert_int_equal(mm_clear_refs(f->mm, 6), -EINVAL);
	assert_int_equal(mm_clear_refs(f->mm, CLEAR_REFS_SOFT_DIRTY), 0);
	assert_true(smaps_of(f->mm, 0).referenced);
	assert_int_equal(smaps_of(f->mm, 8).referenced, 2 * KB4);
	assert_int_equal(mm_clear_refs(f->mm, CLEAR_REFS_ANON), 0);
	assert_int_equal(smaps_of(f->mm, 8).referenced, 0);
	assert_true(smaps_of(f->mm, 0).referenced);
	assert_int_equal(mm_clear_refs(f->mm, CLEAR_REFS_MAPPED), 0);
	assert_int_equal(smaps_of(f->mm, 0).referenced, 0);
	assert_int_equal(store(f, 8, 1), 0);
	assert_int_equal(smaps_of(f->mm, 8).referenced, KB4);
	assert_int_equal(mm_clear_refs(f->mm, CLEAR_REFS_ALL), 0);
	assert_int_equal(smaps_of(f->mm, 8).referenced, 0);
}

static void test_peaks(void **state)
{
	struct fixture *f = *state;
	struct mm_view view;

	map_anon(f, 0, 300);
	store_pages(f, 0, 300, 1);
	assert_ok(quire_munmap(f->mm, AT(0), PAGES(200)));
	mm_view(f->mm, &view);
	assert_int_equal(view.total_vm, 100);
	assert_int_equal(view.hiwater_vm, 300);
	assert_int_equal(view.data_vm, 100);
	assert_int_equal(view.rss_anon, 100);
	assert_int_equal(view.hiwater_rss, 300);
	assert_int_equal(view.map_count, 1);
	assert_int_equal(mm_clear_refs(f->mm, CLEAR_REFS_MM_HIWATER_RSS), 0);
	mm_view(f->mm, &view);
	assert_int_equal(view.hiwater_rss, 100);
	/* Small steps are seen too. */
	for (uint64_t page = 200; page < 300; page++)
		assert_ok(quire_munmap(f->mm, AT(page), PAGE_SIZE));
	mm_view(f->mm, &view);
	assert_int_equal(view.rss_anon, 0);
	assert_int_equal(view.hiwater_rss, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memfd_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flags_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_anonymous, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_swap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clear_refs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peaks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
