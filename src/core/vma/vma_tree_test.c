/* SPDX-License-Identifier: MIT */
/*
 * Lookup among few and many VMAs against a scan of the list, while they come and go; by many
 * threads beside a writer; and that validation finds damage.
 */
#include "base/prng.h"
#include "core/vma/internal.h"
#include "core/vma/vma_fixture_test.h"

#include <pthread.h>

/* Enough for the index to be there, three levels high. */
#define MANY 1500

static struct vm_area_struct *scan(struct mm_struct *mm, uint64_t address)
{
	struct vm_area_struct *vma;

	for_each_vma (mm, vma)
		if (vma->vm_end > address)
			return vma;
	return NULL;
}

/* Every second page of [0, pages) with another protection, so that nothing merges. */
static void map_alternating(struct mm_struct *mm, uint64_t pages)
{
	for (uint64_t page = 0; page < pages; page++)
		map(mm, page, 1, page % 2 ? R : RW);
	assert_int_equal(mm->map_count, pages);
}

static void compare(struct mm_struct *mm, uint64_t address)
{
	struct vm_area_struct *expected = scan(mm, address);
	struct vm_area_struct *prev;

	assert_ptr_equal(find_vma(mm, address), expected);
	assert_ptr_equal(find_vma_prev(mm, address, &prev), expected);
	if (expected)
		assert_ptr_equal(prev, vma_prev(expected));
	else
		assert_ptr_equal(prev ? vma_next(prev) : NULL, NULL);
	assert_ptr_equal(vma_lookup(mm, address),
			 expected && expected->vm_start <= address ? expected : NULL);
	assert_ptr_equal(find_vma_intersection(mm, address, address + PAGE_SIZE),
			 expected && expected->vm_start < address + PAGE_SIZE ? expected : NULL);
}

static void lookup_while_changing(struct mm_struct *mm, uint64_t pages, uint64_t seed)
{
	struct prng prng;

	prng_seed(&prng, seed);
	for (int i = 0; i < 2000; i++) {
		uint64_t page = prng_below(&prng, pages);

		for (int j = 0; j < 3; j++)
			compare(mm, at(prng_below(&prng, pages + 4)) + prng_below(&prng, 4096));
		compare(mm, at(page));
		switch (prng_below(&prng, 4)) {
		case 0:
			unmap(mm, page, 1 + prng_below(&prng, 3));
			break;
		case 1:
			map(mm, page, 1 + prng_below(&prng, 3), (uint32_t)prng_below(&prng, 8));
			break;
		default:
			map(mm, page, 1, page % 2 ? R : RW);
		}
		compare(mm, at(page));
		compare(mm, at(page + 1));
	}
	check_mm(mm);
}

static void test_few(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	compare(mm, at(0));
	map_alternating(mm, 40);
	assert_null(mm->vma_index);
	lookup_while_changing(mm, 40, 1);
}

static void test_many(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map_alternating(mm, MANY);
	assert_non_null(mm->vma_index);
	assert_int_equal(mm->vma_index_height, 2);
	lookup_while_changing(mm, MANY, 2);
}

/* The index is a help only: without memory for it all goes on. */
static void test_many_without_index(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	bool failed = true;

	map_alternating(mm, VMA_INDEX_MIN - 1);
	assert_null(mm->vma_index);
	/* The VMA itself is the first allocation, then come the nodes. */
	for (uint64_t n = 2; failed; n++) {
		quire_fail_arm(FAIL_ALLOC, n, false);
		map(mm, VMA_INDEX_MIN - 1, 1, R);
		failed = quire_fail_disarm();
		assert_int_equal(mm->vma_index == NULL, failed);
		check_mm(mm);
		compare(mm, at(7));
		if (failed)
			unmap(mm, VMA_INDEX_MIN - 1, 1);
	}
	/* It also goes when it cannot grow, and comes back. */
	for (uint64_t page = VMA_INDEX_MIN; mm->vma_index; page++) {
		quire_fail_arm(FAIL_ALLOC, 2, false);
		map(mm, page, 1, page % 2 ? R : RW);
		failed = quire_fail_disarm();
		assert_int_equal(mm->vma_index == NULL, failed);
		compare(mm, at(page));
	}
	check_mm(mm);
	map_alternating(mm, 2 * VMA_INDEX_MIN);
	assert_non_null(mm->vma_index);
	check_mm(mm);
}

