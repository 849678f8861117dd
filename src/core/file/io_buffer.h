/* SPDX-License-Identifier: MIT */
/*
 * The other end of a file call: memory of the caller, or a range of an mm, whose pages are pinned
 * before any page of the cache is locked. So a call whose buffer is a mapping of the very page that
 * it reads or writes neither deadlocks nor loses data.
 */
#ifndef QUIRE_CORE_FILE_IO_BUFFER_H
#define QUIRE_CORE_FILE_IO_BUFFER_H

#include "core/fault/fault.h"

#define IO_BUFFER_PINS 16

/* Belongs to one call. */
struct io_buffer {
	struct quire *quire;
	char *memory;         /* NULL: it is in `mm` */
	struct mm_struct *mm; /* the buffer's address space, and its address in there */
	uint64_t address;
	uint64_t bytes;
	bool fill;             /* data goes into the buffer */
	uint64_t pinned_start; /* address of the first pinned page */
	uint32_t nr_pinned;
	struct page *pages[IO_BUFFER_PINS];
};

/*
 * Makes up to `wanted` bytes from byte `done` of the buffer on accessible. How many there are, at
 * least 1, or -EFAULT, -ENOMEM. No page is locked by the caller.
 */
int64_t io_buffer_prepare(struct io_buffer *buffer, uint64_t done, uint64_t wanted);
/* Copies bytes that were prepared, from or to `memory` as `fill` says. */
void io_buffer_copy(struct io_buffer *buffer, uint64_t done, void *memory, uint64_t bytes);
/* Fills bytes that were prepared with zeroes. */
void io_buffer_zero(struct io_buffer *buffer, uint64_t done, uint64_t bytes);
/* Lets go of what is pinned. */
void io_buffer_release(struct io_buffer *buffer);

#endif
