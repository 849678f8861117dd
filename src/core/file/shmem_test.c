/* SPDX-License-Identifier: MIT */
/*
 * Tests of shmem objects: contents in memory and in swap, sizes, seals, committed memory.
 */
#include "core/file/shmem.h"

#include "base/fail.h"
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/file/file_test.h"
#include "core/file/internal.h"
#include "core/vma/account.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY (2u << 20)
#define PAGES 64

struct shmem_fixture {
	struct test_instance test;
	struct quire *quire;
	struct file *file;
	struct inode *inode;
};

static struct file *open_object(struct quire *quire, uint64_t bytes, bool noreserve)
{
	struct inode *inode;
	struct file *file;

	assert_int_equal(shmem_create(quire, "memfd:test", bytes, noreserve, &inode), 0);
	file = file_alloc(inode, FMODE_READ | FMODE_WRITE);
	assert_non_null(file);
	iput(inode);
	return file;
}

static int setup_with(void **state, enum quire_overcommit overcommit)
{
	struct shmem_fixture *fixture = calloc(1, sizeof(*fixture));

	test_instance_create(&fixture->test,
			     (struct quire_params){.memory = MEMORY, .overcommit = overcommit});
	fixture->quire = fixture->test.quire;
	test_instance_add_swap(&fixture->test, 1024);
	fixture->file = open_object(fixture->quire, 0, true);
	fixture->inode = fixture->file->f_inode;
	*state = fixture;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, QUIRE_OVERCOMMIT_GUESS);
}

static int setup_never(void **state)
{
	return setup_with(state, QUIRE_OVERCOMMIT_NEVER);
}

static int teardown(void **state)
{
	struct shmem_fixture *fixture = *state;

	test_instance_check(&fixture->test);
	fput(fixture->file);
	assert_int_equal(fixture->quire->committed, 0);
	assert_int_equal(swap_free_slots(fixture->quire), swap_total(fixture->quire));
	test_instance_destroy(&fixture->test);
	free(fixture);
	return 0;
}

static void write_pattern(struct file *file, uint64_t offset, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes; done += PAGE_SIZE) {
		uint8_t page[PAGE_SIZE];
		uint64_t count = min_u64(PAGE_SIZE, bytes - done);

		for (uint64_t i = 0; i < count; i++)
			page[i] = test_byte(offset + done + i);
		assert_int_equal(filemap_write(file, NULL, page, count, offset + done), count);
	}
}

/* Everything that can go to swap does. */
static void swap_out(struct shmem_fixture *fixture)
{
	for (int round = 0; round < 8; round++)
		quire_reclaim(fixture->quire, NULL, PAGES);
	assert_true(fixture->inode->i_data.nrpages < PAGES / 4);
}

static void holes_take_no_memory(void **state)
{
	struct shmem_fixture *fixture = *state;

	assert_int_equal(file_truncate(fixture->file, PAGES * PAGE_SIZE), 0);
	assert_file_bytes(fixture->file, 0, PAGES * PAGE_SIZE, zero_byte);
	assert_int_equal(fixture->inode->i_data.nrpages, 0);
	assert_int_equal(fixture->quire->committed, 0);
	assert_int_equal(filemap_write(fixture->file, NULL, "x", 1, 5 * PAGE_SIZE), 1);
	assert_int_equal(fixture->inode->i_data.nrpages, 1);
	assert_int_equal(fixture->quire->committed, 1);
	/* Not a page of a file: nobody counts or writes it as one. */
	assert_int_equal(fixture->quire->nr_dirty, 0);
}

static void contents_survive_swap(void **state)
{
	struct shmem_fixture *fixture = *state;

	write_pattern(fixture->file, 0, PAGES * PAGE_SIZE + 17);
	assert_int_equal(i_size_read(fixture->inode), PAGES * PAGE_SIZE + 17);
	for (int round = 0; round < 3; round++) {
		swap_out(fixture);
		test_instance_check(&fixture->test);
		assert_file_bytes(fixture->file, 0, PAGES * PAGE_SIZE + 17, test_byte);
		assert_int_equal(fixture->inode->i_data.nrpages, PAGES + 1);
	}
	assert_int_equal(fixture->quire->committed, PAGES + 1);
	/* Back in memory, no slot is taken. */
	assert_int_equal(swap_free_slots(fixture->quire), swap_total(fixture->quire));
}

