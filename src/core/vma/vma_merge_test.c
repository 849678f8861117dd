/* SPDX-License-Identifier: MIT */
/*
 * Merging and splitting, case by case: a new range among its neighbours, changed flags at each
 * place of a VMA, and what forbids or limits a merge.
 */
#include "core/vma/account.h"
#include "core/vma/internal.h"
#include "core/vma/vma_fixture_test.h"

static struct anon_vma *anon_of(struct mm_struct *mm, uint64_t page)
{
	return vma_anon(vma_at(mm, page));
}

static void test_new_range(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map(mm, 10, 2, RW);
	expect_layout(mm, "10-12 rw-");
	map(mm, 20, 2, RW); /* no neighbours */
	expect_layout(mm, "10-12 rw-, 20-22 rw-");
	map(mm, 12, 2, RW); /* previous */
	expect_layout(mm, "10-14 rw-, 20-22 rw-");
	map(mm, 18, 2, RW); /* next */
	expect_layout(mm, "10-14 rw-, 18-22 rw-");
	map(mm, 14, 4, RW); /* both: one VMA less */
	expect_layout(mm, "10-22 rw-");
	assert_int_equal(mm->map_count, 1);
	assert_int_equal(vma_at(mm, 10)->vm_pgoff, at(10) >> PAGE_SHIFT);
}

static void test_new_range_flags(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map(mm, 10, 2, RW);
	map(mm, 14, 2, R);
	map(mm, 12, 2, R); /* the next one only */
	expect_layout(mm, "10-12 rw-, 12-16 r--");
	assert_int_equal(try_map(mm, 16, 2, R, ANON | QUIRE_MAP_STACK), 0);
	assert_int_equal(try_map(mm, 8, 2, RW, ANON | QUIRE_MAP_NORESERVE), 0);
	expect_layout(mm, "8-10 rw-, 10-12 rw-, 12-16 r--, 16-18 r--");
}

static void test_new_range_sequence(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map(mm, 0x300, 3, RW);
	map(mm, 0x250, 3, RW);
	map(mm, 0x303, 3, RW);
	map(mm, 0x24d, 3, RW);
	expect_layout(mm, "589-595 rw-, 768-774 rw-");
	assert_int_equal(mm->map_count, 2);
}

static void test_new_range_file(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);
	struct file *other = test_file(mm);

	map_file(mm, 10, 2, file, 4);
	map_file(mm, 12, 2, file, 7); /* does not continue */
	map_file(mm, 8, 2, file, 2);
	expect_layout(mm, "8-12 r--+2, 12-14 r--+7");
	map_file(mm, 12, 2, other, 6);
	expect_layout(mm, "8-12 r--+2, 12-14 r--+6");
	map_file(mm, 12, 2, file, 6);
	expect_layout(mm, "8-14 r--+2");
	fput(file);
	fput(other);
}

static void test_special_never_merges(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	const uint64_t special[] = {VM_IO, VM_DONTEXPAND, VM_PFNMAP, VM_MIXEDMAP};

	for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
		struct vm_area_struct *vma;
		struct vma_range range = {.mm = mm, .start = at(12), .end = at(14)};

		map(mm, 10, 2, RW);
		vma = vma_at(mm, 10);
		mmap_write_lock(mm);
		vma->vm_flags |= special[i];
		range.vm_flags = vma->vm_flags;
		range.pgoff = range.start >> PAGE_SHIFT;
		assert_null(vma_merge_new_range(&range));
		mmap_write_unlock(mm);
		unmap(mm, 10, 2);
	}
}

static uint32_t closed;

static void count_close(struct vm_area_struct *vma)
{
	(void)vma;
	closed++;
}

static const struct vm_operations_struct close_ops = {.name = "close", .close = count_close};

static void give_close(struct mm_struct *mm, uint64_t page)
{
	struct vm_area_struct *vma = vma_at(mm, page);

	mmap_write_lock(mm);
	vma->vm_ops = &close_ops;
	mmap_write_unlock(mm);
}

