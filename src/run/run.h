/* SPDX-License-Identifier: MIT */
/*
 * One run of `quire run`: an instance of the virtual memory system on the kvm machine, and the
 * programs that live in it.
 *
 * The program keeps the host process's identity: pid, descriptors, directory, credentials and
 * terminal are the host's own, and what does not concern memory, threads or signals is passed to
 * the host. Each thread of the program is a host thread with a virtual CPU.
 *
 * Locks: A = atomic, C = constant after run_create().
 */
#ifndef QUIRE_RUN_RUN_H
#define QUIRE_RUN_RUN_H

#include <quire/quire.h>

#include <sys/resource.h>

#include "base/types.h"

struct background;
struct mapped_files;
struct process;
struct report;
struct sysv_shm;
struct trace;
struct vdso;

/*
 * Where Quire's own descriptors begin, at most: the program cannot see, use or close them, and its
 * own RLIMIT_NOFILE is at most this. Not higher, as the host's table of descriptors is as long as
 * the largest number. Under a small limit it is three quarters of that.
 */
#define QUIRE_FD_BASE_MAX 49152

struct run_options {
	uint64_t memory;    /* bytes of frames; 0: the host's memory */
	const char *swap;   /* a file that is made, or "memory"; NULL: none */
	uint64_t swap_size; /* bytes; 0: as much as the host has memory */
	const char *policy; /* NULL: the default */
	uint32_t readahead; /* as in struct quire_params */
	bool no_aslr;
	bool report;             /* print or write one at the end */
	const char *report_file; /* NULL: text on standard error */
	const char *trace_file;  /* NULL: none */
};

struct run {
	struct run_options options;              /* C */
	struct quire_machine *machine;           /* C */
	struct quire *quire;                     /* C */
	struct report *report;                   /* C: counters; never NULL */
	struct trace *trace;                     /* C: NULL: none */
	struct mapped_files *files;              /* C: see run/file/mapped_file.h */
	struct sysv_shm *shm;                    /* C: see run/file/sysv_shm.h */
	struct background *background;           /* C: see run/file/background.h */
	int fd_base;                             /* C: first descriptor of Quire's own */
	struct rlimit host_limits[RLIM_NLIMITS]; /* C: as Quire was started with */
	struct vdso *vdso;                       /* C */
	struct process *process;                 /* C: the first program */
};

/*
 * Machine, instance, swap, trace. 0, or -errno with one line in `why`; -ENOENT, -EACCES, -EPERM,
 * -ENODEV, -EOPNOTSUPP, -EBUSY mean that this system lacks KVM (exit status 69). (run.c)
 */
QUIRE_MUST_CHECK int run_create(const struct run_options *options, struct run **run, char *why,
				size_t why_bytes);
/*
 * Loads the program and runs it on the calling thread. Returns only when it could not be started:
 * -errno of execve(2), with one line in `why`. Otherwise the process ends as the program ends.
 */
QUIRE_MUST_CHECK int run_program(struct run *run, const char *path, char *const *argv,
				 char *const *envp, char *why, size_t why_bytes);
/* Writes back what is dirty and frees everything; for a run that never started. */
void run_destroy(struct run *run);

/* Moves a descriptor of Quire's own out of the program's sight; closes the old number also on
 * failure. The new number, or -errno. */
QUIRE_MUST_CHECK int run_private_fd(const struct run *run, int fd);
/* Opens a file that the user named for Quire to write, empty. A private descriptor, or -errno. */
QUIRE_MUST_CHECK int run_open_output(const struct run *run, const char *path);
static inline bool run_fd_is_private(const struct run *run, int fd)
{
	return fd >= run->fd_base;
}

#endif
