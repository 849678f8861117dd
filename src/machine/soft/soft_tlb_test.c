/* SPDX-License-Identifier: MIT */
/*
 * Tests of the soft machine's TLB against the page table itself: entries are made by hand, outside
 * of any VMA, so that every access they do not allow ends in SEGV_MAPERR.
 */
#include "machine/soft/soft.h"

#include "base/prng.h"
#include "core/pgtable/mmu_gather.h"
#include "machine/soft/fixture_test.h"

#include <errno.h>
#include <string.h>

#define RAW_BASE ((uint64_t)0x1000000000)
#define RW (PTE_PRESENT | PTE_USER | PTE_WRITE | PTE_NX)

static pte_t *raw_pte(struct fixture *f, uint64_t address)
{
	pte_t *pte = pte_alloc(f->mm, address);

	assert_non_null(pte);
	return pte;
}

/* A new frame whose first word is `value`, mapped with these bits. */
static struct page *raw_map(struct fixture *f, uint64_t address, pteval_t bits, uint64_t value)
{
	struct page *page = alloc_page(f->quire, GFP_ZERO);

	assert_non_null(page);
	memcpy(page_address(&f->quire->zone, page), &value, sizeof(value));
	set_pte(raw_pte(f, address), pfn_pte(page_to_pfn(&f->quire->zone, page), bits));
	return page;
}

static void raw_unmap(struct fixture *f, uint64_t address, struct page *page)
{
	pte_exchange(raw_pte(f, address), 0);
	flush_tlb_page(f->mm, address, page_to_pfn(&f->quire->zone, page));
	put_page(f->quire, page);
}

static pteval_t raw_bits(struct fixture *f, uint64_t address)
{
	return pte_load(raw_pte(f, address)) & ~PTE_FRAME_MASK;
}

static void walk_sets_accessed_and_dirty(void **state)
{
	struct fixture f;
	struct page *page;
	uint64_t value;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	page = raw_map(&f, RAW_BASE, RW, 5);
	assert_int_equal(soft_load_u64(f.cpu, RAW_BASE, &value, &f.outcome), 0);
	assert_int_equal(value, 5);
	assert_int_equal(raw_bits(&f, RAW_BASE), RW | PTE_ACCESSED);
	assert_true(soft_tlb_cached(f.cpu, RAW_BASE, QUIRE_ACCESS_READ));
	assert_false(soft_tlb_cached(f.cpu, RAW_BASE, QUIRE_ACCESS_WRITE));
	assert_false(soft_tlb_cached(f.cpu, RAW_BASE, QUIRE_ACCESS_EXEC));

	/* The first write through the clean entry walks again. */
	assert_int_equal(soft_store_u64(f.cpu, RAW_BASE, 6, &f.outcome), 0);
	assert_int_equal(raw_bits(&f, RAW_BASE), RW | PTE_ACCESSED | PTE_DIRTY);
	assert_true(soft_tlb_cached(f.cpu, RAW_BASE, QUIRE_ACCESS_WRITE));
	assert_int_equal(f.cpu->walks, 2);

	/* Until it is revoked, a write through the dirty entry does not look at the table. */
	pte_modify_bits(raw_pte(&f, RAW_BASE), PTE_DIRTY | PTE_ACCESSED, 0);
	assert_int_equal(soft_store_u64(f.cpu, RAW_BASE + 8, 7, &f.outcome), 0);
	assert_int_equal(raw_bits(&f, RAW_BASE), RW);
	flush_tlb_page(f.mm, RAW_BASE, page_to_pfn(&f.quire->zone, page));
	assert_int_equal(soft_store_u64(f.cpu, RAW_BASE, 8, &f.outcome), 0);
	assert_int_equal(raw_bits(&f, RAW_BASE), RW | PTE_ACCESSED | PTE_DIRTY);
	raw_unmap(&f, RAW_BASE, page);
	fixture_destroy(&f);
}

