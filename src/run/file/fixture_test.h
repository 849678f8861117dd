/* SPDX-License-Identifier: MIT */
/*
 * For the tests of run/file: a run without a CPU, with one process of one thread whose system calls
 * a test makes itself, and files of the host.
 */
#ifndef QUIRE_RUN_FILE_FIXTURE_TEST_H
#define QUIRE_RUN_FILE_FIXTURE_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "core/fault/fault.h"
#include "core/instance/test_instance.h"
#include "run/file/mapped_file.h"
#include "run/syscall/table.h"
#include "store/store_test.h"

/* Where Quire's own descriptors begin in the test. */
#define TEST_FD_BASE 200

struct run_fixture {
	struct test_instance test;
	struct run run;
	struct process process;
	struct thread thread;
	uint64_t user; /* USER_PAGES pages of the program */
	uint32_t open_files;
};

#define USER_PAGES 160
#define USER_BYTES (USER_PAGES * PAGE_SIZE)

/* The program's system call: a value or -errno. */
static inline int64_t call_with(struct run_fixture *fixture, int64_t number, const uint64_t args[6])
{
	const struct syscall_row *row = syscall_row(number);

	assert_non_null(row);
	return row->function ? row->function(&fixture->thread, args)
			     : host_call(&fixture->thread, row, args);
}
#define CALL(fixture, name, ...) call_with(fixture, SYS_##name, (const uint64_t[6]){__VA_ARGS__})

static inline void run_fixture_setup(struct run_fixture *fixture, uint64_t memory)
{
	int64_t address;

	memset(fixture, 0, sizeof(*fixture));
	fixture->open_files = test_open_files();
	test_instance_create(&fixture->test, (struct quire_params){.memory = memory});
	fixture->run.quire = fixture->test.quire;
	fixture->run.fd_base = TEST_FD_BASE;
	assert_int_equal(mapped_files_create(&fixture->run.files), 0);
	pthread_mutex_init(&fixture->process.lock, NULL);
	fixture->process.run = &fixture->run;
	fixture->process.limits[RLIMIT_NOFILE].rlim_cur = TEST_FD_BASE;
	fixture->process.limits[RLIMIT_NOFILE].rlim_max = TEST_FD_BASE;
	assert_int_equal(mm_alloc(fixture->run.quire, "run", NULL, &fixture->process.mm), 0);
	fixture->thread.process = &fixture->process;
	fixture->thread.tid = getpid();
	list_init(&fixture->process.threads);
	list_add_tail(&fixture->thread.list, &fixture->process.threads);
	address = CALL(fixture, mmap, 0, USER_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0);
	assert_true(address > 0);
	fixture->user = (uint64_t)address;
}

/* Fails the test when a descriptor, a frame or memory is left. */
static inline void run_fixture_teardown(struct run_fixture *fixture)
{
	mm_destroy(fixture->process.mm);
	test_instance_check(&fixture->test);
	mapped_evict_idle(&fixture->run, true);
	mapped_files_destroy(fixture->run.files);
	/* It counts what was allocated before it was made. */
	fixture->run.files = NULL;
	test_instance_destroy(&fixture->test);
	assert_int_equal(test_open_files(), fixture->open_files);
}

/* A file without a name, of `bytes` bytes: byte i is (i * 7) & 255. */
static inline int new_file(uint64_t bytes)
{
	char name[] = "/tmp/quire-file-test-XXXXXX";
	int fd = mkstemp(name);
	char *contents = malloc(bytes + 1);

	assert_true(fd >= 0 && contents);
	unlink(name);
	for (uint64_t i = 0; i < bytes; i++)
		contents[i] = (char)(i * 7);
	assert_int_equal(pwrite(fd, contents, bytes, 0), bytes);
	free(contents);
	return fd;
}

static inline int open_again(int fd, int flags)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags);
	assert_true(again >= 0);
	return again;
}

static inline void put(struct run_fixture *fixture, uint64_t address, const void *data,
		       uint64_t bytes)
{
	if (bytes)
		assert_int_equal(access_process_vm(fixture->process.mm, address,
						   (void *)(uintptr_t)data, bytes, true),
				 bytes);
}

static inline void get(struct run_fixture *fixture, uint64_t address, void *data, uint64_t bytes)
{
	if (bytes)
		assert_int_equal(
			access_process_vm(fixture->process.mm, address, data, bytes, false), bytes);
}

static inline uint64_t map_file(struct run_fixture *fixture, int fd, uint64_t bytes, int prot,
				int flags)
{
	int64_t address =
		CALL(fixture, mmap, 0, bytes, (uint64_t)prot, (uint64_t)flags, (uint64_t)fd, 0);

	assert_true(address > 0);
	return (uint64_t)address;
}

#endif
