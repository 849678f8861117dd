/* SPDX-License-Identifier: MIT */
/*
 * The vDSO: a small shared object of our own that every program finds by AT_SYSINFO_EHDR, with
 * __vdso_clock_gettime, __vdso_gettimeofday, __vdso_time, __vdso_clock_getres, __vdso_getcpu,
 * and the page of clock data ([vvar]) that it reads. Without a usable time stamp counter its
 * functions make the system call.
 *
 * The system calls for the same clocks are served from the same data, so that time never runs
 * backwards between one and the other. They differ from the host's own clocks (time stamps of
 * files, timers) by less than a microsecond.
 */
#ifndef QUIRE_RUN_EXEC_VDSO_H
#define QUIRE_RUN_EXEC_VDSO_H

#include "run/task/thread.h"

/* Once for a run: the image and the clock page, in frames of Quire. 0 or -ENOMEM. */
QUIRE_MUST_CHECK int vdso_init(struct run *run);
/* After the instance's mms are gone. */
void vdso_exit(struct run *run);
/* Maps [vvar] and [vdso]. *address: of the ELF header. 0 or -ENOMEM. */
QUIRE_MUST_CHECK int vdso_map(struct run *run, struct mm_struct *mm, uint64_t *address);

/* A clock in ns, as the vDSO gives it. False: it is not one of its clocks, or there is no usable
 * counter: ask the host. */
QUIRE_MUST_CHECK bool vdso_clock(struct run *run, int64_t clock, uint64_t *ns);

int64_t sys_clock_gettime(struct thread *thread, const uint64_t args[6]);
int64_t sys_gettimeofday(struct thread *thread, const uint64_t args[6]);
int64_t sys_time(struct thread *thread, const uint64_t args[6]);

#endif