/* It shrinks again, down to nothing. */
static void test_index_shrinks(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct prng prng;

	prng_seed(&prng, 4);
	map_alternating(mm, MANY);
	while (mm->map_count) {
		uint64_t page = prng_below(&prng, MANY);

		unmap(mm, page, mm->map_count > 100 ? 1 + prng_below(&prng, 3) : 64);
		compare(mm, at(page));
		if (mm->map_count % 50 == 0)
			check_mm(mm);
	}
	assert_non_null(mm->vma_index);
	assert_int_equal(mm->vma_index_height, 0);
	map(mm, 5, 1, R);
	compare(mm, at(5));
	check_mm(mm);
}

struct readers {
	struct mm_struct *mm;
	_Atomic bool stop;
	_Atomic uint32_t started;
};

static void *read_areas(void *argument)
{
	struct readers *readers = argument;
	struct mm_struct *mm = readers->mm;
	struct prng prng;

	prng_seed(&prng, atomic_fetch_add(&readers->started, 1));
	while (!atomic_load(&readers->stop)) {
		uint64_t address = at(prng_below(&prng, MANY));
		struct vm_area_struct *vma;

		mmap_read_lock(mm);
		vma = find_vma(mm, address);
		/* The writer leaves a gap of one page at most. */
		assert_non_null(vma);
		assert_true(vma->vm_end > address && vma->vm_start <= address + PAGE_SIZE);
		assert_ptr_equal(vma->vm_mm, mm);
		mmap_read_unlock(mm);
	}
	return NULL;
}

static void test_readers_beside_writer(void **state)
{
	struct readers readers = {.mm = fixture_mm(state)};
	struct prng prng;
	pthread_t threads[2];

	prng_seed(&prng, 3);
	map_alternating(readers.mm, MANY + 1);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_areas, &readers), 0);
	for (int i = 0; i < 3000; i++) {
		uint64_t page = prng_below(&prng, MANY);

		protect(readers.mm, page, 1, (uint32_t)prng_below(&prng, 8));
		unmap(readers.mm, page, 1);
		map(readers.mm, page, 1, page % 2 ? R : RW);
	}
	atomic_store(&readers.stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	check_mm(readers.mm);
}

static void expect_violation(struct mm_struct *mm, const char *part)
{
	struct check_report report = {0};

	mmap_write_lock(mm);
	mm_validate(mm, &report);
	mmap_write_unlock(mm);
	assert_true(report.violations > 0);
	if (!strstr(report.first, part))
		fail_msg("found \"%s\", not \"%s\"", report.first, part);
}

static void test_validation_finds_damage(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct vm_area_struct *vma;

	map_alternating(mm, 10);
	vma = vma_at(mm, 4);
	mm->map_count++;
	expect_violation(mm, "map_count");
	mm->map_count--;
	mm->total_vm += 2;
	expect_violation(mm, "total_vm");
	mm->total_vm -= 2;
	mm->locked_vm++;
	expect_violation(mm, "locked_vm");
	mm->locked_vm--;
	mm->highest_vm_end += PAGE_SIZE;
	expect_violation(mm, "highest_vm_end");
	mm->highest_vm_end -= PAGE_SIZE;
	vma->rb_subtree_gap += PAGE_SIZE;
	expect_violation(mm, "value");
	vma->rb_subtree_gap -= PAGE_SIZE;
	vma->vm_end += PAGE_SIZE;
	expect_violation(mm, "not behind");
	vma->vm_end -= PAGE_SIZE - 1;
	expect_violation(mm, "aligned");
	vma->vm_end -= 1;
	vma->vm_page_prot ^= 2;
	expect_violation(mm, "protection");
	vma->vm_page_prot ^= 2;
	vma->vm_flags |= VM_SHARED;
	expect_violation(mm, "shared");
	vma->vm_flags &= ~(uint64_t)(VM_SHARED | VM_MAYWRITE);
	expect_violation(mm, "allows more");
	vma->vm_flags |= VM_MAYWRITE;
	check_mm(mm);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_few),
		TEST(test_many),
		TEST(test_many_without_index),
		TEST(test_index_shrinks),
		TEST(test_readers_beside_writer),
		TEST(test_validation_finds_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