/* A range with the operations of VMAs that have a close of their own. */
static struct vm_area_struct *merge_with_close(struct mm_struct *mm, uint64_t first, uint64_t end)
{
	const struct vma_range range = {
		.mm = mm,
		.start = at(first),
		.end = at(end),
		.vm_flags = vma_at(mm, 10)->vm_flags,
		.pgoff = at(first) >> PAGE_SHIFT,
		.vm_ops = &close_ops,
	};
	struct vm_area_struct *vma;

	mmap_write_lock(mm);
	vma = vma_merge_new_range(&range);
	if (vma) {
		vm_stat_account(mm, range.file, range.vm_flags, (int64_t)(end - first));
		vm_acct_memory(mm->quire, end - first);
	}
	mmap_write_unlock(mm);
	return vma;
}

static void test_close_new_range(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	closed = 0;
	map(mm, 10, 2, RW);
	map(mm, 16, 2, RW);
	give_close(mm, 10);
	give_close(mm, 16);
	assert_non_null(merge_with_close(mm, 12, 13));
	expect_layout(mm, "10-13 rw-, 16-18 rw-");
	/* Both fit, but the next one must stay. */
	assert_non_null(merge_with_close(mm, 13, 16));
	expect_layout(mm, "10-16 rw-, 16-18 rw-");
	assert_int_equal(closed, 0);
	unmap(mm, 9, 20);
	assert_int_equal(closed, 2);
}

static void test_close_modify(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	closed = 0;
	map(mm, 10, 2, RW);
	map(mm, 12, 2, R);
	map(mm, 14, 2, RW);
	give_close(mm, 10);
	give_close(mm, 12);
	give_close(mm, 14);
	/* The middle one would have to be deleted. */
	protect(mm, 12, 2, RW);
	expect_layout(mm, "10-12 rw-, 12-14 rw-, 14-16 rw-");
	/* A boundary may be shifted all the same. */
	protect(mm, 12, 2, R);
	protect(mm, 12, 1, RW);
	expect_layout(mm, "10-13 rw-, 13-14 r--, 14-16 rw-");
	assert_int_equal(closed, 0);
	unmap(mm, 10, 6);
	assert_int_equal(closed, 3);
}

static void test_next_without_close_is_deleted(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	closed = 0;
	map(mm, 10, 2, RW);
	map(mm, 12, 2, R);
	map(mm, 14, 2, RW);
	protect(mm, 12, 2, RW);
	expect_layout(mm, "10-16 rw-");
	assert_int_equal(mm->map_count, 1);
}

static void test_modify(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);

	map_file(mm, 10, 3, file, 0);
	protect(mm, 11, 1, RW); /* middle: three */
	expect_layout(mm, "10-11 r--+0, 11-12 rw-+1, 12-13 r--+2");
	protect(mm, 11, 1, R); /* whole, like both neighbours: one */
	expect_layout(mm, "10-13 r--+0");
	protect(mm, 10, 1, RW); /* left edge: two */
	expect_layout(mm, "10-11 rw-+0, 11-13 r--+1");
	protect(mm, 11, 1, RW); /* like the previous one: boundary up */
	expect_layout(mm, "10-12 rw-+0, 12-13 r--+2");
	protect(mm, 11, 1, R); /* like the next one: boundary down */
	expect_layout(mm, "10-11 rw-+0, 11-13 r--+1");
	protect(mm, 11, 2, RW); /* whole, like the previous one only */
	expect_layout(mm, "10-13 rw-+0");
	protect(mm, 12, 1, R); /* right edge: two */
	expect_layout(mm, "10-12 rw-+0, 12-13 r--+2");
	protect(mm, 10, 2, R); /* whole, like the next one only */
	expect_layout(mm, "10-13 r--+0");
	protect(mm, 10, 3, RW); /* whole, no neighbour */
	expect_layout(mm, "10-13 rw-+0");
	fput(file);
}

static void test_split(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);

	map_file(mm, 10, 4, file, 5);
	mmap_write_lock(mm);
	assert_int_equal(split_vma(vma_lookup(mm, at(10)), at(11)), 0);
	mmap_write_unlock(mm);
	expect_layout(mm, "10-11 r--+5, 11-14 r--+6");
	fput(file);
}

static int refuse_split(struct vm_area_struct *vma, uint64_t address)
{
	(void)vma;
	return address == at(11) ? -EINVAL : 0;
}

static const struct vm_operations_struct refuse_ops = {.name = "refuse", .may_split = refuse_split};