static void swapped_pages_are_cut_and_punched(void **state)
{
	struct shmem_fixture *fixture = *state;

	write_pattern(fixture->file, 0, PAGES * PAGE_SIZE);
	swap_out(fixture);
	assert_int_equal(file_punch_hole(fixture->file, 2 * PAGE_SIZE + 100, 10 * PAGE_SIZE), 0);
	assert_int_equal(fixture->quire->committed, PAGES - 9);
	swap_out(fixture);
	assert_int_equal(file_truncate(fixture->file, 30 * PAGE_SIZE + 10), 0);
	test_instance_check(&fixture->test);
	assert_int_equal(file_truncate(fixture->file, 32 * PAGE_SIZE), 0);
	assert_file_bytes(fixture->file, 0, 2 * PAGE_SIZE + 100, test_byte);
	assert_file_bytes(fixture->file, 2 * PAGE_SIZE + 100, 10 * PAGE_SIZE, zero_byte);
	assert_file_bytes(fixture->file, 12 * PAGE_SIZE + 100, 18 * PAGE_SIZE - 90, test_byte);
	assert_file_bytes(fixture->file, 30 * PAGE_SIZE + 10, 2 * PAGE_SIZE - 10, zero_byte);
}

static void mapping_and_calls_agree_across_swap(void **state)
{
	struct shmem_fixture *fixture = *state;
	const struct mmap_request request = {
		.length = PAGES * PAGE_SIZE,
		.prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		.flags = QUIRE_MAP_SHARED,
		.file = fixture->file,
	};
	struct mm_struct *mm;
	uint32_t error = 0;
	uint64_t address;

	assert_int_equal(file_truncate(fixture->file, PAGES * PAGE_SIZE), 0);
	assert_int_equal(mm_alloc(fixture->quire, "test", NULL, &mm), 0);
	address = (uint64_t)do_mmap(mm, &request);
	for (uint64_t i = 0; i < PAGES; i++)
		test_store(mm, address + i * PAGE_SIZE + i, (uint8_t)(i + 1), &error);
	swap_out(fixture);
	for (uint64_t i = 0; i < PAGES; i += 2) {
		uint8_t byte;

		assert_int_equal(filemap_read(fixture->file, NULL, &byte, 1, i * PAGE_SIZE + i), 1);
		assert_int_equal(byte, i + 1);
		byte = (uint8_t)(100 + i);
		assert_int_equal(filemap_write(fixture->file, NULL, &byte, 1, i * PAGE_SIZE + i),
				 1);
	}
	swap_out(fixture);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(test_load(mm, address + i * PAGE_SIZE + i, &error),
				 i % 2 ? i + 1 : 100 + i);
	/* Untouched memory of the object. */
	assert_int_equal(test_load(mm, address + 100, &error), 0);
	assert_int_equal(error, 0);
	mm_destroy(mm);
}

static void seals_hold(void **state)
{
	struct shmem_fixture *fixture = *state;
	struct file *file = fixture->file;
	char data[20] = "0123456789abcdefghi";

	assert_int_equal(memfd_get_seals(file), QUIRE_SEAL_SEAL);
	assert_int_equal(memfd_add_seals(file, QUIRE_SEAL_GROW), -EPERM);
	memfd_allow_sealing(fixture->inode);
	assert_int_equal(memfd_get_seals(file), 0);
	assert_int_equal(file_truncate(file, 100), 0);
	assert_int_equal(memfd_add_seals(file, 0x100), -EINVAL);
	assert_int_equal(memfd_add_seals(file, QUIRE_SEAL_GROW), 0);
	assert_int_equal(file_truncate(file, 101), -EPERM);
	assert_int_equal(filemap_write(file, NULL, data, 20, 100), -EPERM);
	/* The part that fits is written. */
	assert_int_equal(filemap_write(file, NULL, data, 20, 90), 10);
	assert_int_equal(i_size_read(fixture->inode), 100);
	assert_int_equal(file_truncate(file, 95), 0);
	assert_int_equal(memfd_add_seals(file, QUIRE_SEAL_SHRINK), 0);
	assert_int_equal(file_truncate(file, 94), -EPERM);
	assert_int_equal(file_truncate(file, 95), 0);

	assert_int_equal(filemap_write(file, NULL, data, 1, 0), 1);
	assert_int_equal(memfd_add_seals(file, QUIRE_SEAL_WRITE), 0);
	assert_int_equal(filemap_write(file, NULL, data, 1, 0), -EPERM);
	assert_int_equal(file_punch_hole(file, 0, 10), -EPERM);
	assert_int_equal(memfd_add_seals(file, QUIRE_SEAL_SEAL), 0);
	assert_int_equal(memfd_add_seals(file, QUIRE_SEAL_SEAL), -EPERM);
	assert_int_equal(memfd_get_seals(file), MEMFD_ALL_SEALS);
}

