/* SPDX-License-Identifier: MIT */
/*
 * The search for free space against a scan of the list, with random areas, some of which grow down;
 * and where get_unmapped_area() puts things.
 */
#include "base/prng.h"
#include "core/vma/account.h"
#include "core/vma/internal.h"
#include "core/vma/vma_fixture_test.h"

#define PAGES 512

/* Lowest or highest page-aligned address, by trying each gap in turn. */
static int64_t scan(struct mm_struct *mm, const struct vm_unmapped_area_info *info)
{
	struct vm_area_struct *vma;
	int64_t found = -ENOMEM;
	uint64_t gap_start = 0;
	bool last = false;

	vma = list_empty(&mm->mmap) ? NULL
				    : list_first_entry(&mm->mmap, struct vm_area_struct, vm_list);
	while (!last) {
		uint64_t gap_end = vma ? vm_start_gap(vma) : UINT64_MAX;
		uint64_t low = max_u64(gap_start, info->low_limit);
		uint64_t high = min_u64(gap_end, info->high_limit);

		if (low < high && high - low >= info->length) {
			found = (int64_t)(info->topdown ? high - info->length : low);
			if (!info->topdown)
				return found;
		}
		last = !vma;
		gap_start = vma ? vma->vm_end : 0;
		vma = vma ? vma_next(vma) : NULL;
	}
	return found;
}

static void compare(struct mm_struct *mm, struct prng *prng)
{
	uint64_t low = prng_below(prng, PAGES);
	struct vm_unmapped_area_info info = {
		.length = (1 + prng_below(prng, 40)) << PAGE_SHIFT,
		.low_limit = at(low),
		.high_limit = at(low + prng_below(prng, PAGES + 100)),
		.topdown = prng_next(prng) & 1,
	};

	if (prng_below(prng, 8) == 0)
		info.low_limit = MMAP_MIN_ADDR;
	if (prng_below(prng, 8) == 0)
		info.high_limit = mm->task_size;
	assert_int_equal(vm_unmapped_area(mm, &info), scan(mm, &info));
}

static void change(struct mm_struct *mm, struct prng *prng)
{
	uint64_t page = prng_below(prng, PAGES);
	uint64_t pages = 1 + prng_below(prng, 6);
	uint32_t prot = (uint32_t)prng_below(prng, 4);
	uint32_t flags = ANON | (prng_below(prng, 10) ? 0 : QUIRE_MAP_GROWSDOWN);

	if (prng_below(prng, 5) < 2)
		unmap(mm, page, pages);
	else
		assert_int_equal(try_map(mm, page, pages, prot, flags), 0);
}

static void test_search_against_scan(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct prng prng;

	prng_seed(&prng, 11);
	compare(mm, &prng);
	for (int i = 0; i < 3000; i++) {
		change(mm, &prng);
		for (int j = 0; j < 4; j++)
			compare(mm, &prng);
		if (i % 64 == 0)
			check_mm(mm);
	}
}

static void test_placement(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	uint64_t base = mm->mmap_base;
	uint64_t hint = at(5);

	/* Room for 128 MiB of stack and its guard gap. */
	assert_int_equal(base, TASK_SIZE_MAX - ((uint64_t)128 << 20));
	assert_int_equal(get_unmapped_area(mm, 0, PAGE_SIZE, false), base - PAGE_SIZE);
	assert_int_equal(get_unmapped_area(mm, hint, PAGE_SIZE, false), hint);
	map(mm, 5, 1, RW);
	assert_int_equal(get_unmapped_area(mm, hint, PAGE_SIZE, false), base - PAGE_SIZE);
	assert_int_equal(get_unmapped_area(mm, 0, PAGE_SIZE, true), 0x40000000);
	assert_int_equal(get_unmapped_area(mm, 0, (uint64_t)1 << 30, true), 0x40000000);
	assert_int_equal(get_unmapped_area(mm, 0, ((uint64_t)1 << 30) + PAGE_SIZE, true), -ENOMEM);
	assert_int_equal(get_unmapped_area(mm, 0, TASK_SIZE_MAX, false), -ENOMEM);
	assert_int_equal(get_unmapped_area(mm, 0, TASK_SIZE_MAX + PAGE_SIZE, false), -ENOMEM);
}

/* Nothing below mmap_base fits: the space above is tried, from a third of the address space up. */
static void test_fallback_bottom_up(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	uint64_t low = MMAP_MIN_ADDR;
	struct vm_area_struct *vma;

	mmap_write_lock(mm);
	vma = vm_area_alloc(mm);
	assert_non_null(vma);
	vma->vm_start = low;
	vma->vm_end = mm->mmap_base;
	vma_link(mm, vma);
	assert_int_equal(get_unmapped_area(mm, 0, PAGE_SIZE, false), mm->mmap_base);
	vma_unlink(mm, vma);
	vm_area_free(vma);
	mmap_write_unlock(mm);
}

static void test_guard_gap(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	assert_int_equal(try_map(mm, 1000, 4, RW, ANON | QUIRE_MAP_GROWSDOWN), 0);
	assert_int_equal(get_unmapped_area(mm, at(1000 - 256), PAGE_SIZE, false),
			 mm->mmap_base - PAGE_SIZE);
	assert_int_equal(get_unmapped_area(mm, at(1000 - 257), PAGE_SIZE, false), at(1000 - 257));
}

static void test_random_layout(void **state)
{
	struct vma_fixture *fixture = *state;
	struct mm_struct *other;
	struct mm_struct *mm = fixture->mm;

	assert_int_equal(mm_alloc(mm->quire, "other", NULL, &other), 0);
	assert_int_not_equal(mm->mmap_base, other->mmap_base);
	assert_int_not_equal(mm->start_brk, other->start_brk);
	assert_int_not_equal(mm->start_stack, other->start_stack);
	for (int i = 0; i < 100; i++) {
		arch_pick_mmap_layout(mm);
		assert_int_equal(PAGE_OFFSET(mm->mmap_base), 0);
		assert_true(mm->mmap_base <= TASK_SIZE_MAX - STACK_GUARD_GAP);
		assert_true(mm->mmap_base > TASK_SIZE_MAX / 3);
		assert_true(randomize_stack_top(mm) > mm->mmap_base);
		assert_true(elf_et_dyn_base(mm) < mm->mmap_base);
	}
	mm_destroy(other);
}

static int setup_seeded(void **state)
{
	return fixture_setup_with(state, (struct quire_params){.memory = 4 << 20, .seed = 42});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_search_against_scan),
		TEST(test_placement),
		TEST(test_fallback_bottom_up),
		TEST(test_guard_gap),
		cmocka_unit_test_setup_teardown(test_random_layout, setup_seeded, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