static void test_may_split(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map(mm, 10, 4, RW);
	mmap_write_lock(mm);
	vma_lookup(mm, at(10))->vm_ops = &refuse_ops;
	assert_int_equal(split_vma(vma_lookup(mm, at(10)), at(11)), -EINVAL);
	mmap_write_unlock(mm);
	assert_int_equal(do_munmap(mm, at(10), PAGE_SIZE), -EINVAL);
	assert_int_equal(do_munmap(mm, at(11), PAGE_SIZE), -EINVAL);
	assert_int_equal(do_munmap(mm, at(11), 3 * PAGE_SIZE), -EINVAL);
	assert_int_equal(do_mprotect(mm, at(10), PAGE_SIZE, R), -EINVAL);
	expect_layout(mm, "10-14 rw-");
	unmap(mm, 10, 2);
	expect_layout(mm, "12-14 rw-");
}

static void test_expand_shrink(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);
	struct vm_area_struct *vma;

	map_file(mm, 10, 4, file, 5);
	map_file(mm, 16, 2, file, 11);
	vma = vma_at(mm, 10);
	mmap_write_lock(mm);
	vma_shrink(vma, at(11), at(13));
	assert_int_equal(vma->vm_pgoff, 6);
	/* Free space only: the next one stays although it would fit. */
	assert_int_equal(vma_expand(vma, at(9), at(16), NULL), 0);
	assert_int_equal(vma->vm_pgoff, 4);
	assert_int_equal(mm->map_count, 2);
	/* Over the next one. */
	assert_int_equal(vma_expand(vma, at(9), at(18), vma_next(vma)), 0);
	vm_stat_account(mm, vma->vm_file, vma->vm_flags, 3);
	mmap_write_unlock(mm);
	expect_layout(mm, "9-18 r--+4");
	fput(file);
}

/* An unfaulted VMA takes over the identity of a faulted neighbour, on either side. */
static void test_identity_taken_over(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct anon_vma *identity;

	map(mm, 10, 2, RW);
	touch(mm, 10);
	identity = anon_of(mm, 10);
	assert_non_null(identity);
	map(mm, 12, 2, RW);
	map(mm, 8, 2, RW);
	expect_layout(mm, "8-14 rw-");
	assert_ptr_equal(anon_of(mm, 8), identity);
	/* A faulted one in the middle: its unfaulted neighbour takes all over. */
	unmap(mm, 8, 6);
	map(mm, 8, 2, RW);
	map(mm, 10, 2, R);
	map(mm, 12, 2, RW);
	protect(mm, 10, 2, QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC);
	touch(mm, 10);
	identity = anon_of(mm, 10);
	assert_null(anon_of(mm, 8));
	protect(mm, 10, 2, RW);
	expect_layout(mm, "8-14 rw-");
	assert_ptr_equal(anon_of(mm, 8), identity);
}

/* Two identities never become one. */
static void test_identities_differ(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map(mm, 10, 1, RW);
	map(mm, 12, 1, RW);
	touch(mm, 10);
	touch(mm, 12);
	assert_ptr_not_equal(anon_of(mm, 10), anon_of(mm, 12));
	map(mm, 11, 1, RW); /* joins the previous one only */
	expect_layout(mm, "10-12 rw-, 12-13 rw-");
	protect(mm, 12, 1, R);
	protect(mm, 12, 1, RW);
	expect_layout(mm, "10-12 rw-, 12-13 rw-");
}

/* An unfaulted one between two identities goes to the one before it. */
static void test_modify_between_identities(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	map(mm, 10, 1, RW);
	map(mm, 11, 1, R);
	map(mm, 12, 1, RW);
	touch(mm, 10);
	touch(mm, 12);
	assert_ptr_not_equal(anon_of(mm, 10), anon_of(mm, 12));
	protect(mm, 11, 1, RW);
	expect_layout(mm, "10-12 rw-, 12-13 rw-");
}

