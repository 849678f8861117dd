/* SPDX-License-Identifier: MIT */
/*
 * Buffers of file calls (core/file/io_buffer.h).
 */
#include "core/file/io_buffer.h"

#include "base/contents.h"
#include "core/instance/instance.h"

#include <errno.h>

void io_buffer_release(struct io_buffer *buffer)
{
	if (!buffer->nr_pinned)
		return;
	unpin_user_pages(buffer->quire, buffer->pages, buffer->nr_pinned, buffer->fill);
	buffer->nr_pinned = 0;
}

/* Bytes from `address` on that are pinned. */
static uint64_t pinned_bytes(const struct io_buffer *buffer, uint64_t address)
{
	const uint64_t end = buffer->pinned_start + ((uint64_t)buffer->nr_pinned << PAGE_SHIFT);

	return buffer->nr_pinned && address >= buffer->pinned_start && address < end ? end - address
										     : 0;
}

/* Pins from `address` on, `bytes` bytes or as many as fit. */
static int64_t pin_window(struct io_buffer *buffer, uint64_t address, uint64_t bytes)
{
	const uint64_t span = PAGE_OFFSET(address) + bytes;
	const uint64_t pages = (span + PAGE_SIZE - 1) >> PAGE_SHIFT;
	int64_t pinned;

	io_buffer_release(buffer);
	buffer->pinned_start = PAGE_ALIGN_DOWN(address);
	pinned = pin_user_pages(buffer->mm, buffer->pinned_start,
				(uint32_t)min_u64(pages, IO_BUFFER_PINS), buffer->fill,
				buffer->pages);
	if (pinned < 0)
		return pinned;
	buffer->nr_pinned = (uint32_t)pinned;
	return 0;
}

int64_t io_buffer_prepare(struct io_buffer *buffer, uint64_t done, uint64_t wanted)
{
	const uint64_t address = buffer->address + done;

	if (buffer->memory)
		return (int64_t)wanted;
	if (address + wanted < address || address >= buffer->mm->task_size)
		return -EFAULT;
	if (pinned_bytes(buffer, address) < wanted) {
		int64_t error = pin_window(buffer, address, buffer->bytes - done);

		if (error)
			return error;
	}
	return (int64_t)min_u64(wanted, pinned_bytes(buffer, address));
}

/* The memory behind byte `done`, and how much of it lies in one piece. */
static char *buffer_piece(struct io_buffer *buffer, uint64_t done, uint64_t *bytes)
{
	const uint64_t address = buffer->address + done;

	if (buffer->memory)
		return buffer->memory + done;

	struct page *page = buffer->pages[(address - buffer->pinned_start) >> PAGE_SHIFT];

	*bytes = min_u64(*bytes, PAGE_SIZE - PAGE_OFFSET(address));
	return (char *)page_address(&buffer->quire->zone, page) + PAGE_OFFSET(address);
}

/* The two may be the same page. */
void io_buffer_copy(struct io_buffer *buffer, uint64_t done, void *memory, uint64_t bytes)
{
	for (char *at = memory; bytes;) {
		uint64_t piece = bytes;
		char *other = buffer_piece(buffer, done, &piece);

		if (buffer->fill)
			contents_copy(other, at, piece);
		else
			contents_copy(at, other, piece);
		at += piece;
		done += piece;
		bytes -= piece;
	}
}

void io_buffer_zero(struct io_buffer *buffer, uint64_t done, uint64_t bytes)
{
	while (bytes) {
		uint64_t piece = bytes;

		char *memory = buffer_piece(buffer, done, &piece);

		contents_fill(memory, 0, piece);
		done += piece;
		bytes -= piece;
	}
}
