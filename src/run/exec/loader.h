/* SPDX-License-Identifier: MIT */
/*
 * execve(2): from a path to a program that is ready to run: scripts (#!), ELF files by the core's
 * exec, the vDSO, the auxiliary vector.
 */
#ifndef QUIRE_RUN_EXEC_LOADER_H
#define QUIRE_RUN_EXEC_LOADER_H

#include "run/task/thread.h"

struct program {
	const char *path; /* as given: AT_EXECFN */
	char *const *argv;
	char *const *envp;
	uint64_t entry;         /* out */
	uint64_t stack_pointer; /* out */
};

/*
 * Makes process->mm the address space of the program, sets exe, comm, vdso, saved_auxv. Nobody else
 * runs in it. 0; -errno of execve(2) (-ENOENT, -EACCES, -ENOEXEC, -ELIBBAD, -E2BIG, -ELOOP for
 * scripts nested more than four deep, -ENOMEM, ...); *lost: the old address space is gone already,
 * so the process can only be killed.
 */
QUIRE_MUST_CHECK int load_program(struct process *process, struct program *program, bool *lost);
/* Registers and FPU of a program's start. */
void start_program(struct thread *thread, const struct program *program);

int64_t sys_execve(struct thread *thread, const uint64_t args[6]);
int64_t sys_execveat(struct thread *thread, const uint64_t args[6]);

#endif
