/* SPDX-License-Identifier: MIT */
/*
 * What a descriptor of the program is open for, without asking the host each time.
 *
 * A descriptor of the program stays what it is until it is closed or replaced, and only the
 * program's own calls do that. So a thread remembers some that it has looked at, and all threads of
 * the process forget what they remember whenever one of them closes a descriptor. They do so too
 * when one is given a new descriptor: a program may look at numbers that are not open, and so at a
 * file that Quire has open for a moment.
 */
#ifndef QUIRE_RUN_FILE_OPEN_FILE_H
#define QUIRE_RUN_FILE_OPEN_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/types.h"

struct process;
struct thread;

#define OPEN_FILES_REMEMBERED 8

struct open_file {
	uint64_t valid_for; /* struct open_file_changes.generation plus one; 0: nothing */
	int fd;
	bool special; /* proc_is_special() */
	/* Of the time of the look: type, device and inode do not change. A file that is not empty
	 * here may be so now; one that is empty here is looked at anew each time. */
	struct stat status;
};

/* Of a process. Locks: A = atomic. */
struct open_file_changes {
	_Atomic uint64_t generation; /* A: descriptors were closed or given so many times */
	_Atomic uint32_t closing;    /* A: threads that are about to close some */
};

/*
 * The descriptor `fd` of the program: *file belongs to the thread until its next call of this.
 * -EBADF: not open, of O_PATH, or Quire's own.
 */
QUIRE_MUST_CHECK int open_file_get(struct thread *thread, int fd, const struct open_file **file);

/* Around every call of the host that may close or replace descriptors of the program. */
void open_files_close_begin(struct process *process);
void open_files_close_end(struct process *process);
/* The program is about to be told a number that was free. */
void open_files_given(struct process *process);

#endif
