/* SPDX-License-Identifier: MIT */
/*
 * Shapes of anon_vmas: over forks, splits, merges and exits, and when memory runs out on the way.
 */
#include "base/fail.h"
#include "core/instance/test_instance.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MEMORY ((uint64_t)4 << 20)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

struct fixture {
	struct test_instance test;
	quire_mm *mm;
	uint64_t base;
};

/* One mapping of `pages` pages, none touched yet. */
static void begin(struct fixture *f, uint64_t pages)
{
	test_instance_create(&f->test, (struct quire_params){.memory = MEMORY});
	assert_int_equal(quire_mm_create(f->test.quire, "main", NULL, &f->mm), 0);
	f->base = quire_mmap(f->mm, 0, pages << PAGE_SHIFT, RW, ANON, NULL, 0);
	assert_true(f->base != QUIRE_MAP_FAILED);
}

static quire_mm *fork_mm(quire_mm *mm)
{
	quire_mm *child;

	assert_int_equal(quire_fork(mm, "child", &child), 0);
	return child;
}

static void store(quire_mm *mm, uint64_t address, uint8_t value)
{
	uint32_t error = 0;

	test_store(mm, address, value, &error);
	assert_int_equal(error, 0);
}

static struct vm_area_struct *vma_of(quire_mm *mm, uint64_t address)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, address);
	mmap_read_unlock(mm);
	assert_non_null(vma);
	return vma;
}

static struct anon_vma *own(quire_mm *mm, uint64_t address)
{
	return atomic_load(&vma_of(mm, address)->anon_vma);
}

static uint32_t chain_length(quire_mm *mm, uint64_t address)
{
	struct anon_vma_chain *avc;
	uint32_t length = 0;

	list_for_each_entry (avc, &vma_of(mm, address)->anon_vma_chain, same_vma)
		length++;
	return length;
}

static void a_vma_gets_its_anon_vma_with_its_first_page(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 4);
	assert_null(own(f.mm, f.base));
	assert_int_equal(test_load(f.mm, f.base, NULL), 0);
	assert_null(own(f.mm, f.base));
	store(f.mm, f.base, 1);
	assert_non_null(own(f.mm, f.base));
	assert_null(own(f.mm, f.base)->parent);
	assert_ptr_equal(anon_vma_root(own(f.mm, f.base)), own(f.mm, f.base));
	assert_int_equal(own(f.mm, f.base)->num_active_vmas, 1);
	assert_int_equal(chain_length(f.mm, f.base), 1);
	quire_mm_exit(f.mm);
	test_instance_destroy(&f.test);
}

static void each_generation_adds_one(void **state)
{
	struct fixture f;
	quire_mm *child, *grandchild;
	struct anon_vma *root;

	(void)state;
	begin(&f, 4);
	store(f.mm, f.base, 1);
	root = own(f.mm, f.base);
	child = fork_mm(f.mm);
	grandchild = fork_mm(child);
	assert_int_equal(chain_length(child, f.base), 2);
	assert_int_equal(chain_length(grandchild, f.base), 3);
	assert_ptr_equal(own(child, f.base)->parent, root);
	assert_ptr_equal(own(grandchild, f.base)->parent, own(child, f.base));
	assert_ptr_equal(anon_vma_root(own(grandchild, f.base)), root);
	assert_int_equal(root->num_children, 1);
	assert_int_equal(atomic_load(&root->refcount), 3);
	test_instance_check(&f.test);
	quire_mm_exit(f.mm);
	test_instance_check(&f.test);
	assert_int_equal(root->num_active_vmas, 0);
	quire_mm_exit(grandchild);
	assert_int_equal(own(child, f.base)->num_children, 0);
	assert_int_equal(chain_length(child, f.base), 2);
	quire_mm_exit(child);
	test_instance_destroy(&f.test);
}

