/* SPDX-License-Identifier: MIT */
/*
 * mmap: arguments and their errors, limits and accounts, what each kind of mapping becomes, and
 * that nothing changes when it fails.
 */
#include "core/fault/fault.h"
#include "core/vma/account.h"
#include "core/vma/vma_fixture_test.h"

#define SHARED QUIRE_MAP_SHARED
#define PRIVATE QUIRE_MAP_PRIVATE
#define ANONYMOUS QUIRE_MAP_ANONYMOUS

static int64_t try_mmap(struct mm_struct *mm, uint64_t address, uint64_t length, uint32_t flags)
{
	return do_mmap(mm,
		       &(struct mmap_request){
			       .address = address, .length = length, .prot = R, .flags = flags});
}

static int64_t try_mmap_file(struct mm_struct *mm, struct file *file, uint32_t prot, uint32_t flags,
			     int64_t offset)
{
	return do_mmap(mm, &(struct mmap_request){.length = PAGE_SIZE,
						  .prot = prot,
						  .flags = flags,
						  .file = file,
						  .offset = offset});
}

static struct file *file_with_mode(struct mm_struct *mm, uint32_t mode)
{
	struct file *file = test_file(mm);
	struct file *other = file_alloc(file->f_inode, mode);

	assert_non_null(other);
	fput(file);
	return other;
}

static struct file *zero_file(struct mm_struct *mm, uint32_t mode)
{
	struct inode *inode;
	struct file *file;

	assert_int_equal(dev_zero_create(mm->quire, 0, 0, &inode), 0);
	file = file_alloc(inode, mode);
	assert_non_null(file);
	iput(inode);
	return file;
}

static uint64_t flags_at(struct mm_struct *mm, int64_t address)
{
	struct vm_area_struct *vma;

	assert_true(address > 0);
	mmap_read_lock(mm);
	vma = vma_lookup(mm, (uint64_t)address);
	mmap_read_unlock(mm);
	assert_non_null(vma);
	return vma->vm_flags;
}

static void test_lengths_and_types(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	assert_int_equal(try_mmap(mm, 0, 0, ANON), -EINVAL);
	assert_int_equal(try_mmap(mm, 0, UINT64_MAX, ANON), -ENOMEM);
	assert_int_equal(try_mmap(mm, 0, (uint64_t)1 << 47, ANON), -ENOMEM);
	assert_int_equal(try_mmap(mm, 0, PAGE_SIZE, ANONYMOUS), -EINVAL);
	assert_int_equal(try_mmap(mm, 0, PAGE_SIZE, ANONYMOUS | SHARED | PRIVATE), -EINVAL);
	assert_int_equal(try_mmap(mm, 0, PAGE_SIZE, PRIVATE), -EBADF);
	/* A bad descriptor is found before a bad length. */
	assert_int_equal(try_mmap(mm, 0, 0, PRIVATE), -EBADF);
	assert_int_equal(mm->map_count, 0);
	/* A byte is a page. */
	assert_int_equal(try_mmap(mm, 0, 1, ANON), mm->mmap_base - PAGE_SIZE);
	assert_int_equal(mm->total_vm, 1);
}

static void test_fixed_addresses(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	const uint32_t fixed = ANON | QUIRE_MAP_FIXED;

	assert_int_equal(try_mmap(mm, at(1) + 1, PAGE_SIZE, fixed), -EINVAL);
	assert_int_equal(try_mmap(mm, mm->task_size, PAGE_SIZE, fixed), -ENOMEM);
	assert_int_equal(try_mmap(mm, UINT64_MAX - PAGE_SIZE + 1, PAGE_SIZE, fixed), -ENOMEM);
	assert_int_equal(try_mmap(mm, MMAP_MIN_ADDR - PAGE_SIZE, PAGE_SIZE, fixed), -EPERM);
	assert_int_equal(try_mmap(mm, MMAP_MIN_ADDR, PAGE_SIZE, fixed), MMAP_MIN_ADDR);
	mm->may_map_low = true;
	assert_int_equal(try_mmap(mm, 0, 2 * PAGE_SIZE, fixed), 0);
	assert_int_equal(try_mmap(mm, 0, PAGE_SIZE, fixed), 0);
	check_mm(mm);
	assert_int_equal(do_munmap(mm, 0, MMAP_MIN_ADDR), 0);
	mm->may_map_low = false;
	assert_int_equal(try_mmap(mm, (uint64_t)5 << 32, PAGE_SIZE, fixed), (uint64_t)5 << 32);
	assert_int_equal(try_mmap(mm, mm->task_size - PAGE_SIZE, PAGE_SIZE, fixed),
			 mm->task_size - PAGE_SIZE);
	check_mm(mm);
}

