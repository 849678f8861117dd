/* SPDX-License-Identifier: MIT */
/*
 * Reverse-map walks against a search of all page tables, and what is done through them: accessed
 * bits, cleaning, unmapping.
 */
#include "base/prng.h"
#include "core/file/address_space.h"
#include "core/file/filemap.h"
#include "core/instance/test_instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/swap.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma.h"

#include <quire/memory_store.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)4 << 20)
#define FRAMES (MEMORY >> PAGE_SHIFT)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)
#define PAGES 16
#define MOST_MMS 6

struct fixture {
	struct test_instance test;
	quire_file *file;
	quire_mm *mms[MOST_MMS];
	uint32_t nr_mms;
	uint64_t anon, private, shared;
};

static uint64_t map(quire_mm *mm, int flags, quire_file *file)
{
	uint64_t address = quire_mmap(mm, 0, PAGES << PAGE_SHIFT, RW, flags, file, 0);

	assert_true(address != QUIRE_MAP_FAILED);
	return address;
}

/* One mm with an anonymous mapping, and a private and a shared one of a file. */
static void begin(struct fixture *f)
{
	struct quire_store *store;

	memset(f, 0, sizeof(*f));
	test_instance_create(&f->test, (struct quire_params){.memory = MEMORY});
	test_instance_add_swap(&f->test, 2 * FRAMES);
	assert_int_equal(quire_memory_store_create(PAGES << PAGE_SHIFT, &store), 0);
	assert_int_equal(quire_open(f->test.quire, "file", 1, 1, store,
				    QUIRE_O_READ | QUIRE_O_WRITE, &f->file),
			 0);
	assert_int_equal(quire_mm_create(f->test.quire, "main", NULL, &f->mms[0]), 0);
	f->nr_mms = 1;
	f->anon = map(f->mms[0], ANON, NULL);
	f->private = map(f->mms[0], QUIRE_MAP_PRIVATE, f->file);
	f->shared = map(f->mms[0], QUIRE_MAP_SHARED, f->file);
}

static void end(struct fixture *f)
{
	while (f->nr_mms)
		quire_mm_exit(f->mms[--f->nr_mms]);
	quire_close(f->file);
	test_instance_destroy(&f->test);
}

static quire_mm *fork_mm(struct fixture *f, uint32_t of)
{
	quire_mm *child;

	assert_int_equal(quire_fork(f->mms[of], "child", &child), 0);
	f->mms[f->nr_mms++] = child;
	return child;
}

static struct page *page_at(struct fixture *f, quire_mm *mm, uint64_t address)
{
	pte_t *pte = pte_find(mm, address);

	if (!pte || !pte_present(pte_load(pte)) || (pte_load(pte) & PTE_SPECIAL))
		return NULL;
	return pfn_to_page(&f->test.quire->zone, pte_pfn(pte_load(pte)));
}

static bool count_mapping(struct page *page, struct vm_area_struct *vma, uint64_t address,
			  void *argument)
{
	uint32_t *count = argument;
	struct spinlock *ptl;

	assert_int_equal(page_address_in_vma(page, vma), address);
	if (page_vma_mapped(page, vma, address, &ptl)) {
		spin_unlock(ptl);
		(*count)++;
	}
	return true;
}

/* How many entries of all page tables map each frame. */
static void search_page_tables(struct fixture *f, uint32_t *found)
{
	for (uint32_t i = 0; i < f->nr_mms; i++) {
		struct vm_area_struct *vma;

		for_each_vma (f->mms[i], vma)
			for (uint64_t address = vma->vm_start; address < vma->vm_end;
			     address += PAGE_SIZE) {
				struct page *page = page_at(f, f->mms[i], address);

				if (page)
					found[page_to_pfn(&f->test.quire->zone, page)]++;
			}
	}
}

static uint32_t expect_walks_complete(struct fixture *f)
{
	uint32_t found[FRAMES] = {0};
	uint32_t most = 0;

	search_page_tables(f, found);
	for (pfn_t pfn = 0; pfn < FRAMES; pfn++) {
		struct page *page = pfn_to_page(&f->test.quire->zone, pfn);
		uint32_t walked = 0;
		const struct rmap_walk_control control = {.one = count_mapping,
							  .argument = &walked};

		if (!found[pfn])
			continue;
		lock_page(page);
		assert_true(rmap_walk(page, &control));
		unlock_page(page);
		assert_int_equal(walked, found[pfn]);
		assert_int_equal(page_mapcount(page), found[pfn]);
		most = found[pfn] > most ? found[pfn] : most;
	}
	return most;
}

