/* SPDX-License-Identifier: MIT */
/*
 * RLIMIT_FSIZE of the program. The host does not know it: it would hold for Quire's swap, trace and
 * write-back as well.
 */
#ifndef QUIRE_RUN_SYSCALL_FILE_SIZE_H
#define QUIRE_RUN_SYSCALL_FILE_SIZE_H

#include "run/task/thread.h"

/* A call as it will be made. */
struct limited_call {
	int64_t number;
	uint64_t args[6];
};

/*
 * A call that may make a file longer is cut to what the limit allows. 0; or -EFBIG, with SIGXFSZ
 * sent to the thread, when that is nothing. Other calls are left alone.
 */
int limit_file_size(struct thread *thread, struct limited_call *call);

#endif