static void test_hints(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	assert_int_equal(try_mmap(mm, at(3) + 5, PAGE_SIZE, ANON), at(3));
	/* Taken: anywhere else. */
	assert_int_equal(try_mmap(mm, at(3), PAGE_SIZE, ANON), mm->mmap_base - PAGE_SIZE);
	assert_int_equal(try_mmap(mm, 1, PAGE_SIZE, ANON), mm->mmap_base - 2 * PAGE_SIZE);
	assert_int_equal(try_mmap(mm, PAGE_SIZE, PAGE_SIZE, ANON), MMAP_MIN_ADDR);
	assert_true(try_mmap(mm, 0, PAGE_SIZE, ANON | QUIRE_MAP_32BIT) < (int64_t)1 << 31);
	assert_true(try_mmap(mm, (uint64_t)1 << 40, PAGE_SIZE, ANON | QUIRE_MAP_32BIT) <
		    (int64_t)1 << 31);
	check_mm(mm);
}

static void test_fixed_noreplace(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	const uint32_t flags = ANON | QUIRE_MAP_FIXED_NOREPLACE;

	assert_int_equal(try_mmap(mm, at(10), 4 * PAGE_SIZE, flags), at(10));
	assert_int_equal(try_mmap(mm, at(9), 2 * PAGE_SIZE, flags), -EEXIST);
	assert_int_equal(try_mmap(mm, at(13), 2 * PAGE_SIZE, flags), -EEXIST);
	assert_int_equal(try_mmap(mm, at(11), PAGE_SIZE, flags), -EEXIST);
	assert_int_equal(try_mmap(mm, at(9), 6 * PAGE_SIZE, flags), -EEXIST);
	assert_int_equal(try_mmap(mm, at(10), PAGE_SIZE, flags | QUIRE_MAP_FIXED), -EEXIST);
	assert_int_equal(try_mmap(mm, at(20) + 1, PAGE_SIZE, flags), -EINVAL);
	expect_layout(mm, "10-14 r--");
	assert_int_equal(try_mmap(mm, at(9), PAGE_SIZE, flags), at(9));
	assert_int_equal(try_mmap(mm, at(14), PAGE_SIZE, flags), at(14));
	expect_layout(mm, "9-15 r--");
}

static void test_file_access(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *reader = file_with_mode(mm, FMODE_READ);
	struct file *writer = file_with_mode(mm, FMODE_WRITE);
	int64_t address;

	assert_int_equal(try_mmap_file(mm, writer, QUIRE_PROT_NONE, PRIVATE, 0), -EACCES);
	assert_int_equal(try_mmap_file(mm, writer, QUIRE_PROT_WRITE, SHARED, 0), -EACCES);
	assert_int_equal(try_mmap_file(mm, reader, RW, SHARED, 0), -EACCES);
	assert_true(try_mmap_file(mm, reader, RW, PRIVATE, 0) > 0);
	address = try_mmap_file(mm, reader, R, SHARED, 0);
	assert_int_equal(flags_at(mm, address) & (VM_SHARED | VM_MAYSHARE | VM_MAYWRITE),
			 VM_MAYSHARE);
	assert_int_equal(do_mprotect(mm, (uint64_t)address, PAGE_SIZE, RW), -EACCES);
	check_mm(mm);
	fput(reader);
	fput(writer);
}

