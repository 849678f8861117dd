/* SPDX-License-Identifier: MIT */
/*
 * Tests of page tables: entries against a naive map, tables that are freed against a naive list of
 * areas, memory that runs out, threads that make the same tables, and what validation finds.
 */
#include "core/pgtable/pgtable.h"

#include "base/fail.h"
#include "base/prng.h"
#include "core/pgtable/fixture_test.h"
#include "core/pgtable/mmu_gather.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static uint64_t live_tables(struct mm_struct *mm)
{
	return atomic_load(&mm->pgtables);
}

static void swap_entries_keep_type_and_slot(void **state)
{
	static const uint64_t slots[] = {0, 1, 4095, (uint64_t)1 << 49};

	(void)state;
	for (uint32_t type = 0; type < MAX_SWAP_AREAS; type++) {
		for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
			swp_entry_t entry = swp_entry(type, slots[i]);
			pteval_t pte = swp_entry_to_pte(entry);

			assert_true(pte_swap(pte) && !pte_present(pte) && !pte_none(pte));
			assert_false(pte_guard(pte));
			assert_int_equal(swp_type(pte_to_swp_entry(pte)), type);
			assert_int_equal(swp_slot(pte_to_swp_entry(pte)), slots[i]);
			assert_int_equal(swp_slot(pte_to_swp_entry(pte | SWP_EXCLUSIVE)), slots[i]);
		}
	}
	assert_true(pte_guard(pte_make_marker(SWP_TYPE_GUARD)));
	assert_false(pte_swap(pte_make_marker(SWP_TYPE_GUARD)));
	assert_false(pte_guard(0) || pte_swap(0));
}

/* Addresses around the borders of tables of every level, each with a few pages. */
static uint64_t place(uint32_t i)
{
	static const uint64_t borders[] = {
		MMAP_MIN_ADDR,
		PMD_SIZE,
		(uint64_t)5 << PMD_SHIFT,
		(uint64_t)1 << PUD_SHIFT,
		(uint64_t)3 << PUD_SHIFT,
		(uint64_t)1 << PGD_SHIFT,
		((uint64_t)200 << PGD_SHIFT) + ((uint64_t)7 << PMD_SHIFT),
		TASK_SIZE_MAX - 8 * PAGE_SIZE,
	};
	uint64_t page = i % 16;

	return borders[i / 16 % ARRAY_SIZE(borders)] + (page - (i / 16 % 8 ? 8 : 0)) * PAGE_SIZE;
}

#define PLACES (8 * 16)

/* The first address from `address` that has a last-level table, told from all places ever used. */
static uint64_t naive_find_next(const bool *touched, uint64_t address, uint64_t end)
{
	uint64_t best = end;

	for (uint32_t i = 0; i < PLACES; i++) {
		uint64_t table = place(i) & ~(PMD_SIZE - 1);

		if (touched[i] && table + PMD_SIZE > address && max_u64(table, address) < best)
			best = max_u64(table, address);
	}
	return best;
}

static void entries_agree_with_map(void **state)
{
	pteval_t model[PLACES] = {0};
	bool touched[PLACES] = {0};
	struct fixture f;
	struct prng prng;
	pte_t *pte;

	(void)state;
	fixture_create(&f, 256);
	prng_seed(&prng, 4);
	for (uint32_t step = 0; step < 20000; step++) {
		uint32_t i = (uint32_t)prng_below(&prng, PLACES);
		uint64_t address = place(i);
		uint64_t end = place((uint32_t)prng_below(&prng, PLACES));

		switch (prng_below(&prng, 8)) {
		case 0:
			pte = pte_alloc(f.mm, address);
			assert_non_null(pte);
			touched[i] = true;
			model[i] = swp_entry_to_pte(swp_entry(step % 8, step));
			set_pte(pte, model[i]);
			break;
		case 1:
			pte = pte_find(f.mm, address);
			if (pte)
				assert_int_equal(pte_exchange(pte, 0), model[i]);
			model[i] = 0;
			break;
		case 2:
			assert_int_equal(pte_find_next(f.mm, address, end, &pte),
					 address < end ? naive_find_next(touched, address, end)
						       : end);
			break;
		default:
			pte = pte_find(f.mm, address);
			assert_true(pte || !model[i]);
			if (pte)
				assert_int_equal(pte_load(pte), model[i]);
		}
	}
	for (uint32_t i = 0; i < PLACES; i++) {
		pte = pte_find(f.mm, place(i));
		if (pte)
			set_pte(pte, 0);
	}
	fixture_destroy(&f);
}

