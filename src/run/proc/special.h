/* SPDX-License-Identifier: MIT */
/*
 * mem, pagemap and clear_refs: an empty host object for each, made at the first open, of which
 * every open gets a description of its own, so that modes and file offsets are the host's to keep.
 */
#ifndef QUIRE_RUN_PROC_SPECIAL_H
#define QUIRE_RUN_PROC_SPECIAL_H

#include "run/proc/proc.h"

enum proc_special {
	PROC_MEM,
	PROC_PAGEMAP,
	PROC_CLEAR_REFS,
	PROC_SPECIALS
};

const char *proc_special_name(enum proc_special kind);
/* A new descriptor with the access mode of `flags`, or -errno. */
int proc_special_open(struct run *run, enum proc_special kind, int flags);

#endif
