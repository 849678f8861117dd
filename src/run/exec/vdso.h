/* SPDX-License-Identifier: MIT */
/*
 * The vDSO: a small shared object of our own that every program finds by AT_SYSINFO_EHDR, with
 * __vdso_clock_gettime, __vdso_gettimeofday, __vdso_time, __vdso_clock_getres, __vdso_getcpu,
 * and the page of clock data ([vvar]) that it reads. Without a usable time stamp counter its
 * functions make the system call.
 */
#ifndef QUIRE_RUN_EXEC_VDSO_H
#define QUIRE_RUN_EXEC_VDSO_H

#include "run/run.h"

struct mm_struct;

/* Once for a run: the image and the clock page in frames of Quire, and the thread that keeps the
 * clock page in step with the host's clocks. 0 or -errno. */
QUIRE_MUST_CHECK int vdso_init(struct run *run);
void vdso_exit(struct run *run);
/* Maps [vvar] and [vdso]. *address: of the ELF header. 0 or -ENOMEM. */
QUIRE_MUST_CHECK int vdso_map(struct run *run, struct mm_struct *mm, uint64_t *address);
/* Where rt_sigreturn's restorer stands, for frames of handlers without SA_RESTORER. */
uint64_t vdso_sigreturn(uint64_t vdso);

#endif