static void lock_is_the_tables(void **state)
{
	struct fixture f;
	struct spinlock *lock;

	(void)state;
	fixture_create(&f, 64);
	lock = pte_lockptr(f.mm, pte_alloc(f.mm, PMD_SIZE));
	assert_ptr_equal(lock, pte_lockptr(f.mm, pte_alloc(f.mm, 2 * PMD_SIZE - PAGE_SIZE)));
	assert_ptr_not_equal(lock, pte_lockptr(f.mm, pte_alloc(f.mm, 2 * PMD_SIZE)));
	spin_lock(lock);
	spin_unlock(lock);
	assert_int_equal(live_tables(f.mm), 5);
	fixture_destroy(&f);
}

static void modify_keeps_what_it_does_not_name(void **state)
{
	pte_t pte = PTE_PRESENT | PTE_WRITE | PTE_DIRTY | PTE_USER;

	(void)state;
	assert_int_equal(pte_modify_bits(&pte, PTE_WRITE, PTE_ACCESSED),
			 PTE_PRESENT | PTE_WRITE | PTE_DIRTY | PTE_USER);
	assert_int_equal(pte_load(&pte), PTE_PRESENT | PTE_DIRTY | PTE_USER | PTE_ACCESSED);
}

/* Areas of the naive model, in order of address, and which tables each level has. */
#define AREAS 12

struct area {
	uint64_t start, end;
};

struct table_model {
	struct area areas[AREAS];
	uint32_t count;
	/* Tables by what they span; for each shift PMD_SHIFT, PUD_SHIFT, PGD_SHIFT. */
	uint64_t tables[3][256];
	uint32_t nr_tables[3];
};

static const uint32_t level_shift[3] = {PMD_SHIFT, PUD_SHIFT, PGD_SHIFT};

static void model_touch(struct table_model *model, uint64_t address)
{
	for (uint32_t level = 0; level < 3; level++) {
		uint64_t span = address >> level_shift[level];
		uint32_t i = 0;

		while (i < model->nr_tables[level] && model->tables[level][i] != span)
			i++;
		if (i == model->nr_tables[level])
			model->tables[level][model->nr_tables[level]++] = span;
	}
}

/* Drops the tables that serve an address of the range and no area any more. */
static void model_free(struct table_model *model, uint64_t start, uint64_t end)
{
	for (uint32_t level = 0; level < 3; level++) {
		for (uint32_t i = model->nr_tables[level]; i-- > 0;) {
			uint64_t first = model->tables[level][i] << level_shift[level];
			uint64_t last = first + ((uint64_t)1 << level_shift[level]) - 1;
			bool used = last < start || first >= end;

			for (uint32_t j = 0; j < model->count; j++)
				used |= model->areas[j].start <= last &&
					model->areas[j].end > first;
			if (!used)
				model->tables[level][i] =
					model->tables[level][--model->nr_tables[level]];
		}
	}
}

static uint64_t model_tables(const struct table_model *model)
{
	return 1 + model->nr_tables[0] + model->nr_tables[1] + model->nr_tables[2];
}

/* A new area somewhere free, with a few entries in it. */
static void area_add(struct fixture *f, struct table_model *model, struct prng *prng)
{
	uint64_t start = place((uint32_t)prng_below(prng, PLACES));
	uint64_t end = start + (prng_below(prng, 700) + 1) * PAGE_SIZE;
	uint32_t i = 0;

	if (model->count == AREAS || end > TASK_SIZE_MAX)
		return;
	while (i < model->count && model->areas[i].end <= start)
		i++;
	if (i < model->count && model->areas[i].start < end)
		return;
	memmove(&model->areas[i + 1], &model->areas[i],
		(model->count++ - i) * sizeof(model->areas[0]));
	model->areas[i] = (struct area){start, end};
	for (uint32_t touch = 0; touch < 4; touch++) {
		uint64_t address =
			start + prng_below(prng, (end - start) >> PAGE_SHIFT) * PAGE_SIZE;

		assert_non_null(pte_alloc(f->mm, address));
		model_touch(model, address);
	}
}