static void random_step(struct fixture *f, struct prng *prng)
{
	const uint32_t who = (uint32_t)prng_below(prng, f->nr_mms);
	const uint64_t bases[] = {f->anon, f->private, f->shared};
	const uint64_t address =
		bases[prng_below(prng, 3)] + (prng_below(prng, PAGES) << PAGE_SHIFT);
	uint32_t error = 0;

	switch (prng_below(prng, 12)) {
	case 0:
		if (f->nr_mms < MOST_MMS)
			fork_mm(f, who);
		break;
	case 1:
		if (f->nr_mms > 1) {
			quire_mm_exit(f->mms[who]);
			f->mms[who] = f->mms[--f->nr_mms];
		}
		break;
	case 2:
		assert_int_equal(quire_munmap(f->mms[who], address, PAGE_SIZE), 0);
		break;
	case 3:
		/* -1 where nothing is mapped. */
		quire_mprotect(f->mms[who], address, PAGE_SIZE,
			       prng_below(prng, 2) ? RW : QUIRE_PROT_READ);
		break;
	case 4:
		quire_mremap(f->mms[who], address, PAGE_SIZE, 2 * PAGE_SIZE, QUIRE_MREMAP_MAYMOVE,
			     0);
		break;
	case 5:
		quire_reclaim(f->test.quire, NULL, prng_below(prng, 20));
		break;
	case 6:
	case 7:
		test_load(f->mms[who], address, &error);
		break;
	default:
		test_store(f->mms[who], address, 1, &error);
	}
}

static void walks_find_precisely_the_mappings(void **state)
{
	uint32_t most = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct fixture f;
		struct prng prng;

		begin(&f);
		prng_seed(&prng, seed);
		for (uint32_t step = 0; step < 400; step++) {
			uint32_t shared;

			random_step(&f, &prng);
			shared = expect_walks_complete(&f);
			most = shared > most ? shared : most;
			if (step % 50 == 0)
				test_instance_check(&f.test);
		}
		end(&f);
	}
	assert_true(most >= 4);
}

static void accessed_bits_are_harvested_once(void **state)
{
	struct fixture f;
	struct page *page;
	quire_mm *child;
	uint64_t vm_flags;

	(void)state;
	begin(&f);
	test_store(f.mms[0], f.anon, 1, NULL);
	page = page_at(&f, f.mms[0], f.anon);
	child = fork_mm(&f, 0);
	assert_int_equal(test_load(child, f.anon, NULL), 1);
	lock_page(page);
	page_referenced(page, &vm_flags, NULL);
	assert_int_equal(page_referenced(page, &vm_flags, NULL), 0);
	unlock_page(page);
	assert_int_equal(test_load(child, f.anon, NULL), 1);
	lock_page(page);
	assert_int_equal(page_referenced(page, &vm_flags, NULL), 1);
	assert_true(vm_flags & VM_WRITE);
	assert_false(vm_flags & VM_LOCKED);
	unlock_page(page);
	assert_int_equal(quire_mlock(f.mms[0], f.anon, PAGE_SIZE), 0);
	page = page_at(&f, f.mms[0], f.anon);
	lock_page(page);
	page_referenced(page, &vm_flags, NULL);
	assert_true(vm_flags & VM_LOCKED);
	assert_false(try_to_unmap(page, 0, NULL));
	unlock_page(page);
	assert_int_equal(page_at(&f, f.mms[0], f.anon) == page, 1);
	end(&f);
}