static void refused_access_sets_nothing(void **state)
{
	static const struct {
		pteval_t bits;
		int access;
	} cases[] = {
		{PTE_PRESENT | PTE_USER | PTE_NX, QUIRE_ACCESS_WRITE},
		{PTE_PRESENT | PTE_USER | PTE_NX, QUIRE_ACCESS_EXEC},
		{PTE_PRESENT | PTE_WRITE, QUIRE_ACCESS_READ},
		{PTE_PRESENT | PTE_WRITE, QUIRE_ACCESS_WRITE},
		{PTE_USER | PTE_WRITE, QUIRE_ACCESS_READ},
	};
	struct fixture f;
	uint64_t value;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct page *page = raw_map(&f, RAW_BASE, cases[i].bits, 0);
		int error;

		if (cases[i].access == QUIRE_ACCESS_WRITE)
			error = soft_store_u64(f.cpu, RAW_BASE, 1, &f.outcome);
		else if (cases[i].access == QUIRE_ACCESS_EXEC)
			error = soft_fetch(f.cpu, RAW_BASE, &value, 1, &f.outcome);
		else
			error = soft_load_u64(f.cpu, RAW_BASE, &value, &f.outcome);
		assert_int_equal(error, -EFAULT);
		assert_int_equal(f.outcome.signal, QUIRE_SEGV_MAPERR);
		assert_int_equal(raw_bits(&f, RAW_BASE), cases[i].bits);
		raw_unmap(&f, RAW_BASE, page);
	}
	fixture_destroy(&f);
}

static void revocation_hits_its_range_only(void **state)
{
	struct fixture f;
	struct page *pages[4];
	struct mmu_gather tlb;
	uint64_t value;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	for (uint64_t i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = raw_map(&f, RAW_BASE + i * PAGE_SIZE, RW, i);
		assert_int_equal(soft_load_u64(f.cpu, RAW_BASE + i * PAGE_SIZE, &value, &f.outcome),
				 0);
	}
	flush_tlb_page(f.mm, RAW_BASE + PAGE_SIZE, page_to_pfn(&f.quire->zone, pages[1]));
	for (uint64_t i = 0; i < ARRAY_SIZE(pages); i++)
		assert_int_equal(
			soft_tlb_cached(f.cpu, RAW_BASE + i * PAGE_SIZE, QUIRE_ACCESS_READ),
			i != 1);
	/* Larger than the TLB, and ending within it. */
	tlb_gather_mmu(&tlb, f.mm);
	tlb_note(&tlb, RAW_BASE - 2 * SOFT_TLB_ENTRIES * PAGE_SIZE, 0);
	tlb_note(&tlb, RAW_BASE + 2 * PAGE_SIZE, page_to_pfn(&f.quire->zone, pages[2]));
	tlb_finish_mmu(&tlb);
	for (uint64_t i = 0; i < ARRAY_SIZE(pages); i++)
		assert_int_equal(
			soft_tlb_cached(f.cpu, RAW_BASE + i * PAGE_SIZE, QUIRE_ACCESS_READ),
			i == 3);
	for (uint64_t i = 0; i < ARRAY_SIZE(pages); i++)
		raw_unmap(&f, RAW_BASE + i * PAGE_SIZE, pages[i]);
	fixture_destroy(&f);
}

static void switch_forgets_all(void **state)
{
	struct fixture f;
	struct page *page;
	quire_mm *other;
	uint64_t value;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	assert_int_equal(quire_mm_create(f.quire, "other", NULL, &other), 0);
	page = raw_map(&f, RAW_BASE, RW, 1);
	assert_int_equal(soft_load_u64(f.cpu, RAW_BASE, &value, &f.outcome), 0);
	soft_cpu_switch(f.cpu, other);
	assert_int_equal(soft_load_u64(f.cpu, RAW_BASE, &value, &f.outcome), -EFAULT);
	/* Revoked where the CPU is not any more. */
	raw_unmap(&f, RAW_BASE, page);
	soft_cpu_switch(f.cpu, f.mm);
	assert_int_equal(soft_load_u64(f.cpu, RAW_BASE, &value, &f.outcome), -EFAULT);
	quire_mm_exit(other);
	fixture_destroy(&f);
}

/* Pages of the property test: neighbours, and others that share their places in the TLB. */
#define PAGES 48

static uint64_t model_address(uint64_t i)
{
	return RAW_BASE + (i % 8 + i / 8 * SOFT_TLB_ENTRIES) * PAGE_SIZE;
}

struct model {
	struct page *page[PAGES];
	pteval_t bits[PAGES]; /* permissions */
	uint64_t word[PAGES]; /* first word of the frame */
	pteval_t seen[PAGES]; /* accessed and dirty bits that must be set */
};

static bool model_allows(const struct model *model, uint64_t i, int access)
{
	pteval_t bits = model->bits[i];

	if (!model->page[i] || !(bits & PTE_USER))
		return false;
	if (access == QUIRE_ACCESS_WRITE)
		return bits & PTE_WRITE;
	return access == QUIRE_ACCESS_READ || !(bits & PTE_NX);
}

