/* SPDX-License-Identifier: MIT */
/*
 * The shell's processes: what their names stand for. Each has its regions and files, which fork
 * copies; the address space itself is the machine's (`task`).
 */
#ifndef QUIRE_TOOLS_SHELL_PROCESS_H
#define QUIRE_TOOLS_SHELL_PROCESS_H

#include "base/list.h"
#include "tools/shell/machine.h"

/* A name for the bytes [start, start + length), whether or not anything is mapped there still. */
struct shell_region {
	struct list_head link; /* in the process's regions, the one bound last at the end */
	char *name;
	uint64_t start;
	uint64_t length;
};

struct shell_file {
	struct list_head link;
	char *name;
	int fd;
};

struct shell_process {
	struct list_head link; /* in the shell's processes */
	char *name;
	struct shell_task *task;
	struct list_head regions;
	struct list_head files;
	/* The region `heap`: bound before all others, ends with the break. */
	struct shell_region heap;
};

/* The name is copied. */
struct shell_process *shell_process_new(const char *name, struct shell_task *task,
					uint64_t heap_start);
/* A copy of names and what they stand for, as fork makes it. */
struct shell_process *shell_process_copy(const struct shell_process *process, const char *name,
					 struct shell_task *task);
/* Takes it off the list it is on and frees it; the task stays the caller's. */
void shell_process_free(struct shell_process *process);
struct shell_process *shell_process_find(struct list_head *processes, const char *name);

/* Forgets all regions, for exec. */
void shell_process_forget_regions(struct shell_process *process, uint64_t heap_start);

/* By name, `heap` among them; NULL when there is none. */
const struct shell_region *shell_region_find(const struct shell_process *process, const char *name);
/* Binds the name, or binds it anew; it is then the one bound last. The length is rounded up to
 * pages. */
void shell_region_bind(struct shell_process *process, const char *name, uint64_t start,
		       uint64_t length);
/* The region bound last that holds the address, or NULL. */
const struct shell_region *shell_region_at(const struct shell_process *process, uint64_t address);
/*
 * The first stretch of [*start, *end) that lies in regions of the process, cut to its ends;
 * neighbouring and overlapping regions make one stretch. False when there is none.
 */
bool shell_region_stretch(const struct shell_process *process, uint64_t *start, uint64_t *end);

/* NULL when there is none. */
struct shell_file *shell_file_find(const struct shell_process *process, const char *name);
/* Binds a name that is not bound. */
void shell_file_bind(struct shell_process *process, const char *name, int fd);
void shell_file_unbind(struct shell_file *file);

#endif