static void cleaning_makes_shared_writes_fault_again(void **state)
{
	struct fixture f;
	struct page *page;
	quire_mm *child;

	(void)state;
	begin(&f);
	child = fork_mm(&f, 0);
	test_store(f.mms[0], f.shared, 1, NULL);
	test_store(child, f.shared, 2, NULL);
	assert_int_equal(test_load(child, f.private, NULL), 2);
	page = page_at(&f, child, f.shared);
	assert_ptr_equal(page_at(&f, f.mms[0], f.shared), page);
	assert_ptr_equal(page_at(&f, child, f.private), page);
	lock_page(page);
	assert_int_equal(page_mkclean(page), 2);
	assert_int_equal(page_mkclean(page), 0);
	unlock_page(page);
	for (uint32_t i = 0; i < 2; i++)
		assert_false(pte_load(pte_find(f.mms[i], f.shared)) & (PTE_WRITE | PTE_DIRTY));
	test_store(child, f.shared, 3, NULL);
	assert_int_equal(test_load(f.mms[0], f.shared, NULL), 3);
	end(&f);
}

/* An entry in swap remembers that nobody shares the page; after a fork it does not say so. */
static void unmapped_anonymous_pages_leave_swap_entries(void **state)
{
	struct fixture f;
	struct quire *quire;
	struct page *page;
	swp_entry_t entry;

	(void)state;
	begin(&f);
	quire = f.test.quire;
	test_store(f.mms[0], f.anon, 1, NULL);
	test_store(f.mms[0], f.anon + PAGE_SIZE, 2, NULL);
	page = page_at(&f, f.mms[0], f.anon);
	lock_page(page);
	assert_true(add_to_swap(quire, page));
	entry = (swp_entry_t){page->private};
	assert_true(try_to_unmap(page, 0, NULL));
	assert_int_equal(swap_count(quire, entry), 1);
	unlock_page(page);
	assert_int_equal(pte_load(pte_find(f.mms[0], f.anon)),
			 swp_entry_to_pte(entry) | SWP_EXCLUSIVE);
	assert_int_equal(stat_read(&f.mms[0]->rss, MM_SWAPENTS), 1);

	fork_mm(&f, 0);
	page = page_at(&f, f.mms[0], f.anon + PAGE_SIZE);
	if (!page) {
		fail(); /* and does not return, which compilers cannot see */
		return;
	}
	assert_int_equal(page_mapcount(page), 2);
	lock_page(page);
	assert_true(add_to_swap(quire, page));
	entry = (swp_entry_t){page->private};
	assert_true(try_to_unmap(page, 0, NULL));
	assert_int_equal(swap_count(quire, entry), 2);
	unlock_page(page);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(pte_load(pte_find(f.mms[i], f.anon + PAGE_SIZE)),
				 swp_entry_to_pte(entry));
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(test_load(f.mms[i], f.anon, NULL), 1);
		assert_int_equal(test_load(f.mms[i], f.anon + PAGE_SIZE, NULL), 2);
	}
	test_instance_check(&f.test);
	end(&f);
}

static void unmapping_a_file_page_keeps_its_dirt(void **state)
{
	struct fixture f;
	struct page *page;

	(void)state;
	begin(&f);
	test_store(f.mms[0], f.shared, 7, NULL);
	assert_int_equal(quire_fsync(f.file), 0);
	test_store(f.mms[0], f.shared, 8, NULL);
	page = page_at(&f, f.mms[0], f.shared);
	lock_page(page);
	assert_true(try_to_unmap(page, 0, NULL));
	assert_true(page_test(page, PG_dirty));
	unlock_page(page);
	assert_int_equal(stat_read(&f.mms[0]->rss, MM_FILEPAGES), 0);
	assert_int_equal(test_load(f.mms[0], f.shared, NULL), 8);
	end(&f);
}

static bool unmap_batched(struct fixture *f, uint64_t address, struct revoke_batch *batch)
{
	struct page *page = page_at(f, f->mms[0], address);
	bool unmapped;

	lock_page(page);
	if (page_anon(page))
		assert_true(add_to_swap(f->test.quire, page));
	unmapped = try_to_unmap(page, 0, batch);
	unlock_page(page);
	return unmapped;
}

/* What CPUs can still store to a file, or what a write would find another frame for, cannot wait.
 */
