/* SPDX-License-Identifier: MIT */
/*
 * Birth of an mm with every failure on the way; its limits, layout and page protections; what the
 * instance may commit.
 */
#include "core/pgtable/pgtable.h"
#include "core/vma/account.h"
#include "core/vma/vma_fixture_test.h"

/* That nothing leaks shows at the end of the test, when the instance goes. */
static void sweep(struct quire *quire, enum fail_site site)
{
	bool failed = true;

	for (uint64_t n = 1; failed; n++) {
		struct mm_struct *mm;
		int error;

		quire_fail_arm(site, n, false);
		error = mm_alloc(quire, "new", NULL, &mm);
		failed = quire_fail_disarm();
		assert_int_equal(error, failed ? -ENOMEM : 0);
		if (!error)
			mm_destroy(mm);
	}
}

static void test_failures(void **state)
{
	struct vma_fixture *fixture = *state;

	sweep(fixture->instance.quire, FAIL_ALLOC);
	sweep(fixture->instance.quire, FAIL_MACHINE);
	test_instance_check(&fixture->instance);
	assert_int_equal(atomic_load(&fixture->instance.machine.contexts), 1);
}

static void test_fields(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct mm_struct *other;

	assert_string_equal(mm->name, "test");
	assert_int_equal(mm->task_size, TASK_SIZE_MAX);
	assert_int_equal(mm->limit[LIMIT_AS], LIMIT_INFINITY);
	assert_int_equal(mm->limit[LIMIT_DATA], LIMIT_INFINITY);
	assert_int_equal(mm->limit[LIMIT_STACK], 8 << 20);
	assert_int_equal(mm->limit[LIMIT_MEMLOCK], 8 << 20);
	assert_int_equal(mm->start_brk, 0x555555554000);
	assert_int_equal(mm->brk, mm->start_brk);
	assert_int_equal(mm->start_stack, TASK_SIZE_MAX);
	/* In a group of another, which stays when the mm goes. */
	assert_int_equal(mm_alloc(mm->quire, "a name that is longer than there is room for",
				  mm->memcg, &other),
			 0);
	assert_int_equal(strlen(other->name), sizeof(other->name) - 1);
	assert_ptr_equal(other->memcg, mm->memcg);
	assert_int_not_equal(other->id, mm->id);
	mm_destroy(other);
}

/* mmap_base leaves room for the stack that the limit allows, within bounds. */
static void test_layout_follows_stack_limit(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	uint64_t gigabyte = (uint64_t)1 << 30;

	mm->limit[LIMIT_STACK] = gigabyte;
	arch_pick_mmap_layout(mm);
	assert_int_equal(mm->mmap_base, TASK_SIZE_MAX - gigabyte - STACK_GUARD_GAP);
	mm->limit[LIMIT_STACK] = 0;
	arch_pick_mmap_layout(mm);
	assert_int_equal(mm->mmap_base, TASK_SIZE_MAX - gigabyte / 8);
	mm->limit[LIMIT_STACK] = LIMIT_INFINITY;
	arch_pick_mmap_layout(mm);
	assert_int_equal(mm->mmap_base, PAGE_ALIGN(TASK_SIZE_MAX - TASK_SIZE_MAX / 6 * 5));
}

static void test_page_protections(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);
	struct vm_area_struct *vma;

	assert_int_equal(vm_get_page_prot(0), PTE_PRESENT | PTE_NX);
	assert_int_equal(vm_get_page_prot(VM_READ), PTE_PRESENT | PTE_USER | PTE_NX);
	assert_int_equal(vm_get_page_prot(VM_EXEC), PTE_PRESENT | PTE_USER);
	/* Private: the first write copies. */
	assert_int_equal(vm_get_page_prot(VM_WRITE), PTE_PRESENT | PTE_USER | PTE_NX);
	assert_int_equal(vm_get_page_prot(VM_WRITE | VM_SHARED),
			 PTE_PRESENT | PTE_USER | PTE_NX | PTE_WRITE);
	/* Memory objects need not know of the first write, regular files do. */
	map_file(mm, 10, 1, file, 0);
	protect(mm, 10, 1, RW);
	vma = vma_at(mm, 10);
	assert_true(vma->vm_page_prot & PTE_WRITE);
	file->f_inode->kind = INODE_REGULAR;
	vma_set_page_prot(vma);
	assert_false(vma->vm_page_prot & PTE_WRITE);
	file->f_inode->kind = INODE_SHMEM;
	vma_set_page_prot(vma);
	check_mm(mm);
	fput(file);
}

static void test_lock_limit(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	mm->limit[LIMIT_MEMLOCK] = 0;
	assert_int_equal(mlock_limit_check(mm, 0, -ENOMEM), -EPERM);
	mm->limit[LIMIT_MEMLOCK] = 3 * PAGE_SIZE + 100;
	assert_int_equal(mlock_limit_check(mm, 3, -ENOMEM), 0);
	assert_int_equal(mlock_limit_check(mm, 4, -ENOMEM), -ENOMEM);
	assert_int_equal(mlock_limit_check(mm, 4, -EAGAIN), -EAGAIN);
	assert_int_equal(mlock_limit_check(mm, UINT64_MAX, -EAGAIN), -EAGAIN);
	mm->may_lock = true;
	assert_int_equal(mlock_limit_check(mm, 4, -EAGAIN), 0);
}

static void test_commit_limit_counts_swap(void **state)
{
	struct vma_fixture *fixture = *state;
	struct quire *quire = fixture->instance.quire;

	/* A quarter of 1024 frames. */
	assert_int_equal(vm_commit_limit(quire), 256);
	test_instance_add_swap(&fixture->instance, 100);
	assert_int_equal(vm_commit_limit(quire), 356);
	assert_int_equal(vm_commit_memory(quire, 356), 0);
	assert_int_equal(vm_commit_memory(quire, 1), -ENOMEM);
	vm_unacct_memory(quire, 1);
	assert_int_equal(vm_commit_memory(quire, 1), 0);
	vm_unacct_memory(quire, 356);
}

static int setup_never(void **state)
{
	return fixture_setup_with(state, (struct quire_params){
						 .memory = 4 << 20,
						 .overcommit = QUIRE_OVERCOMMIT_NEVER,
						 .overcommit_ratio = 25,
					 });
}

static void test_overcommit_always(void **state)
{
	struct quire *quire = fixture_mm(state)->quire;

	assert_int_equal(vm_commit_memory(quire, (uint64_t)1 << 40), 0);
	assert_int_equal(vm_commit_memory(quire, (uint64_t)1 << 40), 0);
	vm_unacct_memory(quire, (uint64_t)1 << 41);
}

static int setup_always(void **state)
{
	return fixture_setup_with(state, (struct quire_params){
						 .memory = 4 << 20,
						 .overcommit = QUIRE_OVERCOMMIT_ALWAYS,
					 });
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_failures),
		TEST(test_fields),
		TEST(test_layout_follows_stack_limit),
		TEST(test_page_protections),
		TEST(test_lock_limit),
		cmocka_unit_test_setup_teardown(test_commit_limit_counts_swap, setup_never,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_overcommit_always, setup_always,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
