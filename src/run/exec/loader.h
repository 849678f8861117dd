/* SPDX-License-Identifier: MIT */
/*
 * execve(2): from a path to a program that is ready to run: scripts (#!), ELF files by the core's
 * exec, the vDSO, the auxiliary vector.
 *
 * What the host would check when it executes a file is checked here: a regular file, execute
 * permission by the effective identity, no noexec mount. Two things differ from the host: the file
 * must be readable too, and set-user-ID, set-group-ID and file capabilities have no effect, as
 * under PR_SET_NO_NEW_PRIVS (Quire runs the program with the rights of its own user).
 */
#ifndef QUIRE_RUN_EXEC_LOADER_H
#define QUIRE_RUN_EXEC_LOADER_H

#include "run/task/thread.h"

struct syscall_family;

struct program {
	const char *path; /* as given: AT_EXECFN */
	int fd;           /* execveat(AT_EMPTY_PATH): the file, and `path` is /dev/fd/N; else -1 */
	char *const *argv;
	char *const *envp;
	/* Who calls execve, and must be the process's only thread before the old address space
	 * goes; NULL: the first program, there is no old one. */
	struct thread *thread;
	uint64_t entry;         /* out */
	uint64_t stack_pointer; /* out */
};

/*
 * Makes process->mm the address space of the program, sets exe, comm, vdso, saved_auxv. Nobody else
 * runs in it. 0; -errno of execve(2) (-ENOENT, -EACCES, -ENOEXEC, -ELIBBAD, -E2BIG, -ELOOP for
 * scripts nested more than five deep, -ENOMEM, ...); *lost: the old address space is gone already,
 * so the process can only be killed.
 */
QUIRE_MUST_CHECK int load_program(struct process *process, struct program *program, bool *lost);
/* Registers and FPU of a program's start. */
void start_program(struct thread *thread, const struct program *program);

/* The capabilities of the calling thread may have changed: what they allow with memory follows. */
void process_update_rights(struct process *process);

/* execve, execveat. */
extern const struct syscall_family exec_calls;

#endif