static void some_revocations_wait(void **state)
{
	struct revoke_batch batch;
	struct fixture f;
	uint64_t before;

	(void)state;
	begin(&f);
	revoke_batch_init(&batch);
	test_store(f.mms[0], f.anon, 1, NULL);
	assert_int_equal(test_load(f.mms[0], f.shared, NULL), 0);
	before = f.test.machine.revokes;
	assert_true(unmap_batched(&f, f.anon, &batch));
	assert_true(unmap_batched(&f, f.shared, &batch));
	assert_int_equal(f.test.machine.revokes, before);
	revoke_batch_flush(&batch);
	assert_int_equal(f.test.machine.revokes, before + 1);

	test_store(f.mms[0], f.shared, 2, NULL);
	before = f.test.machine.revokes;
	assert_true(unmap_batched(&f, f.shared, &batch));
	assert_int_equal(f.test.machine.revokes, before + 1);
	assert_int_equal(test_load(f.mms[0], f.private, NULL), 2);
	before = f.test.machine.revokes;
	assert_true(unmap_batched(&f, f.private, &batch));
	assert_int_equal(f.test.machine.revokes, before + 1);
	assert_int_equal(f.mms[0]->revokes_pending, 0);
	test_instance_check(&f.test);
	assert_int_equal(test_load(f.mms[0], f.anon, NULL), 1);
	end(&f);
}

static void pinned_pages_stay_mapped(void **state)
{
	struct fixture f;
	struct page *page;

	(void)state;
	begin(&f);
	test_store(f.mms[0], f.anon, 1, NULL);
	page = page_at(&f, f.mms[0], f.anon);
	get_page_many(page, GUP_PIN_BIAS);
	assert_int_equal(page_try_dup_anon_rmap(page), -EBUSY);
	lock_page(page);
	assert_true(add_to_swap(f.test.quire, page));
	assert_false(try_to_unmap(page, 0, NULL));
	assert_true(try_to_free_swap(f.test.quire, page));
	unlock_page(page);
	assert_ptr_equal(page_at(&f, f.mms[0], f.anon), page);
	put_page_many(f.test.quire, page, GUP_PIN_BIAS);
	end(&f);
}

/* Truncation takes private copies with it, hole punching leaves them. */
static void ranges_of_a_file_are_unmapped_everywhere(void **state)
{
	struct fixture f;
	struct address_space *mapping;
	quire_mm *child;

	(void)state;
	begin(&f);
	mapping = f.file->f_mapping;
	for (uint64_t i = 0; i < PAGES; i++) {
		test_store(f.mms[0], f.shared + (i << PAGE_SHIFT), 1, NULL);
		test_store(f.mms[0], f.private + (i << PAGE_SHIFT), 2, NULL);
	}
	child = fork_mm(&f, 0);
	test_load(child, f.shared + (5 << PAGE_SHIFT), NULL);
	unmap_mapping_pages(mapping, 4, 6, false);
	for (uint64_t i = 0; i < PAGES; i++) {
		bool inside = i >= 4 && i <= 6;

		assert_int_equal(!page_at(&f, f.mms[0], f.shared + (i << PAGE_SHIFT)), inside);
		assert_non_null(page_at(&f, f.mms[0], f.private + (i << PAGE_SHIFT)));
		assert_non_null(page_at(&f, child, f.private + (i << PAGE_SHIFT)));
	}
	assert_null(page_at(&f, child, f.shared + (5 << PAGE_SHIFT)));
	unmap_mapping_pages(mapping, 6, UINT64_MAX, true);
	for (uint64_t i = 0; i < PAGES; i++) {
		assert_int_equal(!page_at(&f, f.mms[0], f.private + (i << PAGE_SHIFT)), i >= 6);
		assert_int_equal(!page_at(&f, child, f.private + (i << PAGE_SHIFT)), i >= 6);
	}
	test_instance_check(&f.test);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_find_precisely_the_mappings),
		cmocka_unit_test(accessed_bits_are_harvested_once),
		cmocka_unit_test(cleaning_makes_shared_writes_fault_again),
		cmocka_unit_test(unmapped_anonymous_pages_leave_swap_entries),
		cmocka_unit_test(unmapping_a_file_page_keeps_its_dirt),
		cmocka_unit_test(some_revocations_wait),
		cmocka_unit_test(pinned_pages_stay_mapped),
		cmocka_unit_test(ranges_of_a_file_are_unmapped_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
