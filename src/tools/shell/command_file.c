/* SPDX-License-Identifier: MIT */
/*
 * Commands on files.
 */
#include <errno.h>
#include <stdlib.h>

#include "tools/shell/command.h"
#include "tools/shell/interrupt.h"

/* Gives the name to the new descriptor. A name that was bound lets go of its file, as dup2() would.
 */
static void bind_result(struct shell_call *call, const struct shell_result *result)
{
	struct shell_file *old = shell_file_find(call->process, call->values[0].word);

	shell_reply_result(call->reply, result);
	if (call->reply->kind != SHELL_REPLY_OK)
		return;
	if (old) {
		call->shell->ops->close(call->process->task, old->fd);
		shell_file_unbind(old);
	}
	shell_file_bind(call->process, call->values[0].word, (int)result->value);
}

void shell_run_open(struct shell_call *call)
{
	uint64_t flags = call->values[2].number | call->values[3].number;
	struct shell_result result =
		call->shell->ops->open(call->process->task, call->values[1].word, flags);

	bind_result(call, &result);
}

void shell_run_memfd(struct shell_call *call)
{
	struct shell_result result =
		call->shell->ops->memfd(call->process->task, call->values[0].word);

	bind_result(call, &result);
}

void shell_run_close(struct shell_call *call)
{
	struct shell_file *file = call->values[0].file;
	struct shell_result result = call->shell->ops->close(call->process->task, file->fd);

	/* The descriptor is gone even when close() reports an error. */
	shell_file_unbind(file);
	shell_reply_result(call->reply, &result);
}

void shell_run_unlink(struct shell_call *call)
{
	struct shell_result result =
		call->shell->ops->unlink(call->process->task, call->values[0].word);

	shell_reply_result(call->reply, &result);
}

void shell_run_pread(struct shell_call *call)
{
	uint64_t left = call->values[1].number;
	uint64_t offset = call->values[2].number;
	unsigned char *buffer = shell_allocate(SHELL_TRANSFER_SIZE);
	struct shell_result result;
	size_t length;

	do {
		length = (size_t)min_u64(left, SHELL_TRANSFER_SIZE);
		result = call->shell->ops->pread(call->process->task, call->values[0].file->fd,
						 buffer, length, offset);
		if (result.error)
			break;
		shell_buffer_append(&call->reply->value, buffer, result.value);
		offset += result.value;
		left -= result.value;
		if (left && shell_interrupted())
			result.error = EINTR;
	} while (left && result.value == length && !result.error);
	free(buffer);
	shell_reply_result(call->reply, &result);
	if (call->reply->kind == SHELL_REPLY_OK)
		call->reply->kind = SHELL_REPLY_BYTES;
}

void shell_run_pwrite(struct shell_call *call)
{
	const char *bytes = call->values[1].bytes;
	size_t left = call->values[1].length;
	uint64_t offset = call->values[2].number;
	uint64_t written = 0;
	struct shell_result result;
	size_t length;

	do {
		length = left < SHELL_TRANSFER_SIZE ? left : SHELL_TRANSFER_SIZE;
		result = call->shell->ops->pwrite(call->process->task, call->values[0].file->fd,
						  bytes, length, offset + written);
		if (result.error)
			break;
		bytes += result.value;
		left -= result.value;
		written += result.value;
	} while (left && result.value == length);
	/* As one call would: an error behind bytes that were written is a short count. */
	if (written)
		result = (struct shell_result){.value = written};
	shell_reply_value(call->reply, &result);
}

void shell_run_read(struct shell_call *call)
{
	const struct shell_value *values = call->values;
	struct shell_result result =
		call->shell->ops->read(call->process->task, values[0].file->fd, values[1].number,
				       values[2].number, values[3].number);

	shell_reply_value(call->reply, &result);
}

void shell_run_write(struct shell_call *call)
{
	const struct shell_value *values = call->values;
	struct shell_result result =
		call->shell->ops->write(call->process->task, values[0].file->fd, values[1].number,
					values[2].number, values[3].number);

	shell_reply_value(call->reply, &result);
}

void shell_run_size(struct shell_call *call)
{
	struct shell_result result =
		call->shell->ops->size(call->process->task, call->values[0].file->fd);

	shell_reply_value(call->reply, &result);
}

void shell_run_ftruncate(struct shell_call *call)
{
	struct shell_result result = call->shell->ops->ftruncate(
		call->process->task, call->values[0].file->fd, call->values[1].number);

	shell_reply_result(call->reply, &result);
}

void shell_run_punch(struct shell_call *call)
{
	struct shell_result result =
		call->shell->ops->punch(call->process->task, call->values[0].file->fd,
					call->values[1].number, call->values[2].number);

	shell_reply_result(call->reply, &result);
}

void shell_run_fsync(struct shell_call *call)
{
	struct shell_result result =
		call->shell->ops->fsync(call->process->task, call->values[0].file->fd);

	shell_reply_result(call->reply, &result);
}
