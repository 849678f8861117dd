/* SPDX-License-Identifier: MIT */
/*
 * Commands on mappings and memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#include "tools/shell/command.h"
#include "tools/shell/interrupt.h"

/* So much is filled before a look at whether to go on. */
#define FILL_PIECE ((uint64_t)1 << 20)

/* A call of the machine that takes an address, a length and perhaps one number more. */
#define RUN_RANGE(call, operation, ...) \
	do { \
		struct shell_result result_ = (call)->shell->ops->operation( \
			(call)->process->task, (call)->values[0].number, (call)->values[1].number, \
			##__VA_ARGS__); \
		shell_reply_result((call)->reply, &result_); \
	} while (0)

void shell_run_munmap(struct shell_call *call)
{
	RUN_RANGE(call, munmap);
}

void shell_run_mprotect(struct shell_call *call)
{
	RUN_RANGE(call, mprotect, call->values[2].number);
}

void shell_run_madvise(struct shell_call *call)
{
	RUN_RANGE(call, madvise, call->values[2].number);
}

void shell_run_msync(struct shell_call *call)
{
	RUN_RANGE(call, msync, call->values[2].number);
}

void shell_run_mseal(struct shell_call *call)
{
	RUN_RANGE(call, mseal);
}

void shell_run_remap_file_pages(struct shell_call *call)
{
	RUN_RANGE(call, remap_file_pages, call->values[2].number);
}

void shell_run_mdwe(struct shell_call *call)
{
	struct shell_result result =
		call->shell->ops->mdwe(call->process->task, call->values[0].number);

	shell_reply_result(call->reply, &result);
}

void shell_run_mlock(struct shell_call *call)
{
	RUN_RANGE(call, mlock);
}

void shell_run_munlock(struct shell_call *call)
{
	RUN_RANGE(call, munlock);
}

static void bind_result(struct shell_call *call, const struct shell_result *result, uint64_t length)
{
	shell_reply_result(call->reply, result);
	if (call->reply->kind == SHELL_REPLY_OK)
		shell_region_bind(call->process, call->values[0].word, result->value, length);
}

void shell_run_mmap(struct shell_call *call)
{
	const struct shell_value *values = call->values;
	struct shell_mmap request = {
		.address = values[6].number,
		.length = values[1].number,
		.prot = values[2].number,
		.flags = values[3].number,
		.fd = values[4].given ? values[4].file->fd : -1,
		.offset = values[5].number,
	};
	struct shell_result result = call->shell->ops->mmap(call->process->task, &request);

	bind_result(call, &result, request.length);
}

void shell_run_mremap(struct shell_call *call)
{
	const struct shell_value *values = call->values;
	struct shell_mremap request = {
		.old_address = values[1].number,
		.old_length = values[2].number,
		.new_length = values[3].number,
		.flags = values[4].number,
		.new_address = values[5].number,
	};
	struct shell_result result = call->shell->ops->mremap(call->process->task, &request);

	bind_result(call, &result, request.new_length);
}

void shell_run_mincore(struct shell_call *call)
{
	uint64_t address = call->values[0].number;
	uint64_t left = call->values[1].number;
	unsigned char *vector = shell_allocate(SHELL_MINCORE_PAGES);
	struct shell_result result;

	do {
		uint64_t length = min_u64(left, SHELL_MINCORE_PAGES * PAGE_SIZE);
		uint64_t pages = PAGE_ALIGN(length) >> PAGE_SHIFT;

		result = call->shell->ops->mincore(call->process->task, address, length, vector);
		if (result.error)
			break;
		for (uint64_t i = 0; i < pages; i++)
			shell_buffer_append(&call->reply->value, vector[i] & 1 ? "1" : "0", 1);
		address += length;
		left -= length;
	} while (left);
	free(vector);
	shell_reply_result(call->reply, &result);
	if (call->reply->kind == SHELL_REPLY_OK)
		call->reply->kind = SHELL_REPLY_TEXT;
}

void shell_run_brk(struct shell_call *call)
{
	struct shell_process *process = call->process;
	struct shell_result result = call->shell->ops->brk(process->task, call->values[0].delta);

	shell_reply_result(call->reply, &result);
	if (call->reply->kind == SHELL_REPLY_OK)
		process->heap.length = PAGE_ALIGN(result.value) - process->heap.start;
}

/* Loads in pieces, each of which goes to `use`. The reply says how it ended. */
static void load_pieces(struct shell_call *call, void (*use)(void *context, const void *, size_t),
			void *context)
{
	uint64_t address = call->values[0].number;
	uint64_t left = call->values[1].number;
	unsigned char *buffer = shell_allocate(SHELL_TRANSFER_SIZE);
	struct shell_result result = {0};

	while (left && !result.error) {
		size_t length = (size_t)min_u64(left, SHELL_TRANSFER_SIZE);

		result = call->shell->ops->load(call->process->task, address, buffer, length);
		if (result.error || result.signal)
			break;
		use(context, buffer, length);
		address += length;
		left -= length;
		if (left && shell_interrupted())
			result.error = EINTR;
	}
	free(buffer);
	shell_reply_result(call->reply, &result);
}

static void append_piece(void *context, const void *bytes, size_t length)
{
	shell_buffer_append(context, bytes, length);
}

void shell_run_load(struct shell_call *call)
{
	load_pieces(call, append_piece, &call->reply->value);
	if (call->reply->kind == SHELL_REPLY_OK)
		call->reply->kind = SHELL_REPLY_BYTES;
}

static void sum_piece(void *context, const void *bytes, size_t length)
{
	uLong *sum = context;

	*sum = crc32(*sum, bytes, (uInt)length);
}

void shell_run_sum(struct shell_call *call)
{
	uLong sum = crc32(0, NULL, 0);

	load_pieces(call, sum_piece, &sum);
	if (call->reply->kind != SHELL_REPLY_OK)
		return;
	call->reply->kind = SHELL_REPLY_TEXT;
	shell_buffer_printf(&call->reply->value, "0x%08lx", sum);
}

void shell_run_store(struct shell_call *call)
{
	uint64_t address = call->values[0].number;
	const char *bytes = call->values[1].bytes;
	size_t left = call->values[1].length;
	struct shell_result result = {0};

	while (left && !result.error && !result.signal) {
		size_t length = left < SHELL_TRANSFER_SIZE ? left : SHELL_TRANSFER_SIZE;

		result = call->shell->ops->store(call->process->task, address, bytes, length);
		address += length;
		bytes += length;
		left -= length;
	}
	shell_reply_result(call->reply, &result);
}

void shell_run_fill(struct shell_call *call)
{
	uint64_t address = call->values[0].number;
	uint64_t left = call->values[1].number;
	unsigned char byte = (unsigned char)call->values[2].number;
	struct shell_result result = {0};

	while (left && !result.error && !result.signal) {
		uint64_t length = min_u64(left, FILL_PIECE);

		result = call->shell->ops->fill(call->process->task, address, byte, length);
		address += length;
		left -= length;
		if (left && shell_interrupted())
			result.error = EINTR;
	}
	shell_reply_result(call->reply, &result);
}

static bool is_anonymous_name(const char *name)
{
	return strcmp(name, "anon") == 0 || strcmp(name, "heap") == 0 || strcmp(name, "stack") == 0;
}

static void print_stretch(struct shell_call *call, const struct shell_vma *vma, uint64_t start,
			  uint64_t end)
{
	const struct shell_region *region = shell_region_at(call->process, start);
	uint64_t from = start - region->start;
	uint64_t to = end - region->start;
	uint64_t offset = is_anonymous_name(vma->name) ? 0 : vma->offset + (start - vma->start);

	shell_reply_line(call->reply, "%s+0x%" PRIx64 "-%s+0x%" PRIx64 " %s 0x%" PRIx64 " %s",
			 region->name, from, region->name, to, vma->perms, offset, vma->name);
	shell_reply_add_json(call->reply,
			     json_pack("{s:s, s:I, s:I, s:s, s:I, s:o}", "region", region->name,
				       "start", (json_int_t)from, "end", (json_int_t)to, "perms",
				       vma->perms, "offset", (json_int_t)offset, "name",
				       shell_json_text(vma->name, strlen(vma->name))));
}

static void print_vma(void *context, const struct shell_vma *vma)
{
	struct shell_call *call = context;
	uint64_t start = vma->start;
	uint64_t end = vma->end;

	while (shell_region_stretch(call->process, &start, &end)) {
		print_stretch(call, vma, start, end);
		start = end;
		end = vma->end;
	}
}

void shell_run_maps(struct shell_call *call)
{
	int error;

	shell_reply_begin_list(call->reply, "maps");
	error = call->shell->ops->maps(call->process->task, print_vma, call);
	if (error)
		shell_reply_fail(call->reply, -error, "the mappings cannot be read");
}
