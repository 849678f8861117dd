/* SPDX-License-Identifier: MIT */
/*
 * Memory calls that are reached by other system calls too.
 */
#ifndef QUIRE_RUN_FILE_MEMORY_CALLS_H
#define QUIRE_RUN_FILE_MEMORY_CALLS_H

#include "run/task/thread.h"

/* prctl(2) for options about memory: PR_SET_VMA, PR_SET_MM, PR_SET_MDWE, PR_GET_MDWE. False: it is
 * another option. */
bool memory_prctl(struct thread *thread, const uint64_t args[6], int64_t *result);

#endif
