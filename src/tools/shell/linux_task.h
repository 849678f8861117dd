/* SPDX-License-Identifier: MIT */
/*
 * The linux machine's end of a process: starting it, asking it, and learning how it died.
 */
#ifndef QUIRE_TOOLS_SHELL_LINUX_TASK_H
#define QUIRE_TOOLS_SHELL_LINUX_TASK_H

#include <sys/types.h>

#include "base/list.h"
#include "tools/shell/linux_protocol.h"
#include "tools/shell/machine.h"

struct shell_machine {
	struct list_head tasks;
	bool under_quire; /* its processes are programs of `quire run` */
};

struct shell_task {
	struct list_head link; /* in the machine's tasks */
	struct shell_machine *machine;
	pid_t pid;
	int connection;
	bool dead; /* reaped: `pid` means nothing any more */
	uint64_t heap_start;
	/* What the process itself takes of RLIMIT_AS and RLIMIT_DATA, in bytes: a script's limits
	 * count without it. */
	uint64_t own_as;
	uint64_t own_data;
};

/* Bytes that travel with a request and come back with its reply. */
struct linux_payload {
	const void *out;
	size_t out_length;
	void *in;
	size_t in_length;
};

/* Starts a fresh process. 0, or -errno after a message on standard error. */
QUIRE_MUST_CHECK int linux_task_start(struct shell_machine *machine, struct shell_task **task);
/* Ends the process, waits for it and frees the task. */
void linux_task_end(struct shell_task *task);

/*
 * One request and its reply; `payload` may be NULL. When the process has died a message says how,
 * and the result is ESRCH.
 */
struct shell_result linux_task_ask(struct shell_task *task, const struct linux_request *request,
				   const struct linux_payload *payload);
/* A call with a path or a name as its argument number `position`; `request` has the others. */
struct shell_result linux_task_call_string(struct shell_task *task, struct linux_request *request,
					   unsigned position, const char *string);
/* A copy of the task, as fork() makes it. */
struct shell_result linux_task_fork(struct shell_task *task, struct shell_task **child);

/* A system call whose arguments are all plain numbers. */
#define LINUX_CALL(task, call_number, ...) \
	linux_task_ask(task, \
		       &(struct linux_request){.operation = LINUX_SYSCALL, \
					       .number = (call_number), \
					       .argument = {__VA_ARGS__}}, \
		       NULL)

/* Visits the lines of the process's /proc/self/maps; the names are the kernel's. 0 or -errno. */
QUIRE_MUST_CHECK int linux_task_maps(struct shell_task *task, shell_vma_visitor *visit,
				     void *context);

#endif
