/* SPDX-License-Identifier: MIT */
/*
 * For tests of VMAs and of the calls over them: an mm whose areas are named by page numbers from
 * TEST_BASE on and compared as text.
 */
#ifndef QUIRE_CORE_VMA_VMA_FIXTURE_TEST_H
#define QUIRE_CORE_VMA_VMA_FIXTURE_TEST_H

#include "base/fail.h"
#include "core/call/call.h"
#include "core/file/address_space.h"
#include "core/instance/test_instance.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TEST_BASE ((uint64_t)0x10000000)

#define R QUIRE_PROT_READ
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define RX (QUIRE_PROT_READ | QUIRE_PROT_EXEC)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

struct vma_fixture {
	struct test_instance instance;
	struct mm_struct *mm;
};

static inline uint64_t at(uint64_t page)
{
	return TEST_BASE + (page << PAGE_SHIFT);
}

static inline int fixture_setup_with(void **state, struct quire_params params)
{
	static struct vma_fixture fixture;

	test_instance_create(&fixture.instance, params);
	assert_int_equal(mm_alloc(fixture.instance.quire, "test", NULL, &fixture.mm), 0);
	*state = &fixture;
	return 0;
}

static inline int fixture_setup(void **state)
{
	return fixture_setup_with(state, (struct quire_params){.memory = 4 << 20});
}

static inline int fixture_teardown(void **state)
{
	struct vma_fixture *fixture = *state;

	mm_destroy(fixture->mm);
	test_instance_destroy(&fixture->instance);
	return 0;
}

static inline struct mm_struct *fixture_mm(void **state)
{
	return ((struct vma_fixture *)*state)->mm;
}

static inline void check_mm(struct mm_struct *mm)
{
	struct check_report report = {0};

	mmap_write_lock(mm);
	mm_validate(mm, &report);
	mmap_write_unlock(mm);
	if (report.violations)
		fail_msg("%u violations: %s", report.violations, report.first);
}

/* mmap of pages at a fixed place; 0 or -errno. */
static inline int64_t try_map(struct mm_struct *mm, uint64_t page, uint64_t pages, uint32_t prot,
			      uint32_t flags)
{
	const struct mmap_request request = {
		.address = at(page),
		.length = pages << PAGE_SHIFT,
		.prot = prot,
		.flags = flags | QUIRE_MAP_FIXED,
	};
	int64_t address = do_mmap(mm, &request);

	return address < 0 ? address : 0;
}

static inline void map(struct mm_struct *mm, uint64_t page, uint64_t pages, uint32_t prot)
{
	assert_int_equal(try_map(mm, page, pages, prot, ANON), 0);
}

static inline void map_file(struct mm_struct *mm, uint64_t page, uint64_t pages, struct file *file,
			    uint64_t pgoff)
{
	const struct mmap_request request = {
		.address = at(page),
		.length = pages << PAGE_SHIFT,
		.prot = R,
		.flags = QUIRE_MAP_SHARED | QUIRE_MAP_FIXED,
		.file = file,
		.offset = (int64_t)(pgoff << PAGE_SHIFT),
	};

	assert_int_equal(do_mmap(mm, &request), at(page));
}

static inline void unmap(struct mm_struct *mm, uint64_t page, uint64_t pages)
{
	assert_int_equal(do_munmap(mm, at(page), pages << PAGE_SHIFT), 0);
}

static inline void protect(struct mm_struct *mm, uint64_t page, uint64_t pages, uint32_t prot)
{
	assert_int_equal(do_mprotect(mm, at(page), pages << PAGE_SHIFT, prot), 0);
}

/* The first write to a page of a VMA: from now on it has an anonymous identity. */
static inline void touch(struct mm_struct *mm, uint64_t page)
{
	uint32_t error = 0;

	test_store(mm, at(page), 1, &error);
	assert_int_equal(error, 0);
}

static inline struct vm_area_struct *vma_at(struct mm_struct *mm, uint64_t page)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, at(page));
	mmap_read_unlock(mm);
	assert_non_null(vma);
	return vma;
}

/* "FIRST-END PERMS" of each VMA, in pages, separated by commas; with "+PGOFF" behind for files. */
static inline const char *layout(struct mm_struct *mm)
{
	static char text[2][4096];
	static int turn;
	char *buffer = text[turn ^= 1];
	struct vm_area_struct *vma;
	int used = 0;

	buffer[0] = 0;
	mmap_read_lock(mm);
	for_each_vma (mm, vma) {
		used += snprintf(
			buffer + used, sizeof(text[0]) - (size_t)used, "%s%d-%d %c%c%c",
			used ? ", " : "", (int)((int64_t)(vma->vm_start - TEST_BASE) >> PAGE_SHIFT),
			(int)((int64_t)(vma->vm_end - TEST_BASE) >> PAGE_SHIFT),
			vma->vm_flags & VM_READ ? 'r' : '-', vma->vm_flags & VM_WRITE ? 'w' : '-',
			vma->vm_flags & VM_EXEC ? 'x' : '-');
		if (vma->vm_file)
			used += snprintf(buffer + used, sizeof(text[0]) - (size_t)used, "+%u",
					 (unsigned int)vma->vm_pgoff);
	}
	mmap_read_unlock(mm);
	return buffer;
}

#define expect_layout(mm, text) \
	do { \
		check_mm(mm); \
		assert_string_equal(layout(mm), text); \
	} while (0)

/* A memory object of 64 pages with a handle of its own. */
static inline struct file *test_file(struct mm_struct *mm)
{
	struct inode *inode;
	struct file *file;

	assert_int_equal(shmem_create(mm->quire, "test", 64 << PAGE_SHIFT, false, &inode), 0);
	file = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	assert_non_null(file);
	iput(inode);
	return file;
}

#endif