static void test_fork_child_does_not_merge(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct mm_struct *child;

	map(mm, 10, 2, RW);
	touch(mm, 10);
	touch(mm, 11);
	assert_int_equal(dup_mm(mm, "child", &child), 0);
	touch(child, 10);
	touch(child, 11);
	map(child, 12, 2, RW);
	map(child, 8, 2, RW);
	expect_layout(child, "8-10 rw-, 10-12 rw-, 12-14 rw-");
	/* The parent's own chain has one member, so there it does. */
	map(mm, 12, 2, RW);
	expect_layout(mm, "10-14 rw-");
	/* What was split from one VMA still merges. */
	protect(child, 10, 1, R);
	protect(child, 10, 1, RW);
	expect_layout(child, "8-10 rw-, 10-12 rw-, 12-14 rw-");
	mm_destroy(child);
}

static void test_groups_differ(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct mem_cgroup *group;
	struct vm_area_struct *vma;

	assert_int_equal(memcg_create(mm->quire, mm->memcg, "mapping", NULL, &group), 0);
	map(mm, 10, 3, RW);
	mmap_write_lock(mm);
	assert_int_equal(vma_modify_memcg(vma_lookup(mm, at(11)), at(11), at(12), group, &vma), 0);
	mmap_write_unlock(mm);
	assert_ptr_equal(vma->vm_memcg, group);
	expect_layout(mm, "10-11 rw-, 11-12 rw-, 12-13 rw-");
	mmap_write_lock(mm);
	assert_int_equal(vma_modify_memcg(vma, at(11), at(12), NULL, &vma), 0);
	mmap_write_unlock(mm);
	expect_layout(mm, "10-13 rw-");
	memcg_put(group);
}

static void test_max_map_count(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	/* The limit is 4: see the set-up. */
	map(mm, 10, 3, RW);
	map(mm, 20, 1, RW);
	assert_int_equal(do_mprotect(mm, at(11), PAGE_SIZE, R), 0);
	assert_int_equal(mm->map_count, 4);
	assert_int_equal(do_mprotect(mm, at(20), PAGE_SIZE, R), 0);
	map(mm, 30, 3, RW); /* one above the limit is allowed */
	assert_int_equal(try_map(mm, 40, 1, RW, ANON), -ENOMEM);
	assert_int_equal(do_munmap(mm, at(31), PAGE_SIZE), -ENOMEM);
	expect_layout(mm, "10-11 rw-, 11-12 r--, 12-13 rw-, 20-21 r--, 30-33 rw-");
	unmap(mm, 30, 1); /* needs no VMA more */
	unmap(mm, 32, 1);
	assert_int_equal(do_mprotect(mm, at(11), PAGE_SIZE, RW), 0);
	expect_layout(mm, "10-13 rw-, 20-21 r--, 31-32 rw-");
	unmap(mm, 11, 1);
	assert_int_equal(mm->map_count, 4);
}

static int setup_few_maps(void **state)
{
	return fixture_setup_with(state,
				  (struct quire_params){.memory = 4 << 20, .max_map_count = 4});
}

/* Copies to a place beside, below, between: what mremap asks for. */
static void test_copy_vma(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct vm_area_struct *vma, *copy;
	bool need_rmap_locks;

	map(mm, 10, 2, RW);
	map(mm, 20, 2, RW);
	mmap_write_lock(mm);
	vma = vma_lookup(mm, at(10));
	/* Never faulted: takes the numbering of its new place, and so merges there. */
	copy = copy_vma(&vma, at(22), 2 * PAGE_SIZE, vma->vm_pgoff, &need_rmap_locks);
	assert_non_null(copy);
	assert_int_equal(copy->vm_start, at(20));
	assert_int_equal(copy->vm_end, at(24));
	/* Right behind itself: the source becomes part of the copy. */
	copy = copy_vma(&vma, at(12), 2 * PAGE_SIZE, vma->vm_pgoff, &need_rmap_locks);
	assert_ptr_equal(copy, vma);
	assert_int_equal(copy->vm_end, at(14));
	vm_stat_account(mm, vma->vm_file, vma->vm_flags, 4);
	vm_acct_memory(mm->quire, 4);
	mmap_write_unlock(mm);
	expect_layout(mm, "10-14 rw-, 20-24 rw-");
}

