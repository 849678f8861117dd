/* SPDX-License-Identifier: MIT */
/*
 * The soft machine's side of the shell: one instance of Quire on the software machine, with one CPU
 * that is switched to whichever task acts, and a table of file descriptors for each task.
 */
#ifndef QUIRE_TOOLS_SHELL_SOFT_TASK_H
#define QUIRE_TOOLS_SHELL_SOFT_TASK_H

#include <stdatomic.h>

#include <quire/quire.h>

#include "base/list.h"
#include "machine/soft/soft.h"
#include "tools/shell/machine.h"

struct shell_machine {
	struct quire_machine *machine;
	struct quire *quire;
	struct soft_cpu *cpu;
	struct shell_task *running; /* whose mm the CPU has, or NULL */
	struct list_head tasks;
	_Atomic bool pressure; /* Quire asked for background reclaim */
	uint64_t operations;   /* so far: what the clock shows, in units of its own */
};

/* An open file. What is neither a regular file nor /dev/zero stays the host's: it has no pages. */
struct soft_descriptor {
	quire_file *file; /* NULL: the host's */
	int host;         /* -1, or the host's descriptor */
	bool used;
};

struct shell_task {
	struct list_head link; /* in the machine's tasks */
	struct shell_machine *machine;
	quire_mm *mm; /* NULL: killed by an OOM verdict */
	struct soft_descriptor *descriptors;
	size_t descriptor_count;
};

/* 0 and up is a value; -1 is errno. */
struct shell_result soft_result(int64_t value);

/* To be called at the beginning of each operation: time passes, and what is due in the background
 * is done. */
void soft_background(struct shell_machine *machine);

/* NULL when the descriptor is none (never, from the shell). */
struct soft_descriptor *soft_descriptor(struct shell_task *task, int fd);
/* The child's table becomes a copy of the parent's. */
void soft_descriptors_copy(struct shell_task *child, const struct shell_task *parent);
void soft_descriptors_close(struct shell_task *task);

/* Opens a regular file or /dev/zero for reading, for exec. NULL with errno. */
quire_file *soft_open_program(struct quire *quire, const char *path);

struct shell_result soft_open(struct shell_task *task, const char *path, uint64_t flags);
struct shell_result soft_memfd(struct shell_task *task, const char *name);
struct shell_result soft_close(struct shell_task *task, int fd);
struct shell_result soft_unlink(struct shell_task *task, const char *path);
struct shell_result soft_pread(struct shell_task *task, int fd, void *buffer, size_t length,
			       uint64_t offset);
struct shell_result soft_pwrite(struct shell_task *task, int fd, const void *buffer, size_t length,
				uint64_t offset);
struct shell_result soft_read(struct shell_task *task, int fd, uint64_t address, uint64_t length,
			      uint64_t offset);
struct shell_result soft_write(struct shell_task *task, int fd, uint64_t address, uint64_t length,
			       uint64_t offset);
struct shell_result soft_size(struct shell_task *task, int fd);
struct shell_result soft_ftruncate(struct shell_task *task, int fd, uint64_t length);
struct shell_result soft_punch(struct shell_task *task, int fd, uint64_t offset, uint64_t length);
struct shell_result soft_fsync(struct shell_task *task, int fd);

/* soft_maps.c: a VMA as the shell names it; `name` lives as long as the VMA. */
struct vm_area_struct;
void soft_describe_vma(const struct vm_area_struct *vma, struct shell_vma *description);
int soft_maps(struct shell_task *task, shell_vma_visitor *visit, void *context);

extern const struct shell_inspect_ops soft_inspect;

#endif
