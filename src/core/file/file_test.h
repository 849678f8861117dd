/* SPDX-License-Identifier: MIT */
/*
 * For the tests of core/file: an instance with one regular file on a store that notes every request
 * and does what the test tells it: fail, hold transfers back, refuse operations.
 */
#ifndef QUIRE_CORE_FILE_FILE_TEST_H
#define QUIRE_CORE_FILE_FILE_TEST_H

#include "core/file/filemap.h"
#include "core/instance/test_instance.h"

#include <quire/store.h>

#include <pthread.h>

#define TEST_LOG_MAX 256
#define TEST_HELD_MAX 64

struct test_log_entry {
	enum quire_direction direction;
	uint64_t offset, bytes;
	uint32_t nr_segments;
};

/* Several threads may transfer at a time; what else there is, is for one thread while no other
 * transfers. L = lock. */
struct test_store {
	struct quire_store base;
	struct quire_store *inner; /* in memory */
	pthread_mutex_t lock;
	uint32_t nr_log;                         /* L */
	struct test_log_entry log[TEST_LOG_MAX]; /* L: the first requests since log_clear */
	int read_error, write_error;             /* through `done`; 0: none */
	int submit_error;                        /* from submit() */
	uint64_t error_offset; /* only requests that hold this byte fail; UINT64_MAX: all */
	int resize_error, discard_error, sync_error, size_error;
	_Atomic uint32_t nr_sync, nr_discard;
	bool hold;                                 /* requests wait for test_store_release() */
	uint32_t nr_held;                          /* L */
	struct quire_request *held[TEST_HELD_MAX]; /* L */
	bool *closed;                              /* set when it is closed */
};

/* A store of `bytes` recognisable bytes: byte i is test_byte(i). */
struct test_store *test_store_create(uint64_t bytes);
uint8_t test_byte(uint64_t offset);
void test_store_release(struct test_store *store);
void test_store_clear_log(struct test_store *store);
/* What the store holds, past the cache: bytes read. */
int64_t test_store_peek(struct test_store *store, void *buffer, uint64_t bytes, uint64_t offset);

struct file_fixture {
	struct test_instance test;
	struct quire *quire;
	struct test_store *store;
	struct inode *inode; /* belongs to `file` */
	struct address_space *mapping;
	struct file *file;
};

/* A file of `bytes` bytes in an instance of `memory` bytes. `readahead` bytes; 0: none. */
void file_fixture_setup(struct file_fixture *fixture, uint64_t memory, uint64_t bytes,
			uint32_t readahead);
/* Closes the file and checks that nothing is left. */
void file_fixture_teardown(struct file_fixture *fixture);
/* One more file, on a memory store of its own. */
struct file *file_fixture_open(struct file_fixture *fixture, uint64_t ino,
			       struct quire_store *store, uint32_t mode);
void file_fixture_check(struct file_fixture *fixture);
/* Drops what is clean and unused from the cache. */
void file_fixture_evict(struct file_fixture *fixture);

/* do_mmap() wherever there is room, readable and writable. */
uint64_t map_anywhere(struct mm_struct *mm, uint64_t bytes, uint32_t flags, struct file *file);
/* Fails the test unless the whole of the range reads so. */
void assert_file_bytes(struct file *file, uint64_t offset, uint64_t bytes,
		       uint8_t (*expected)(uint64_t offset));
uint8_t zero_byte(uint64_t offset);

#endif