static void test_offsets(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);
	int64_t last = INT64_MAX & (int64_t)PAGE_MASK;

	assert_int_equal(try_mmap_file(mm, file, R, SHARED, 5), -EINVAL);
	assert_int_equal(try_mmap_file(mm, file, R, SHARED, last), -EOVERFLOW);
	assert_int_equal(try_mmap_file(mm, file, R, SHARED, -4096), -EOVERFLOW);
	assert_int_equal(try_mmap_file(mm, file, R, SHARED, INT64_MIN), -EOVERFLOW);
	assert_true(try_mmap_file(mm, file, R, SHARED, last - 4096) > 0);
	/* Beyond the end: no error before a touch. */
	assert_true(try_mmap_file(mm, file, R, SHARED, 1000 << PAGE_SHIFT) > 0);
	assert_int_equal(try_mmap_file(mm, file, 0, ANON, 3), -EINVAL);
	check_mm(mm);
	fput(file);
}

static void test_flags(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);
	const uint32_t validate = QUIRE_MAP_SHARED_VALIDATE;
	const uint32_t unknown = 0x200000;

	assert_int_equal(try_mmap_file(mm, file, R, validate | unknown, 0), -EOPNOTSUPP);
	assert_int_equal(try_mmap_file(mm, file, R, validate | QUIRE_MAP_SYNC, 0), -EOPNOTSUPP);
	assert_true(try_mmap_file(mm, file, R, SHARED | unknown, 0) > 0);
	assert_true(try_mmap_file(mm, file, R, PRIVATE | unknown, 0) > 0);
	assert_true(try_mmap_file(mm, file, R, validate | 21u << 26, 0) > 0);
	assert_int_equal(try_mmap_file(mm, file, R, validate | 32u << 26, 0), -EOPNOTSUPP);
	assert_int_equal(try_mmap_file(mm, file, R, PRIVATE | QUIRE_MAP_GROWSDOWN, 0), -EINVAL);
	assert_int_equal(try_mmap_file(mm, file, R, PRIVATE | QUIRE_MAP_HUGETLB, 0), -EINVAL);
	assert_int_equal(try_mmap(mm, 0, PAGE_SIZE, ANONYMOUS | SHARED | QUIRE_MAP_GROWSDOWN),
			 -EINVAL);
	assert_int_equal(try_mmap(mm, 0, PAGE_SIZE, ANON | QUIRE_MAP_HUGETLB), -ENOMEM);
	assert_true(flags_at(mm, try_mmap(mm, 0, PAGE_SIZE, ANON | QUIRE_MAP_STACK)) &
		    VM_NOHUGEPAGE);
	assert_true(flags_at(mm, try_mmap(mm, 0, PAGE_SIZE, ANON | QUIRE_MAP_GROWSDOWN)) &
		    VM_GROWSDOWN);
	assert_true(flags_at(mm, try_mmap(mm, 0, PAGE_SIZE, ANON | QUIRE_MAP_NORESERVE)) &
		    VM_NORESERVE);
	check_mm(mm);
	fput(file);
}

static void test_locked(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	const uint32_t locked = ANON | QUIRE_MAP_LOCKED;

	mm->limit[LIMIT_MEMLOCK] = 0;
	assert_int_equal(try_mmap(mm, at(10), PAGE_SIZE, locked), -EPERM);
	mm->limit[LIMIT_MEMLOCK] = 2 * PAGE_SIZE;
	assert_int_equal(try_mmap(mm, at(10), 3 * PAGE_SIZE, locked), -EAGAIN);
	assert_int_equal(try_mmap(mm, at(10), 2 * PAGE_SIZE, locked), at(10));
	assert_int_equal(mm->locked_vm, 2);
	assert_int_equal(try_mmap(mm, at(20), PAGE_SIZE, locked), -EAGAIN);
	/* Locked because all new mappings are: the limit is no question of permission. */
	mm->def_flags = VM_LOCKED;
	mm->limit[LIMIT_MEMLOCK] = 0;
	assert_int_equal(try_mmap(mm, at(20), PAGE_SIZE, ANON), -EAGAIN);
	mm->may_lock = true;
	assert_int_equal(try_mmap(mm, at(20), PAGE_SIZE, ANON), at(20));
	assert_int_equal(mm->locked_vm, 3);
	assert_true(pte_present(pte_load(pte_find(mm, at(20)))));
	unmap(mm, 11, 10);
	assert_int_equal(mm->locked_vm, 1);
	expect_layout(mm, "10-11 r--");
}

