/* SPDX-License-Identifier: MIT */
/*
 * Reading a trace. The file may be damaged or cut off: everything in it is checked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "run/syscall/table.h"
#include "tools/trace/trace.h"

#define MAPPINGS_MAX 65536
#define NAME_MAX_BYTES 8192

struct reader {
	const char *path;
	FILE *stream;
	size_t offset; /* bytes read */
	size_t room;   /* for records */
	struct trace_file *file;
};

static int broken(const struct reader *reader, const char *what)
{
	fprintf(stderr, "quire: %s, byte %zu: %s\n", reader->path, reader->offset, what);
	return -1;
}

static int no_memory(const struct reader *reader)
{
	return broken(reader, "there is no memory for a trace of this size");
}

/* 1, 0 at the end of the file, or -1. */
static int read_block(struct reader *reader, void *block, size_t bytes)
{
	size_t done = fread(block, 1, bytes, reader->stream);

	if (ferror(reader->stream))
		return broken(reader, strerror(errno));
	if (done == 0)
		return 0;
	if (done < bytes) {
		broken(reader, "the file ends within a record: the run was killed, or the file was "
			       "cut off");
		reader->file->incomplete = true;
		return 0;
	}
	reader->offset += bytes;
	return 1;
}

static int read_header(struct reader *reader)
{
	struct trace_header *header = &reader->file->header;

	if (read_block(reader, header, sizeof(*header)) <= 0 ||
	    memcmp(header->magic, TRACE_MAGIC, sizeof(header->magic)) != 0)
		return broken(reader, "this is not a trace of `quire run --trace`");
	if (header->version != TRACE_VERSION || header->record_bytes != sizeof(struct trace_record))
		return broken(reader, "the trace is of another version of quire");
	return 0;
}

static int store_name(struct reader *reader, uint32_t mapping, char *name)
{
	struct trace_file *file = reader->file;

	if (mapping > file->nr_names) {
		char **names = realloc(file->names, mapping * sizeof(*names));

		if (!names)
			return no_memory(reader);
		memset(names + file->nr_names, 0, (mapping - file->nr_names) * sizeof(*names));
		file->names = names;
		file->nr_names = mapping;
	}
	free(file->names[mapping - 1]);
	file->names[mapping - 1] = name;
	return 0;
}

static int read_name(struct reader *reader, const struct trace_record *record)
{
	size_t bytes = (record->length + sizeof(*record) - 1) / sizeof(*record) * sizeof(*record);
	char *name;

	if (record->mapping == 0 || record->mapping > MAPPINGS_MAX ||
	    record->length > NAME_MAX_BYTES)
		return broken(reader, "the name of a mapping is out of bounds");
	name = calloc(1, bytes + 1);
	if (!name)
		return no_memory(reader);
	if (bytes && read_block(reader, name, bytes) <= 0) {
		free(name);
		return reader->file->incomplete ? 0 : -1;
	}
	name[record->length] = '\0';
	if (store_name(reader, record->mapping, name) == 0)
		return 0;
	free(name);
	return -1;
}

static int store_record(struct reader *reader, const struct trace_record *record)
{
	struct trace_file *file = reader->file;

	if (file->nr_records == reader->room) {
		size_t room = reader->room ? 2 * reader->room : 4096;
		struct trace_record *records = realloc(file->records, room * sizeof(*records));

		if (!records)
			return no_memory(reader);
		file->records = records;
		reader->room = room;
	}
	file->records[file->nr_records++] = *record;
	return 0;
}

static int read_records(struct reader *reader)
{
	struct trace_record record;
	int result;

	while ((result = read_block(reader, &record, sizeof(record))) > 0) {
		if (record.kind < TRACE_FAULT || record.kind > TRACE_MAPPING)
			return broken(reader, "a record is of no known kind");
		if (record.kind == TRACE_MAPPING ? read_name(reader, &record)
						 : store_record(reader, &record))
			return -1;
	}
	return result;
}

static int by_time(const void *left, const void *right)
{
	const struct trace_record *a = left;
	const struct trace_record *b = right;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return (a->thread > b->thread) - (a->thread < b->thread);
}

int trace_read(const char *path, struct trace_file *file)
{
	struct reader reader = {.path = path, .file = file};
	int result;

	*file = (struct trace_file){0};
	reader.stream = fopen(path, "re");
	if (!reader.stream) {
		fprintf(stderr, "quire: %s: %s\n", path, strerror(errno));
		return -1;
	}
	result = read_header(&reader);
	if (!result)
		result = read_records(&reader);
	fclose(reader.stream);
	if (!result && file->nr_records)
		qsort(file->records, file->nr_records, sizeof(*file->records), by_time);
	return result;
}

void trace_release(struct trace_file *file)
{
	for (size_t i = 0; i < file->nr_names; i++)
		free(file->names[i]);
	free(file->names);
	free(file->records);
}

const char *trace_mapping(const struct trace_file *file, const struct trace_record *record)
{
	if (record->mapping == 0)
		return "-";
	if (record->mapping > file->nr_names || !file->names[record->mapping - 1])
		return "?";
	return file->names[record->mapping - 1];
}

const char *trace_name(const struct trace_record *record)
{
	static const char *const names[] = {
		[TRACE_FAULT] = "fault",         [TRACE_EVICT] = "evict",
		[TRACE_WRITEBACK] = "writeback", [TRACE_SWAP_OUT] = "swap-out",
		[TRACE_SWAP_IN] = "swap-in",
	};
	const struct syscall_row *row;

	if (record->kind != TRACE_CALL)
		return names[record->kind];
	row = syscall_row(record->number);
	return row ? row->name : "call";
}