/* Removes one or several neighbouring areas, or a part of one at either end. */
static void area_remove(struct fixture *f, struct table_model *model, struct prng *prng)
{
	struct mmu_gather tlb;

	if (!model->count)
		return;

	uint32_t first = (uint32_t)prng_below(prng, model->count);
	uint32_t n = 1 + (uint32_t)prng_below(prng, min_u64(3, model->count - first));
	uint64_t start = model->areas[first].start;
	uint64_t end = model->areas[first + n - 1].end;
	struct area *area = &model->areas[first];
	uint64_t middle = start + ((area->end - start) / 2 & PAGE_MASK);

	if (prng_below(prng, 2) && middle > start) {
		end = area->end;
		area->end = start = middle;
	} else {
		model->count -= n;
		memmove(area, area + n, (model->count - first) * sizeof(*area));
		first--;
	}

	uint64_t floor = first < model->count ? model->areas[first].end : 0;
	uint64_t ceiling = first + 1 < model->count ? model->areas[first + 1].start : 0;

	tlb_gather_mmu(&tlb, f->mm);
	free_pgtables(&tlb, start, end, floor, ceiling);
	tlb_finish_mmu(&tlb);
	model_free(model, start, end);
}

static void frees_tables_that_serve_nothing(void **state)
{
	struct table_model model = {0};
	struct check_report report = {0};
	struct fixture f;
	struct prng prng;

	(void)state;
	fixture_create(&f, 512);
	prng_seed(&prng, 5);
	for (uint32_t step = 0; step < 5000; step++) {
		if (prng_below(&prng, 2))
			area_add(&f, &model, &prng);
		else
			area_remove(&f, &model, &prng);
		assert_int_equal(live_tables(f.mm), model_tables(&model));
		for (uint32_t i = 0; i < model.nr_tables[0]; i++)
			assert_non_null(pte_find(f.mm, model.tables[0][i] << PMD_SHIFT));
	}
	while (model.count)
		area_remove(&f, &model, &prng);
	/* Only the root is left when no area is. */
	assert_int_equal(live_tables(f.mm), 1);
	assert_true(f.revokes > 0);
	pgtable_validate(f.mm, &report);
	assert_string_equal(report.first, "");
	fixture_destroy(&f);
}

static void revokes_before_a_table_is_free(void **state)
{
	struct mmu_gather tlb;
	struct fixture f;

	(void)state;
	fixture_create(&f, 64);
	assert_non_null(pte_alloc(f.mm, PMD_SIZE));
	tlb_gather_mmu(&tlb, f.mm);
	free_pgtables(&tlb, PMD_SIZE, PMD_SIZE + PAGE_SIZE, 0, 0);
	assert_null(pte_find(f.mm, PMD_SIZE));
	assert_int_equal(f.revokes, 0);
	assert_int_equal(zone_nr_free(&f.quire->zone), 64 - 4);
	tlb_finish_mmu(&tlb);
	assert_int_equal(f.revokes, 1);
	assert_true(f.last.start <= PMD_SIZE && f.last.end > PMD_SIZE);
	assert_int_equal(zone_nr_free(&f.quire->zone), 64 - 1);
	fixture_destroy(&f);
}

static void fails_cleanly_without_frames(void **state)
{
	struct fixture f;
	struct mm_struct *other;

	(void)state;
	fixture_create(&f, 64);
	for (uint64_t nth = 1; nth <= 3; nth++) {
		quire_fail_arm(FAIL_FRAME, nth, true);
		assert_null(pte_alloc(f.mm, nth << PGD_SHIFT));
		assert_true(quire_fail_disarm());
		assert_int_equal(live_tables(f.mm), 64 - zone_nr_free(&f.quire->zone));
		assert_non_null(pte_alloc(f.mm, nth << PGD_SHIFT));
	}
	other = quire_zalloc_aligned(64, sizeof(*other));
	other->quire = f.quire;
	quire_fail_arm(FAIL_FRAME, 1, false);
	assert_int_equal(pgd_alloc(other), -ENOMEM);
	assert_true(quire_fail_disarm());
	quire_free(other);
	fixture_destroy(&f);
}

