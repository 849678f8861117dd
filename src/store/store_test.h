/* SPDX-License-Identifier: MIT */
/*
 * For the tests of stores: transfers that are waited for, recognisable bytes, and the number of
 * open files.
 */
#ifndef QUIRE_STORE_STORE_TEST_H
#define QUIRE_STORE_STORE_TEST_H

#include "base/park.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <quire/store.h>

/* A request and its completion. `finished` counts calls of `done`, so that a second one shows. */
struct test_transfer {
	struct quire_request request;
	struct quire_segment segment; /* for transfers of one segment */
	int64_t result;
	_Atomic uint32_t finished;
};

static inline void test_transfer_done(struct quire_request *request, int64_t result)
{
	struct test_transfer *transfer = request->context;

	transfer->result = result;
	atomic_fetch_add(&transfer->finished, 1);
	quire_unpark(&transfer->finished, 1);
}

/* Starts it; the result is submit()'s. */
static inline int test_submit(struct quire_store *store, struct test_transfer *transfer,
			      enum quire_direction direction, void *memory, size_t bytes,
			      uint64_t offset)
{
	memset(transfer, 0, sizeof(*transfer));
	transfer->segment = (struct quire_segment){memory, bytes};
	transfer->request = (struct quire_request){
		.direction = direction,
		.offset = offset,
		.segments = &transfer->segment,
		.nr_segments = 1,
		.done = test_transfer_done,
		.context = transfer,
	};
	return store->ops->submit(store, &transfer->request);
}

static inline int64_t test_wait(struct test_transfer *transfer)
{
	while (!atomic_load(&transfer->finished))
		quire_park(&transfer->finished, 0);
	assert_int_equal(atomic_load(&transfer->finished), 1);
	return transfer->result;
}

/* What the transfer gives in the end: submit()'s error or `done`'s result. */
static inline int64_t test_transfer(struct quire_store *store, enum quire_direction direction,
				    void *memory, size_t bytes, uint64_t offset)
{
	struct test_transfer transfer;
	int error = test_submit(store, &transfer, direction, memory, bytes, offset);

	return error ? error : test_wait(&transfer);
}

static inline int64_t test_read(struct quire_store *store, void *memory, size_t bytes,
				uint64_t offset)
{
	return test_transfer(store, QUIRE_READ, memory, bytes, offset);
}

static inline int64_t test_write(struct quire_store *store, const void *memory, size_t bytes,
				 uint64_t offset)
{
	return test_transfer(store, QUIRE_WRITE, (void *)(uintptr_t)memory, bytes, offset);
}

/* Bytes that tell where in the store they belong. */
static inline void test_fill(unsigned char *memory, size_t bytes, uint64_t offset)
{
	for (size_t i = 0; i < bytes; i++) {
		uint64_t at = offset + i;

		memory[i] = (unsigned char)(at ^ (at >> 8) * 37 ^ (at >> 16) * 101);
	}
}

static inline bool test_is_filled(const unsigned char *memory, size_t bytes, uint64_t offset)
{
	for (size_t i = 0; i < bytes; i++) {
		unsigned char expected;

		test_fill(&expected, 1, offset + i);
		if (memory[i] != expected)
			return false;
	}
	return true;
}

static inline bool test_is_zero(const unsigned char *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (memory[i])
			return false;
	return true;
}

static inline uint32_t test_open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint32_t count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

#endif
