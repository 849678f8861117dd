/* SPDX-License-Identifier: MIT */
/*
 * Writing a trace.
 *
 * A thread's buffer is written when it is full, when the thread ends, and at the end of the run. An
 * error of writing is kept for the end: the program goes on.
 *
 * Locks: B = the buffer's lock, T = trace->lock, A = atomic, C = constant. T comes before B.
 */
#include "run/report/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/list.h"
#include "run/clock.h"
#include "run/report/trace_format.h"

#define BUFFER_RECORDS 256
#define NAME_RECORDS 65 /* a path of PATH_MAX, and its head */
#define NAMES 4096      /* mappings beyond this have no names of their own */

struct trace_buffer {
	struct trace *trace;   /* C */
	struct list_head list; /* T */
	pthread_mutex_t lock;
	uint32_t thread;                             /* C */
	uint32_t count;                              /* B */
	struct trace_record records[BUFFER_RECORDS]; /* B */
};

struct trace {
	int fd;            /* C */
	uint64_t start_ns; /* C */
	pthread_key_t key; /* C: the calling thread's buffer */
	_Atomic int error; /* A: -errno of the first failed write */
	pthread_mutex_t lock;
	struct list_head buffers; /* T */
	uint32_t nr_names;        /* T */
	uint64_t names[NAMES];    /* T: object of mapping id i + 1 */
};

/* All of it, at the end of the file: blocks of several threads do not mix. */
static void write_all(struct trace *trace, const void *data, size_t bytes)
{
	while (bytes) {
		ssize_t done = write(trace->fd, data, bytes);
		int none = 0;

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			atomic_compare_exchange_strong(&trace->error, &none, done ? -errno : -EIO);
			return;
		}
		data = (const char *)data + done;
		bytes -= (size_t)done;
	}
}

/* The buffer's lock is held. */
static void flush_buffer(struct trace_buffer *buffer)
{
	write_all(buffer->trace, buffer->records, buffer->count * sizeof(buffer->records[0]));
	buffer->count = 0;
}

static void thread_ends(void *data)
{
	struct trace_buffer *buffer = data;
	struct trace *trace = buffer->trace;

	pthread_mutex_lock(&trace->lock);
	list_del(&buffer->list);
	flush_buffer(buffer);
	pthread_mutex_unlock(&trace->lock);
	pthread_mutex_destroy(&buffer->lock);
	free(buffer);
}

/* The calling thread's buffer; NULL: no memory for one. */
static struct trace_buffer *get_buffer(struct trace *trace)
{
	struct trace_buffer *buffer = pthread_getspecific(trace->key);

	if (buffer)
		return buffer;
	buffer = calloc(1, sizeof(*buffer));
	if (!buffer || pthread_setspecific(trace->key, buffer)) {
		free(buffer);
		return NULL;
	}
	buffer->trace = trace;
	buffer->thread = (uint32_t)syscall(SYS_gettid);
	pthread_mutex_init(&buffer->lock, NULL);
	pthread_mutex_lock(&trace->lock);
	list_add_tail(&buffer->list, &trace->buffers);
	pthread_mutex_unlock(&trace->lock);
	return buffer;
}

/* Records that stand together: a name and its text. */
static void put_records(struct trace *trace, struct trace_record *records, uint32_t count)
{
	struct trace_buffer *buffer = get_buffer(trace);
	int none = 0;

	if (!buffer) {
		atomic_compare_exchange_strong(&trace->error, &none, -ENOMEM);
		return;
	}
	records[0].thread = buffer->thread;
	pthread_mutex_lock(&buffer->lock);
	if (buffer->count + count > BUFFER_RECORDS)
		flush_buffer(buffer);
	memcpy(&buffer->records[buffer->count], records, count * sizeof(*records));
	buffer->count += count;
	pthread_mutex_unlock(&buffer->lock);
}

static void put_name(struct trace *trace, uint32_t id, const char *name)
{
	struct trace_record records[NAME_RECORDS] = {
		{.kind = TRACE_MAPPING, .mapping = id, .time_ns = now_ns() - trace->start_ns},
	};
	size_t length = strnlen(name, (NAME_RECORDS - 1) * sizeof(records[0]));

	records[0].length = length;
	memcpy(&records[1], name, length);
	put_records(trace, records,
		    1 + (uint32_t)((length + sizeof(records[0]) - 1) / sizeof(records[0])));
}

/* The id of an object, which is named at its first appearance. There are few, and the last ones
 * seen are looked at first. */