static void write_seal_waits_for_writable_mappings(void **state)
{
	struct shmem_fixture *fixture = *state;
	const struct mmap_request request = {
		.length = PAGE_SIZE,
		.prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE,
		.flags = QUIRE_MAP_SHARED,
		.file = fixture->file,
	};
	struct mm_struct *mm;
	int64_t address;

	memfd_allow_sealing(fixture->inode);
	assert_int_equal(file_truncate(fixture->file, PAGE_SIZE), 0);
	assert_int_equal(mm_alloc(fixture->quire, "test", NULL, &mm), 0);
	address = do_mmap(mm, &request);
	assert_true(address > 0);
	/* One that cannot be had: none is. */
	assert_int_equal(memfd_add_seals(fixture->file, QUIRE_SEAL_WRITE | QUIRE_SEAL_GROW),
			 -EBUSY);
	assert_int_equal(memfd_get_seals(fixture->file), 0);
	assert_int_equal(do_munmap(mm, (uint64_t)address, PAGE_SIZE), 0);
	assert_int_equal(memfd_add_seals(fixture->file, QUIRE_SEAL_WRITE), 0);
	assert_int_equal(do_mmap(mm, &request), -EPERM);
	mm_destroy(mm);
}

static void memory_is_committed(void **state)
{
	struct shmem_fixture *fixture = *state;
	const uint64_t limit = vm_commit_limit(fixture->quire);
	struct file *reserved;
	struct inode *inode;
	uint8_t byte = 1;

	/* The whole size at once. */
	assert_int_equal(
		shmem_create(fixture->quire, "x", (limit + 1) << PAGE_SHIFT, false, &inode),
		-ENOMEM);
	reserved = open_object(fixture->quire, (limit - 2) << PAGE_SHIFT, false);
	assert_int_equal(fixture->quire->committed, limit - 2);
	assert_int_equal(file_truncate(reserved, (limit + 1) << PAGE_SHIFT), -ENOMEM);
	/* Page by page. */
	assert_int_equal(file_truncate(fixture->file, PAGES * PAGE_SIZE), 0);
	assert_int_equal(filemap_write(fixture->file, NULL, &byte, 1, 0), 1);
	assert_int_equal(filemap_write(fixture->file, NULL, &byte, 1, PAGE_SIZE), 1);
	assert_int_equal(filemap_write(fixture->file, NULL, &byte, 1, 2 * PAGE_SIZE), -ENOSPC);
	assert_int_equal(file_truncate(reserved, PAGE_SIZE), 0);
	assert_int_equal(filemap_write(fixture->file, NULL, &byte, 1, 2 * PAGE_SIZE), 1);
	assert_int_equal(filemap_write(reserved, NULL, &byte, 1, 3 * PAGE_SIZE), 1);
	assert_int_equal(fixture->quire->committed, 7);
	fput(reserved);
	assert_int_equal(fixture->quire->committed, 3);
}

static void lack_of_frames_is_an_error(void **state)
{
	struct shmem_fixture *fixture = *state;
	char byte = 3;

	quire_fail_arm(FAIL_FRAME, 1, true);
	assert_int_equal(filemap_write(fixture->file, NULL, &byte, 1, 0), -ENOMEM);
	quire_fail_disarm();
	assert_int_equal(i_size_read(fixture->inode), 0);
	assert_int_equal(fixture->quire->committed, 0);
	assert_int_equal(fixture->inode->i_data.nrpages, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(holes_take_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(contents_survive_swap, setup, teardown),
		cmocka_unit_test_setup_teardown(swapped_pages_are_cut_and_punched, setup, teardown),
		cmocka_unit_test_setup_teardown(mapping_and_calls_agree_across_swap, setup,
						teardown),
		cmocka_unit_test_setup_teardown(seals_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(write_seal_waits_for_writable_mappings, setup,
						teardown),
		cmocka_unit_test_setup_teardown(memory_is_committed, setup_never, teardown),
		cmocka_unit_test_setup_teardown(lack_of_frames_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
