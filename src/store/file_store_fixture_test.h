/* SPDX-License-Identifier: MIT */
/*
 * For the tests of the store of a host file. Most run in each way of doing I/O; where the host
 * refuses io_uring, those that insist on it are skipped, and the program ends with the status of a
 * skipped test.
 */
#ifndef QUIRE_STORE_FILE_STORE_FIXTURE_TEST_H
#define QUIRE_STORE_FILE_STORE_FIXTURE_TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <quire/file_store.h>

#include "base/alloc.h"
#include "store/store_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGES 3000
#define EXIT_SKIPPED 77 /* as meson understands it */

static bool ring_was_refused;

/* More segments than one system call takes. */
static unsigned char buffer[(PAGES + 1) * 4096] __attribute__((aligned(4096)));
static unsigned char other[sizeof(buffer)] __attribute__((aligned(4096)));

/* Each test gets a store on an empty file; neither memory nor open files may be left behind. */
struct fixture {
	uint64_t live;
	uint32_t open_files;
	struct quire_store *store;
	int fd; /* the file once more, to look at it from outside */
};

static struct fixture fixture;

/* A new empty file without a name, open for reading and writing. */
static inline int open_file(void)
{
	const char *directory = getenv("TMPDIR");
	char path[4096];

	snprintf(path, sizeof(path), "%s/quire-file-store-XXXXXX", directory ? directory : "/tmp");

	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static inline int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags);
}

static inline int set_up(void **state, enum quire_file_io io)
{
	int fd, error;

	*state = NULL;
	memset(other, 0xee, sizeof(other));
	fixture.live = quire_alloc_live();
	fixture.open_files = test_open_files();
	fixture.fd = open_file();
	fd = reopen(fixture.fd, O_RDWR);
	assert_true(fd >= 0);
	error = quire_file_store_create(fd, true, io, &fixture.store);
	if (error) {
		close(fd);
		fixture.store = NULL;
	}
	return error && io != QUIRE_FILE_IO_RING ? -1 : 0;
}

static inline int set_up_auto(void **state)
{
	return set_up(state, QUIRE_FILE_IO_AUTO);
}

static inline int set_up_ring(void **state)
{
	return set_up(state, QUIRE_FILE_IO_RING);
}

static inline int set_up_plain(void **state)
{
	return set_up(state, QUIRE_FILE_IO_PLAIN);
}

static inline int tear_down(void **state)
{
	(void)state;
	if (fixture.store)
		fixture.store->ops->close(fixture.store);
	close(fixture.fd);
	if (quire_alloc_live() != fixture.live)
		return -1;
	return test_open_files() == fixture.open_files ? 0 : -1;
}

static inline struct quire_store *the_store(void)
{
	if (!fixture.store) {
		ring_was_refused = true;
		skip();
	}
	return fixture.store;
}

#define AUTO(function) cmocka_unit_test_setup_teardown(function, set_up_auto, tear_down)
#define RING(function) cmocka_unit_test_setup_teardown(function, set_up_ring, tear_down)
#define PLAIN(function) cmocka_unit_test_setup_teardown(function, set_up_plain, tear_down)
#define EACH(function) AUTO(function), RING(function), PLAIN(function)

/* Of the whole program. */
static inline int exit_status(int failed)
{
	return failed || !ring_was_refused ? failed : EXIT_SKIPPED;
}

#endif