static void test_populate(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);
	const struct mmap_request request = {
		.address = at(10),
		.length = 66 * PAGE_SIZE, /* longer than the file */
		.prot = R,
		.flags = SHARED | QUIRE_MAP_FIXED | QUIRE_MAP_POPULATE,
		.file = file,
	};

	assert_int_equal(do_mmap(mm, &request), at(10));
	assert_true(pte_present(pte_load(pte_find(mm, at(10)))));
	assert_true(pte_present(pte_load(pte_find(mm, at(73)))));
	assert_true(pte_none(pte_load(pte_find(mm, at(74)))));
	check_mm(mm);
	fput(file);
}

static void test_limits(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	mm->limit[LIMIT_AS] = 10 * PAGE_SIZE;
	map(mm, 10, 8, R);
	assert_int_equal(try_map(mm, 20, 3, R, ANON), -ENOMEM);
	assert_int_equal(try_map(mm, 20, 2, R, ANON), 0);
	/* What is replaced does not count twice. */
	assert_int_equal(try_map(mm, 10, 8, RX, ANON), 0);
	unmap(mm, 10, 3);
	mm->limit[LIMIT_DATA] = 2 * PAGE_SIZE;
	assert_int_equal(try_map(mm, 10, 3, RW, ANON), -ENOMEM);
	assert_int_equal(try_map(mm, 10, 2, RW, ANON), 0);
	expect_layout(mm, "10-12 rw-, 13-18 r-x, 20-22 r--");
	assert_int_equal(mm->data_vm, 2);
	assert_int_equal(mm->exec_vm, 5);
	mm->limit[LIMIT_AS] = LIMIT_INFINITY;
	assert_int_equal(do_mprotect(mm, at(20), PAGE_SIZE, RW), -ENOMEM);
	/* Shared memory is no data. */
	assert_int_equal(try_map(mm, 20, 2, RW, ANONYMOUS | SHARED), 0);
	assert_int_equal(mm->data_vm, 2);
	check_mm(mm);
}

static int64_t committed(struct mm_struct *mm)
{
	return atomic_load(&mm->quire->committed);
}

static void test_commit_accounting(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	int64_t before = committed(mm);

	map(mm, 10, 4, R);
	assert_int_equal(committed(mm), before);
	protect(mm, 10, 4, RW);
	assert_int_equal(committed(mm), before + 4);
	protect(mm, 10, 2, R); /* untouched: given back */
	assert_int_equal(committed(mm), before + 2);
	touch(mm, 12);
	protect(mm, 12, 2, R); /* may hold pages: kept */
	assert_int_equal(committed(mm), before + 2);
	map(mm, 11, 2, RW);
	assert_int_equal(committed(mm), before + 3);
	assert_int_equal(try_map(mm, 10, 4, RW, ANON | QUIRE_MAP_NORESERVE), 0);
	assert_int_equal(committed(mm), before);
	assert_int_equal(try_map(mm, 10, 4, RW, ANONYMOUS | SHARED), 0);
	assert_int_equal(committed(mm), before + 4);
	unmap(mm, 10, 4);
	assert_int_equal(committed(mm), before);
}