#define THREADS 4

struct maker {
	struct fixture *f;
	pte_t *found[PLACES];
};

static void *make_all(void *argument)
{
	struct maker *maker = argument;

	for (uint32_t i = 0; i < PLACES; i++)
		maker->found[i] = pte_alloc(maker->f->mm, place(i));
	return NULL;
}

static void threads_make_one_table(void **state)
{
	pthread_t threads[THREADS];
	struct maker makers[THREADS];

	(void)state;
	for (uint32_t round = 0; round < 20; round++) {
		struct fixture f;

		fixture_create(&f, 256);
		for (uint32_t i = 0; i < THREADS; i++) {
			makers[i].f = &f;
			assert_int_equal(pthread_create(&threads[i], NULL, make_all, &makers[i]),
					 0);
		}
		for (uint32_t i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		for (uint32_t i = 0; i < PLACES; i++)
			for (uint32_t j = 0; j < THREADS; j++)
				assert_ptr_equal(makers[j].found[i], pte_find(f.mm, place(i)));
		assert_int_equal(live_tables(f.mm), 256 - zone_nr_free(&f.quire->zone));
		fixture_destroy(&f);
	}
}

static void assert_damage_found(struct fixture *f, pte_t *pte, pteval_t damage)
{
	pteval_t kept = pte_exchange(pte, damage);
	struct check_report report = {0};

	pgtable_validate(f->mm, &report);
	assert_true(report.violations > 0);
	set_pte(pte, kept);
}

static void validation_finds_damage(void **state)
{
	struct check_report report = {0};
	struct fixture f;
	struct page *page;
	pfn_t pfn;
	pte_t *pte;

	(void)state;
	fixture_create(&f, 64);
	pte = pte_alloc(f.mm, PMD_SIZE);
	page = zone_alloc(&f.quire->zone, 0, GFP_ZERO);
	pfn = page_to_pfn(&f.quire->zone, page);
	assert_damage_found(&f, pte, PTE_DIRTY);
	assert_damage_found(&f, pte, swp_entry_to_pte(swp_entry(9, 1)));
	assert_damage_found(&f, pte, swp_entry_to_pte(swp_entry(1, 1)) | PTE_NX);
	assert_damage_found(&f, pte, pfn_pte(64, PTE_PRESENT | PTE_USER));
	assert_damage_found(&f, pte, pfn_pte(pfn, PTE_PRESENT | PTE_USER)); /* not counted */
	assert_damage_found(&f, pte, pfn_pte(f.mm->pgd, PTE_PRESENT | PTE_USER));
	assert_damage_found(&f, pte, pfn_pte(pfn, PTE_PRESENT | PTE_SPECIAL));

	atomic_store(&page->mapcount, 1);
	set_pte(pte, pfn_pte(pfn, PTE_PRESENT | PTE_USER | PTE_NX | PTE_ACCESSED));
	pgtable_validate(f.mm, &report);
	assert_string_equal(report.first, "");
	assert_damage_found(&f, pte, pfn_pte(pfn, PTE_PRESENT | (pteval_t)1 << 7));
	set_pte(pte, 0);
	atomic_store(&page->mapcount, 0);

	atomic_fetch_add(&f.mm->pgtables, 1);
	pgtable_validate(f.mm, &report);
	assert_int_equal(report.violations, 1);
	atomic_fetch_sub(&f.mm->pgtables, 1);
	put_page(f.quire, page);
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(swap_entries_keep_type_and_slot),
		cmocka_unit_test(entries_agree_with_map),
		cmocka_unit_test(lock_is_the_tables),
		cmocka_unit_test(modify_keeps_what_it_does_not_name),
		cmocka_unit_test(frees_tables_that_serve_nothing),
		cmocka_unit_test(revokes_before_a_table_is_free),
		cmocka_unit_test(fails_cleanly_without_frames),
		cmocka_unit_test(threads_make_one_table),
		cmocka_unit_test(validation_finds_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