static uint32_t mapping_id(struct trace *trace, const struct quire_trace_event *event)
{
	uint32_t id = 0;
	bool new = false;

	if (!event->object)
		return 0;
	pthread_mutex_lock(&trace->lock);
	for (uint32_t i = trace->nr_names; i > 0 && !id; i--)
		if (trace->names[i - 1] == event->object)
			id = i;
	if (!id && trace->nr_names < NAMES) {
		trace->names[trace->nr_names] = event->object;
		id = ++trace->nr_names;
		new = true;
	}
	pthread_mutex_unlock(&trace->lock);
	if (new)
		put_name(trace, id, event->mapping);
	return id;
}

void trace_event(void *context, const struct quire_trace_event *event)
{
	static const uint16_t kinds[] = {
		[QUIRE_TRACE_FAULT] = TRACE_FAULT,         [QUIRE_TRACE_EVICT] = TRACE_EVICT,
		[QUIRE_TRACE_WRITEBACK] = TRACE_WRITEBACK, [QUIRE_TRACE_SWAP_OUT] = TRACE_SWAP_OUT,
		[QUIRE_TRACE_SWAP_IN] = TRACE_SWAP_IN,
	};
	struct trace *trace = context;
	uint64_t now = now_ns() - trace->start_ns;
	struct trace_record record = {
		.time_ns = now - event->duration_ns,
		.duration_ns = event->duration_ns,
		.address = event->address,
		.length = event->bytes,
		.result = event->result,
		.mapping = mapping_id(trace, event),
		.kind = kinds[event->kind],
		.flags = (uint16_t)event->flags,
	};

	put_records(trace, &record, 1);
}

void trace_call(struct trace *trace, int64_t number, const uint64_t args[6], int64_t result,
		uint64_t start_ns)
{
	struct trace_record record = {
		.time_ns = start_ns - trace->start_ns,
		.duration_ns = now_ns() - start_ns,
		.address = args[0],
		.length = args[1],
		.result = result,
		.kind = TRACE_CALL,
		.number = (uint32_t)number,
	};

	put_records(trace, &record, 1);
}

int trace_create(const struct run *run, const char *path, struct trace **result, char *why,
		 size_t why_bytes)
{
	struct trace_header header = {
		.magic = TRACE_MAGIC,
		.version = TRACE_VERSION,
		.record_bytes = sizeof(struct trace_record),
		.realtime_ns = clock_ns(CLOCK_REALTIME),
		.pid = (uint32_t)getpid(),
	};
	struct trace *trace = calloc(1, sizeof(*trace));
	int error = -ENOMEM;

	if (trace) {
		trace->fd = run_open_output(run, path);
		error = trace->fd < 0 ? trace->fd : -pthread_key_create(&trace->key, thread_ends);
		if (error && trace->fd >= 0)
			close(trace->fd);
	}
	if (error) {
		snprintf(why, why_bytes, "the trace %s cannot be written: %s", path,
			 strerror(-error));
		free(trace);
		return error;
	}
	trace->start_ns = now_ns();
	pthread_mutex_init(&trace->lock, NULL);
	list_init(&trace->buffers);
	write_all(trace, &header, sizeof(header));
	*result = trace;
	return 0;
}

/*
 * Threads of the program may still run and trace, up to the end of the process, so buffers and
 * trace stay; what comes now goes nowhere.
 */
int trace_finish(struct trace *trace)
{
	struct trace_buffer *buffer;
	int error;

	if (!trace)
		return 0;
	pthread_mutex_lock(&trace->lock);
	list_for_each_entry (buffer, &trace->buffers, list) {
		pthread_mutex_lock(&buffer->lock);
		flush_buffer(buffer);
		pthread_mutex_unlock(&buffer->lock);
	}
	pthread_mutex_unlock(&trace->lock);
	error = atomic_load(&trace->error);
	if (fsync(trace->fd) && !error && errno != EINVAL)
		error = -errno;
	if (error)
		fprintf(stderr, "quire: the trace is incomplete: %s\n", strerror(-error));
	return error;
}

void trace_destroy(struct trace *trace)
{
	struct trace_buffer *buffer, *next;

	if (!trace)
		return;
	(void)trace_finish(trace);
	list_for_each_entry_safe (buffer, next, &trace->buffers, list) {
		list_del(&buffer->list);
		pthread_mutex_destroy(&buffer->lock);
		free(buffer);
	}
	pthread_key_delete(trace->key);
	pthread_mutex_destroy(&trace->lock);
	close(trace->fd);
	free(trace);
}