/* An untouched VMA has nothing to share: its copy starts afresh. */
static void forks_of_untouched_vmas_are_strangers(void **state)
{
	struct fixture f;
	quire_mm *child;

	(void)state;
	begin(&f, 4);
	child = fork_mm(f.mm);
	store(f.mm, f.base, 1);
	store(child, f.base, 2);
	assert_ptr_not_equal(own(f.mm, f.base), own(child, f.base));
	assert_null(own(child, f.base)->parent);
	assert_int_equal(test_load(f.mm, f.base, NULL), 1);
	quire_mm_exit(f.mm);
	quire_mm_exit(child);
	test_instance_destroy(&f.test);
}

/* A line of processes, each of which forks and exits: the chain must not grow with it. */
static void a_long_line_of_forks_reuses_what_is_idle(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 4);
	store(f.mm, f.base, 0);
	for (uint8_t generation = 1; generation < 100; generation++) {
		quire_mm *child = fork_mm(f.mm);

		quire_mm_exit(f.mm);
		f.mm = child;
		store(f.mm, f.base, generation);
		assert_true(chain_length(f.mm, f.base) <= 3);
	}
	assert_int_equal(test_load(f.mm, f.base, NULL), 99);
	quire_mm_exit(f.mm);
	test_instance_destroy(&f.test);
}

/* One that two living branches descend from is taken by neither. */
static void a_shared_ancestor_is_not_reused(void **state)
{
	struct fixture f;
	quire_mm *child, *left, *right, *below;
	struct anon_vma *middle;

	(void)state;
	begin(&f, 4);
	store(f.mm, f.base, 1);
	child = fork_mm(f.mm);
	middle = own(child, f.base);
	left = fork_mm(child);
	right = fork_mm(child);
	quire_mm_exit(child);
	assert_int_equal(middle->num_children, 2);
	assert_int_equal(middle->num_active_vmas, 0);
	below = fork_mm(left);
	assert_ptr_not_equal(own(below, f.base), middle);
	quire_mm_exit(below);
	quire_mm_exit(right);
	assert_int_equal(middle->num_children, 1);
	below = fork_mm(left);
	assert_ptr_equal(own(below, f.base), middle);
	assert_int_equal(middle->num_active_vmas, 1);
	test_instance_check(&f.test);
	quire_mm_exit(left);
	quire_mm_exit(below);
	quire_mm_exit(f.mm);
	test_instance_destroy(&f.test);
}

/* Neighbours that differ in protection only share one, so that they can become one VMA again. */
static void mergeable_neighbours_share(void **state)
{
	struct fixture f;
	const uint64_t page = PAGE_SIZE;

	(void)state;
	begin(&f, 3);
	assert_int_equal(quire_mprotect(f.mm, f.base + page, page, RW | QUIRE_PROT_EXEC), 0);
	assert_int_equal(f.mm->map_count, 3);
	store(f.mm, f.base, 1);
	store(f.mm, f.base + page, 2);
	store(f.mm, f.base + 2 * page, 3);
	assert_ptr_equal(own(f.mm, f.base), own(f.mm, f.base + page));
	assert_ptr_equal(own(f.mm, f.base), own(f.mm, f.base + 2 * page));
	assert_int_equal(own(f.mm, f.base)->num_active_vmas, 3);
	assert_int_equal(quire_mprotect(f.mm, f.base + page, page, RW), 0);
	assert_int_equal(f.mm->map_count, 1);
	assert_int_equal(own(f.mm, f.base)->num_active_vmas, 1);
	assert_int_equal(chain_length(f.mm, f.base), 1);
	for (uint8_t i = 0; i < 3; i++)
		assert_int_equal(test_load(f.mm, f.base + i * page, NULL), i + 1);
	quire_mm_exit(f.mm);
	test_instance_destroy(&f.test);
}

/* After a fork a neighbour's pages are not of its own making alone: nothing is taken over. */
static void forked_neighbours_do_not_share(void **state)
{
	struct fixture f;
	quire_mm *child;
	const uint64_t page = PAGE_SIZE;

	(void)state;
	begin(&f, 2);
	assert_int_equal(quire_mprotect(f.mm, f.base + page, page, RW | QUIRE_PROT_EXEC), 0);
	store(f.mm, f.base, 1);
	child = fork_mm(f.mm);
	store(child, f.base + page, 2);
	assert_ptr_not_equal(own(child, f.base), own(child, f.base + page));
	assert_null(own(child, f.base + page)->parent);
	quire_mm_exit(child);
	quire_mm_exit(f.mm);
	test_instance_destroy(&f.test);
}