static void test_copy_vma_faulted(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct vm_area_struct *vma, *copy;
	struct anon_vma *identity;
	pgoff_t pgoff;
	bool need_rmap_locks;

	map(mm, 10, 2, RW);
	map(mm, 20, 2, RW);
	touch(mm, 10);
	mmap_write_lock(mm);
	vma = vma_lookup(mm, at(10));
	identity = vma_anon(vma);
	pgoff = vma->vm_pgoff;
	copy = copy_vma(&vma, at(22), 2 * PAGE_SIZE, pgoff, &need_rmap_locks);
	assert_non_null(copy);
	assert_int_equal(copy->vm_start, at(22));
	assert_int_equal(copy->vm_pgoff, pgoff);
	assert_ptr_equal(vma_anon(copy), identity);
	assert_false(need_rmap_locks);
	vm_stat_account(mm, vma->vm_file, vma->vm_flags, 2);
	vm_acct_memory(mm->quire, 2);
	mmap_write_unlock(mm);
	expect_layout(mm, "10-12 rw-, 20-22 rw-, 22-24 rw-");
}

/* Each allocation of an operation fails once; the mm is then as before. */
static void sweep(struct mm_struct *mm, int (*operation)(struct mm_struct *mm))
{
	char before[4096];
	bool failed = true;

	snprintf(before, sizeof(before), "%s", layout(mm));
	for (uint64_t n = 1; failed; n++) {
		int error;

		quire_fail_arm(FAIL_ALLOC, n, false);
		error = operation(mm);
		failed = quire_fail_disarm();
		if (error) {
			assert_true(failed);
			assert_int_equal(error, -ENOMEM);
			expect_layout(mm, before);
		} else if (failed) {
			/* Done without what could not be had: nothing is left to sweep. */
			check_mm(mm);
			return;
		}
	}
	check_mm(mm);
}

static int modify_middle(struct mm_struct *mm)
{
	return do_mprotect(mm, at(11), PAGE_SIZE, RX);
}

static int unmap_middle(struct mm_struct *mm)
{
	return do_munmap(mm, at(11), PAGE_SIZE);
}

static int replace_middle(struct mm_struct *mm)
{
	return (int)try_map(mm, 11, 1, RX, ANON);
}

static void test_allocation_failures(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	int (*const operations[])(struct mm_struct *) = {modify_middle, unmap_middle,
							 replace_middle};

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		map(mm, 10, 3, RW);
		touch(mm, 10);
		touch(mm, 11);
		sweep(mm, operations[i]);
		unmap(mm, 10, 3);
	}
}

/* A merge that would need memory for the other's identity and gets none leaves everything. */
static void test_allocation_failure_of_merge(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct vma_range range = {.mm = mm, .start = at(11), .end = at(12)};

	map(mm, 10, 1, RW);
	map(mm, 12, 1, RW);
	touch(mm, 12);
	range.vm_flags = vma_at(mm, 10)->vm_flags;
	range.pgoff = range.start >> PAGE_SHIFT;
	quire_fail_arm(FAIL_ALLOC, 1, false);
	mmap_write_lock(mm);
	assert_null(vma_merge_new_range(&range));
	mmap_write_unlock(mm);
	assert_true(quire_fail_disarm());
	expect_layout(mm, "10-11 rw-, 12-13 rw-");
	mmap_write_lock(mm);
	assert_non_null(vma_merge_new_range(&range));
	vm_stat_account(mm, range.file, range.vm_flags, 1);
	vm_acct_memory(mm->quire, 1);
	mmap_write_unlock(mm);
	expect_layout(mm, "10-13 rw-");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new_range),
		TEST(test_new_range_flags),
		TEST(test_new_range_sequence),
		TEST(test_new_range_file),
		TEST(test_special_never_merges),
		TEST(test_close_new_range),
		TEST(test_close_modify),
		TEST(test_next_without_close_is_deleted),
		TEST(test_modify),
		TEST(test_split),
		TEST(test_may_split),
		TEST(test_expand_shrink),
		TEST(test_identity_taken_over),
		TEST(test_identities_differ),
		TEST(test_modify_between_identities),
		TEST(test_fork_child_does_not_merge),
		TEST(test_groups_differ),
		cmocka_unit_test_setup_teardown(test_max_map_count, setup_few_maps,
						fixture_teardown),
		TEST(test_copy_vma),
		TEST(test_copy_vma_faulted),
		TEST(test_allocation_failures),
		TEST(test_allocation_failure_of_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
