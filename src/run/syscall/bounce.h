/* SPDX-License-Identifier: MIT */
/*
 * The host side of what a system call passes by pointer: copies of the program's memory in Quire's,
 * which the host reads and writes in its stead, and which go back when the call succeeded.
 *
 * An address where the program has no memory becomes BAD_POINTER, which no process has either: so
 * the host itself finds out whether the call gets so far as to look there, and answers EFAULT in
 * the order in which it checks its arguments. NULL stays NULL.
 *
 * Used by one thread within one call; may stand on the stack.
 */
#ifndef QUIRE_RUN_SYSCALL_BOUNCE_H
#define QUIRE_RUN_SYSCALL_BOUNCE_H

#include "run/task/thread.h"

/* Not canonical, so it can never be mapped. */
#define BAD_POINTER ((uint64_t)1 << 63)
/* No buffer of one call is larger. */
#define BOUNCE_MAX ((uint64_t)1 << 20)
/* Buffers up to so much in all need no allocation: two paths and some more. */
#define BOUNCE_LOCAL (9 * 1024)
#define BOUNCE_OUTPUTS 6

struct bounce_block {
	struct bounce_block *next;
	uint64_t pad; /* data is aligned to 16 bytes */
	char data[];
};

struct bounce {
	struct mm_struct *mm;
	struct bounce_block *blocks;
	uint32_t used;       /* bytes of `local` */
	uint32_t nr_outputs; /* to be copied back by bounce_finish() */
	int error;           /* -ENOMEM: the call must not be made */
	struct bounce_output {
		uint64_t address; /* in the program */
		const void *data;
		uint64_t bytes;
	} outputs[BOUNCE_OUTPUTS];
	char local[BOUNCE_LOCAL] __attribute__((aligned(16)));
};

void bounce_begin(struct bounce *bounce, struct thread *thread);
/* Memory until bounce_end(), not initialised; NULL: none, and the error is noted. */
void *bounce_alloc(struct bounce *bounce, uint64_t bytes);
/* As bounce_in() and so on, for a host pointer that the caller wants to look at: NULL when the
 * address is NULL or bad. */
#define bounce_pointer(number) ((number) == BAD_POINTER ? NULL : (void *)(uintptr_t)(number))

/* These return what the host gets for a pointer: 0, BAD_POINTER, or that of a copy. */

/* `bytes` bytes, copied in. */
uint64_t bounce_in(struct bounce *bounce, uint64_t address, uint64_t bytes);
/* As many as the first 32 bits there say, between `least` and a page. */
uint64_t bounce_in_sized(struct bounce *bounce, uint64_t address, uint64_t least);
/* A string of which the host looks at `limit` bytes at most: a longer one has no end there. */
uint64_t bounce_string(struct bounce *bounce, uint64_t address, uint64_t limit);
uint64_t bounce_path(struct bounce *bounce, uint64_t address);
/* Zero-filled room for `bytes` bytes that bounce_finish() copies out. */
uint64_t bounce_out(struct bounce *bounce, uint64_t address, uint64_t bytes);
uint64_t bounce_inout(struct bounce *bounce, uint64_t address, uint64_t bytes);
/* Room for *bytes bytes or, when the program has less there, as many as it has: *bytes. The caller
 * copies out what the host put there. */
uint64_t bounce_room(struct bounce *bounce, uint64_t address, uint64_t *bytes);

/* The host call with arguments from above, not made when memory ran out. */
int64_t bounce_call(struct bounce *bounce, struct thread *thread, long number,
		    const uint64_t args[6], bool blocks);
/* Copies all outputs out if `result` is no error; the result, or -EFAULT. Frees the memory. */
int64_t bounce_finish(struct bounce *bounce, int64_t result);
void bounce_end(struct bounce *bounce);

#endif
