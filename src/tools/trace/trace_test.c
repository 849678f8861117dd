/* SPDX-License-Identifier: MIT */
/*
 * A trace that is written and read again, by several threads, and files that are no traces.
 */
#include "tools/trace/trace.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/report/trace.h"

#define FD_BASE 100
#define EVENTS 1000 /* of a thread: more than a buffer holds */
#define THREADS 4

static const struct run run = {.fd_base = FD_BASE};
static char path[64];

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "trace_test.%d", (int)getpid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static struct trace *create(void)
{
	struct trace *trace;
	char why[256];

	assert_int_equal(trace_create(&run, path, &trace, why, sizeof(why)), 0);
	return trace;
}

static void put_fault(struct trace *trace, uint64_t object, const char *name, uint64_t address)
{
	const struct quire_trace_event event = {
		.kind = QUIRE_TRACE_FAULT,
		.flags = QUIRE_TRACE_WRITE,
		.mapping = name,
		.object = object,
		.address = address,
		.bytes = QUIRE_PAGE_SIZE,
		.duration_ns = 10,
	};

	trace_event(trace, &event);
}

static void test_written_is_read(void **state)
{
	struct trace *trace = create();
	const uint64_t args[6] = {0x1000, 0x2000};
	struct trace_file file;

	(void)state;
	put_fault(trace, 7, "/some/file", 0x5000);
	put_fault(trace, 8, "", 0x6000);
	put_fault(trace, 7, "/some/file", 0x7000);
	trace_call(trace, 11, args, -22, 0);
	assert_int_equal(trace_finish(trace), 0);
	trace_destroy(trace);

	assert_int_equal(trace_read(path, &file), 0);
	assert_false(file.incomplete);
	assert_int_equal(file.header.pid, getpid());
	assert_int_equal(file.nr_records, 4);
	for (size_t i = 0; i < file.nr_records; i++) {
		const struct trace_record *record = &file.records[i];

		assert_int_equal(record->thread, gettid());
		if (record->kind == TRACE_CALL) {
			assert_string_equal(trace_mapping(&file, record), "-");
			assert_int_equal(record->result, -22);
			assert_int_equal(record->length, 0x2000);
		} else {
			assert_string_equal(trace_name(record), "fault");
			assert_string_equal(trace_mapping(&file, record),
					    record->address == 0x6000 ? "" : "/some/file");
		}
	}
	trace_release(&file);
}

static void *put_many(void *trace)
{
	for (uint64_t i = 0; i < EVENTS; i++)
		put_fault(trace, 1 + i % 5, "some object", i * QUIRE_PAGE_SIZE);
	return NULL;
}

/* Each thread's events are there, all of them, in its own order. */
static void test_threads(void **state)
{
	struct trace *trace = create();
	uint64_t next[THREADS] = {0};
	uint32_t thread[THREADS] = {0};
	pthread_t threads[THREADS];
	struct trace_file file;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_many, trace), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(trace_finish(trace), 0);
	trace_destroy(trace);

	assert_int_equal(trace_read(path, &file), 0);
	assert_int_equal(file.nr_records, THREADS * EVENTS);
	for (size_t i = 0; i < file.nr_records; i++) {
		const struct trace_record *record = &file.records[i];
		int t = 0;

		while (thread[t] && thread[t] != record->thread)
			assert_in_range(++t, 0, THREADS - 1);
		thread[t] = record->thread;
		assert_int_equal(record->address, next[t]++ * QUIRE_PAGE_SIZE);
	}
	trace_release(&file);
}

/* Cut off anywhere, the records before are there and the end is told of. */
static void test_cut_off(void **state)
{
	struct trace *trace = create();
	struct trace_file file;

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		put_fault(trace, 0, "", i);
	assert_int_equal(trace_finish(trace), 0);
	trace_destroy(trace);
	assert_int_equal(
		truncate(path, sizeof(struct trace_header) + 3 * sizeof(struct trace_record) + 5),
		0);
	assert_int_equal(trace_read(path, &file), 0);
	assert_true(file.incomplete);
	assert_int_equal(file.nr_records, 3);
	trace_release(&file);
}

static void write_file(const void *data, size_t bytes)
{
	FILE *stream = fopen(path, "w");

	assert_non_null(stream);
	assert_int_equal(fwrite(data, 1, bytes, stream), bytes);
	fclose(stream);
}

static void assert_unreadable(const void *data, size_t bytes)
{
	struct trace_file file;

	write_file(data, bytes);
	assert_int_equal(trace_read(path, &file), -1);
	trace_release(&file);
}

static void test_no_trace(void **state)
{
	struct {
		struct trace_header header;
		struct trace_record record;
	} data = {
		.header = {.magic = TRACE_MAGIC,
			   .version = TRACE_VERSION,
			   .record_bytes = sizeof(struct trace_record)},
		.record = {.kind = TRACE_FAULT},
	};
	struct trace_file file;

	(void)state;
	assert_unreadable("", 0);
	assert_unreadable("something else altogether", 25);
	write_file(&data, sizeof(data));
	assert_int_equal(trace_read(path, &file), 0);
	assert_int_equal(file.nr_records, 1);
	trace_release(&file);

	data.record.kind = 99;
	assert_unreadable(&data, sizeof(data));
	data.record = (struct trace_record){.kind = TRACE_MAPPING, .mapping = 1, .length = 1 << 30};
	assert_unreadable(&data, sizeof(data));
	data.record = (struct trace_record){.kind = TRACE_MAPPING, .length = 1};
	assert_unreadable(&data, sizeof(data));
	data.header.version++;
	assert_unreadable(&data, sizeof(data));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_written_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_trace, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
