/* SPDX-License-Identifier: MIT */
/*
 * Shared memory segments of System V: objects in Quire's memory, known to the programs of a run
 * and to nobody else.
 */
#ifndef QUIRE_RUN_FILE_SYSV_SHM_H
#define QUIRE_RUN_FILE_SYSV_SHM_H

#include "run/run.h"

struct sysv_shm;

/* 0 or -ENOMEM. */
QUIRE_MUST_CHECK int sysv_shm_create(struct run *run);
/* No call is under way; segments that are not mapped go. */
void sysv_shm_destroy(struct run *run);

#endif