static void test_overcommit_never(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	uint64_t limit = vm_commit_limit(mm->quire);
	uint64_t free = limit - (uint64_t)committed(mm);

	/* Half of 4 MiB. */
	assert_int_equal(limit, 512);
	map(mm, 1000, free, RW);
	assert_int_equal(try_map(mm, 10, 1, RW, ANON), -ENOMEM);
	assert_int_equal(try_map(mm, 10, 1, RW, ANON | QUIRE_MAP_NORESERVE), -ENOMEM);
	assert_int_equal(try_map(mm, 10, 1, RW, ANONYMOUS | SHARED), -ENOMEM);
	assert_int_equal(try_map(mm, 10, 1, R, ANON), 0);
	assert_int_equal(do_mprotect(mm, at(10), PAGE_SIZE, RW), -ENOMEM);
	/* In place of what is committed already. */
	assert_int_equal(try_map(mm, 1000, free, RW, ANON), 0);
	assert_int_equal(try_map(mm, 1000, free + 1, RW, ANON), -ENOMEM);
	assert_int_equal(mm->map_count, 2);
	check_mm(mm);
}

static int setup_never(void **state)
{
	return fixture_setup_with(state, (struct quire_params){
						 .memory = 4 << 20,
						 .overcommit = QUIRE_OVERCOMMIT_NEVER,
					 });
}

static void test_overcommit_guess(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	/* More than there could ever be. */
	assert_int_equal(try_map(mm, 1000, 1025, RW, ANON), -ENOMEM);
	assert_int_equal(try_map(mm, 1000, 1024, RW, ANON), 0);
	assert_int_equal(try_map(mm, 3000, 1024, RW, ANON), 0);
	assert_int_equal(try_map(mm, 6000, (uint64_t)1 << 30, RW, ANON | QUIRE_MAP_NORESERVE), 0);
}

/* What a host with more memory than the budget would grant. */
static void test_overcommit_most(void **state)
{
	struct mm_struct *mm = fixture_mm(state);

	assert_int_equal(try_map(mm, 1000, 2049, RW, ANON), -ENOMEM);
	assert_int_equal(try_map(mm, 1000, 2048, RW, ANON), 0);
}

static int setup_most(void **state)
{
	return fixture_setup_with(state, (struct quire_params){
						 .memory = 4 << 20,
						 .overcommit_most = 8 << 20,
					 });
}

static void test_dev_zero(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = zero_file(mm, FMODE_READ | FMODE_WRITE);
	struct file *reader = zero_file(mm, FMODE_READ);
	struct vm_area_struct *vma;
	int64_t address;
	uint32_t error = 0;

	address = try_mmap_file(mm, file, RW, PRIVATE, PAGE_SIZE);
	assert_true(flags_at(mm, address) & VM_DEV_ZERO);
	mmap_read_lock(mm);
	vma = vma_lookup(mm, (uint64_t)address);
	assert_true(vma_is_anonymous(vma));
	assert_ptr_equal(vma->vm_file, file);
	mmap_read_unlock(mm);
	assert_int_equal(test_load(mm, (uint64_t)address, &error), 0);
	test_store(mm, (uint64_t)address, 7, &error);
	assert_int_equal(test_load(mm, (uint64_t)address, &error), 7);

	/* Each shared mapping is an object of its own. */
	address = try_mmap_file(mm, file, RW, SHARED, 0);
	assert_true(flags_at(mm, address) & VM_SHARED);
	mmap_read_lock(mm);
	vma = vma_lookup(mm, (uint64_t)address);
	assert_ptr_not_equal(vma->vm_file, file);
	assert_int_equal(i_size_read(vma->vm_file->f_inode), PAGE_SIZE);
	mmap_read_unlock(mm);
	/* ... as long as the mapping: behind an offset there is nothing. */
	address = try_mmap_file(mm, file, RW, SHARED, 2 * PAGE_SIZE);
	test_load(mm, (uint64_t)address, &error);
	assert_int_equal(error, VM_FAULT_SIGBUS);

	assert_int_equal(try_mmap_file(mm, reader, RW, SHARED, 0), -EACCES);
	address = try_mmap_file(mm, reader, R, SHARED, 0);
	assert_int_equal(flags_at(mm, address) & (VM_SHARED | VM_DEV_ZERO), VM_DEV_ZERO);
	check_mm(mm);
	fput(file);
	fput(reader);
}