static void splits_share_and_unmapping_lets_go(void **state)
{
	struct fixture f;
	const uint64_t page = PAGE_SIZE;
	quire_mm *child;

	(void)state;
	begin(&f, 5);
	for (uint8_t i = 0; i < 5; i++)
		store(f.mm, f.base + i * page, i);
	child = fork_mm(f.mm);
	assert_int_equal(quire_munmap(child, f.base + page, page), 0);
	assert_int_equal(quire_mprotect(child, f.base + 3 * page, page, QUIRE_PROT_READ), 0);
	assert_int_equal(child->map_count, 4);
	assert_int_equal(own(child, f.base)->num_active_vmas, 4);
	assert_ptr_equal(own(child, f.base), own(child, f.base + 4 * page));
	assert_int_equal(chain_length(child, f.base + 4 * page), 2);
	test_instance_check(&f.test);
	assert_int_equal(quire_munmap(child, f.base, 5 * page), 0);
	assert_int_equal(own(f.mm, f.base)->num_children, 0);
	quire_mm_exit(child);
	quire_mm_exit(f.mm);
	test_instance_destroy(&f.test);
}

/* Fork, with every allocation failing in turn: the parent stays as it was and nothing is left. */
static void a_failing_fork_leaves_nothing(void **state)
{
	struct fixture f;
	quire_mm *child;
	uint64_t nth = 0;
	int result;

	(void)state;
	begin(&f, 4);
	assert_int_equal(quire_mprotect(f.mm, f.base + PAGE_SIZE, PAGE_SIZE, QUIRE_PROT_READ), 0);
	store(f.mm, f.base, 1);
	store(f.mm, f.base + 2 * PAGE_SIZE, 2);
	do {
		struct anon_vma *parent = own(f.mm, f.base);

		quire_fail_arm(FAIL_ALLOC, ++nth, false);
		result = quire_fork(f.mm, "child", &child);
		if (!quire_fail_disarm())
			break;
		if (!result)
			quire_mm_exit(child);
		else
			assert_int_equal(errno, ENOMEM);
		assert_int_equal(parent->num_children, 0);
		assert_int_equal(atomic_load(&anon_vma_root(parent)->refcount), 1);
		test_instance_check(&f.test);
	} while (nth < 1000);
	assert_true(nth > 4 && nth < 1000);
	assert_int_equal(result, 0);
	assert_int_equal(test_load(child, f.base, NULL), 1);
	quire_mm_exit(child);
	quire_mm_exit(f.mm);
	test_instance_destroy(&f.test);
}

static void validation_finds_a_vma_that_is_missing(void **state)
{
	struct check_report report = {0};
	struct fixture f;
	struct vm_area_struct *vma;

	(void)state;
	begin(&f, 4);
	store(f.mm, f.base, 1);
	vma = vma_of(f.mm, f.base);
	rmap_validate_vma(vma, &report);
	assert_int_equal(report.violations, 0);
	vma_rmap_lock(vma);
	vma_interval_remove(vma);
	vma_rmap_unlock(vma);
	rmap_validate_vma(vma, &report);
	assert_int_equal(report.violations, 1);
	vma_rmap_lock(vma);
	vma_interval_insert(vma);
	vma_rmap_unlock(vma);
	quire_mm_exit(f.mm);
	test_instance_destroy(&f.test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vma_gets_its_anon_vma_with_its_first_page),
		cmocka_unit_test(each_generation_adds_one),
		cmocka_unit_test(forks_of_untouched_vmas_are_strangers),
		cmocka_unit_test(a_long_line_of_forks_reuses_what_is_idle),
		cmocka_unit_test(a_shared_ancestor_is_not_reused),
		cmocka_unit_test(mergeable_neighbours_share),
		cmocka_unit_test(forked_neighbours_do_not_share),
		cmocka_unit_test(splits_share_and_unmapping_lets_go),
		cmocka_unit_test(a_failing_fork_leaves_nothing),
		cmocka_unit_test(validation_finds_a_vma_that_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