static void model_access(struct fixture *f, struct soft_cpu *cpu, struct model *model,
			 struct prng *prng)
{
	uint64_t i = prng_below(prng, PAGES), address = model_address(i);
	int access = (int)prng_below(prng, 3);
	uint64_t value = prng_next(prng);
	int expected = model_allows(model, i, access) ? 0 : -EFAULT;

	if (access == QUIRE_ACCESS_WRITE) {
		assert_int_equal(soft_store_u64(cpu, address, value, &f->outcome), expected);
		if (!expected) {
			model->word[i] = value;
			model->seen[i] |= PTE_DIRTY;
		}
	} else {
		assert_int_equal(access == QUIRE_ACCESS_READ
					 ? soft_load_u64(cpu, address, &value, &f->outcome)
					 : soft_fetch(cpu, address, &value, 8, &f->outcome),
				 expected);
		if (!expected)
			assert_int_equal(value, model->word[i]);
	}
	if (!expected)
		model->seen[i] |= PTE_ACCESSED;
}

static void model_change(struct fixture *f, struct model *model, struct prng *prng)
{
	uint64_t i = prng_below(prng, PAGES), address = model_address(i);
	pteval_t bit = (pteval_t[]){PTE_WRITE, PTE_USER, PTE_NX}[prng_below(prng, 3)];
	bool set = prng_below(prng, 2);

	if (!model->page[i]) {
		model->word[i] = prng_next(prng);
		model->bits[i] = RW;
		model->seen[i] = 0;
		model->page[i] = raw_map(f, address, RW, model->word[i]);
	} else if (!prng_below(prng, 3)) {
		raw_unmap(f, address, model->page[i]);
		model->page[i] = NULL;
	} else {
		pteval_t old = pte_modify_bits(raw_pte(f, address), set ? 0 : bit, set ? bit : 0);

		/* More permissions need no revocation. */
		if ((bit == PTE_NX) == set)
			flush_tlb_page(f->mm, address, pte_pfn(old));
		model->bits[i] = set ? model->bits[i] | bit : model->bits[i] & ~bit;
		assert_int_equal(old & model->seen[i], model->seen[i]);
	}
}

static void agrees_with_page_table(void **state)
{
	struct model model = {0};
	struct soft_cpu *cpus[3];
	struct fixture f;
	struct prng prng;

	(void)state;
	fixture_create(&f, NULL, 4 << 20);
	cpus[0] = f.cpu;
	for (uint32_t i = 1; i < ARRAY_SIZE(cpus); i++) {
		assert_int_equal(soft_cpu_create(f.machine, &cpus[i]), 0);
		soft_cpu_switch(cpus[i], f.mm);
	}
	prng_seed(&prng, 8);
	for (uint32_t step = 0; step < 60000; step++) {
		if (!prng_below(&prng, 4))
			model_change(&f, &model, &prng);
		else
			model_access(&f, cpus[prng_below(&prng, ARRAY_SIZE(cpus))], &model, &prng);
		if (step % 1000 == 0)
			soft_cpu_switch(cpus[1], f.mm);
	}
	for (uint64_t i = 0; i < PAGES; i++)
		if (model.page[i])
			raw_unmap(&f, model_address(i), model.page[i]);
	for (uint32_t i = 1; i < ARRAY_SIZE(cpus); i++)
		soft_cpu_destroy(cpus[i]);
	fixture_destroy(&f);
}

static void counted_clock_repeats(void **state)
{
	struct soft_params real = {.real_clock = true};
	struct quire_machine *machine;
	uint64_t first, second;

	(void)state;
	for (uint32_t run = 0; run < 2; run++) {
		assert_int_equal(soft_machine_create(NULL, &machine), 0);
		first = machine->ops->now(machine);
		second = machine->ops->now(machine);
		assert_int_equal(first, 1000);
		assert_int_equal(second, 2000);
		soft_machine_advance(machine, 5000000000);
		assert_int_equal(machine->ops->now(machine), 5000003000);
		soft_machine_destroy(machine);
	}
	assert_int_equal(soft_machine_create(&real, &machine), 0);
	first = machine->ops->now(machine);
	assert_true(machine->ops->now(machine) >= first);
	soft_machine_destroy(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walk_sets_accessed_and_dirty),
		cmocka_unit_test(refused_access_sets_nothing),
		cmocka_unit_test(revocation_hits_its_range_only),
		cmocka_unit_test(switch_forgets_all),
		cmocka_unit_test(agrees_with_page_table),
		cmocka_unit_test(counted_clock_repeats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