/* Mapped files stay; the count of writable shared mappings follows splits and merges. */
static void test_writable_mappings_are_counted(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	struct file *file = test_file(mm);
	_Atomic int32_t *count = &file->f_mapping->i_mmap_writable;
	int64_t address;

	map_file(mm, 10, 4, file, 0);
	assert_int_equal(atomic_load(count), 1);
	protect(mm, 11, 1, RW);
	assert_int_equal(atomic_load(count), 3);
	protect(mm, 11, 1, R);
	assert_int_equal(atomic_load(count), 1);
	unmap(mm, 11, 1);
	assert_int_equal(atomic_load(count), 2);
	unmap(mm, 10, 4);
	assert_int_equal(atomic_load(count), 0);

	/* Sealed against writing. */
	atomic_store(count, -1);
	assert_int_equal(try_mmap_file(mm, file, RW, SHARED, 0), -EPERM);
	address = try_mmap_file(mm, file, R, SHARED, 0);
	assert_false(flags_at(mm, address) & VM_MAYWRITE);
	assert_int_equal(do_mprotect(mm, (uint64_t)address, PAGE_SIZE, RW), -EACCES);
	assert_true(try_mmap_file(mm, file, RW, PRIVATE, 0) > 0);
	atomic_store(count, 0);
	check_mm(mm);
	fput(file);
}

static void test_replace(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	uint32_t error = 0;

	map(mm, 10, 6, RW);
	touch(mm, 11);
	touch(mm, 13);
	map(mm, 12, 2, R);
	expect_layout(mm, "10-12 rw-, 12-14 r--, 14-16 rw-");
	assert_int_equal(test_load(mm, at(13), &error), 0);
	assert_int_equal(test_load(mm, at(11), &error), 1);
	map(mm, 8, 10, RX);
	expect_layout(mm, "8-18 r-x");
	assert_int_equal(test_load(mm, at(11), &error), 0);
	assert_int_equal(error, 0);
}

/* Every allocation of a replacing mmap fails once. */
static void test_allocation_failures(void **state)
{
	struct mm_struct *mm = fixture_mm(state);
	char before[4096];
	bool failed = true;
	uint32_t error = 0;

	map(mm, 10, 6, RW);
	touch(mm, 11);
	touch(mm, 13);
	snprintf(before, sizeof(before), "%s", layout(mm));
	for (uint64_t n = 1; failed; n++) {
		int64_t result;
		int64_t committed_before = committed(mm);

		quire_fail_arm(FAIL_ALLOC, n, false);
		result = try_map(mm, 12, 2, RW, ANONYMOUS | SHARED);
		failed = quire_fail_disarm();
		if (!result)
			break;
		assert_true(failed);
		assert_int_equal(result, -ENOMEM);
		expect_layout(mm, before);
		assert_int_equal(committed(mm), committed_before);
		assert_int_equal(test_load(mm, at(13), &error), 1);
	}
	expect_layout(mm, "10-12 rw-, 12-14 rw-+0, 14-16 rw-");
	assert_int_equal(test_load(mm, at(13), &error), 0);
	assert_int_equal(error, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lengths_and_types),
		TEST(test_fixed_addresses),
		TEST(test_hints),
		TEST(test_fixed_noreplace),
		TEST(test_file_access),
		TEST(test_offsets),
		TEST(test_flags),
		TEST(test_locked),
		TEST(test_populate),
		TEST(test_limits),
		TEST(test_commit_accounting),
		cmocka_unit_test_setup_teardown(test_overcommit_never, setup_never,
						fixture_teardown),
		TEST(test_overcommit_guess),
		cmocka_unit_test_setup_teardown(test_overcommit_most, setup_most, fixture_teardown),
		TEST(test_dev_zero),
		TEST(test_writable_mappings_are_counted),
		TEST(test_replace),
		TEST(test_allocation_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
