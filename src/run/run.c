/* SPDX-License-Identifier: MIT */
/*
 * A run: the host's limits, the machine, the instance, and what belongs to them, made in this order
 * and given up in the opposite one.
 */
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "machine/kvm/kvm.h"
#include "run/clock.h"
#include "run/exec/vdso.h"
#include "run/file/background.h"
#include "run/file/mapped_file.h"
#include "run/file/sysv_shm.h"
#include "run/report/report.h"
#include "run/report/trace.h"
#include "run/swap.h"

/* Where limits say "unlimited", as many descriptors as Linux allows by default. */
#define NOFILE_DEFAULT 1048576

#define ANON_FAULT_AROUND_MAX (2u << 20)
#define ANON_FAULT_AROUND_MIN (64u << 10)
#define ANON_FAULT_AROUND_SHARE 256 /* of the memory, for one fault */
#define FILE_WINDOW_MAX (512u << 10)
#define FILE_WINDOW_SHARE 1024 /* of the memory, for one window */

/* Quire itself needs what the host gives at most: the program's limits are kept apart. */
static void raise_limit(int resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) == 0 && limit.rlim_cur != limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		/* What cannot be raised stays as it is; whoever needs more of it will say so. */
		(void)setrlimit(resource, &limit);
	}
}

static void raise_limits(struct run *run)
{
	static const int resources[] = {RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK,
					RLIMIT_FSIZE};
	uint64_t files = NOFILE_DEFAULT;
	struct rlimit limit;

	for (size_t i = 0; i < ARRAY_SIZE(resources); i++)
		raise_limit(resources[i]);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		files = limit.rlim_cur;
	run->fd_base = (int)min_u64(files - files / 4, QUIRE_FD_BASE_MAX);
}

int run_private_fd(const struct run *run, int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, run->fd_base);
	int error = moved < 0 ? -errno : 0;

	close(fd);
	return error ? error : moved;
}

int run_open_output(const struct run *run, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);

	return fd < 0 ? -errno : run_private_fd(run, fd);
}

/* The program may close its standard error, or put something else there. */
static void keep_standard_error(const struct run *run)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, run->fd_base);
	FILE *own = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (own) {
		setvbuf(own, NULL, _IONBF, 0);
		stderr = own;
	} else if (fd >= 0) {
		close(fd);
	}
}

static uint64_t host_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE_SIZE;
}

static uint64_t random_seed(void)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)&seed;
	/* 0 would mean no randomness. */
	return seed ? seed : 1;
}

static void tell_oom(void *context, const char *mm, uint64_t resident, const char *group,
		     uint64_t limit)
{
	report_oom(context, mm, resident, group, limit);
}

static void tell_trace(void *context, const struct quire_trace_event *event)
{
	const struct run *run = context;

	trace_event(run->trace, event);
}

/* An exit of the CPU costs as much as filling many pages; but where memory is short, pages that
 * nobody wants push out others. */
static uint32_t anon_fault_around(uint64_t memory)
{
	uint32_t bytes = ANON_FAULT_AROUND_MAX;

	while (bytes > ANON_FAULT_AROUND_MIN && bytes > memory / ANON_FAULT_AROUND_SHARE)
		bytes /= 2;
	return bytes;
}

/* How much of a file is read ahead, and mapped around a fault, at a time, where memory is not
 * short.
 */
static uint32_t file_window(uint64_t memory, uint32_t least)
{
	uint32_t bytes = FILE_WINDOW_MAX;

	while (bytes > least && bytes > memory / FILE_WINDOW_SHARE)
		bytes /= 2;
	return bytes;
}

static int create_instance(struct run *run, char *why, size_t why_bytes)
{
	const struct run_options *options = &run->options;
	const uint64_t memory = options->memory ? options->memory : host_memory();
	const struct quire_params params = {
		.size = sizeof(params),
		.memory = memory,
		.overcommit_most = host_memory(),
		.seed = options->no_aslr ? 0 : random_seed(),
		.policy = options->policy,
		.fault_around = file_window(memory, 64 * 1024),
		.readahead =
			options->readahead ? options->readahead : file_window(memory, 128 * 1024),
		.anon_fault_around = anon_fault_around(memory),
		.no_zero_page = true,
		.premark_accessed = true,
		.events = {.context = run,
			   .pressure = background_pressure,
			   .oom = tell_oom,
			   .trace = run->trace ? tell_trace : NULL},
	};

	if (quire_create(run->machine, &params, &run->quire) == 0)
		return 0;
	if (errno == EINVAL)
		snprintf(why, why_bytes, "there is no policy '%s', but two-list and sieve",
			 params.policy ? params.policy : "");
	else
		snprintf(why, why_bytes, "%llu bytes of memory cannot be had: %s; try --memory",
			 (unsigned long long)params.memory, strerror(errno));
	return -EINVAL;
}

static int add_swap(struct run *run, char *why, size_t why_bytes)
{
	const uint64_t size = run->options.swap_size ? run->options.swap_size : host_memory();
	struct quire_store *store;
	int error;

	if (!run->options.swap)
		return 0;
	error = swap_store_create(run, size, &store);
	if (!error && quire_swapon(run->quire, store, size) != 0) {
		error = -errno;
		store->ops->close(store);
	}
	if (error)
		snprintf(why, why_bytes, "swap on %s: %s%s", run->options.swap, strerror(-error),
			 error == -EEXIST ? "; name a file that does not exist yet" : "");
	/* Not one of the errors that say that KVM is missing. */
	return error ? -EINVAL : 0;
}

static int create_parts(struct run *run, char *why, size_t why_bytes)
{
	int error = kvm_machine_create(run->fd_base, &run->machine, why, why_bytes);

	if (error)
		return error;
	error = report_open(run, why, why_bytes);
	if (error)
		return error;
	if (run->options.trace_file &&
	    trace_create(run, run->options.trace_file, &run->trace, why, why_bytes) != 0)
		return -EINVAL;
	if (mapped_files_create(&run->files) || sysv_shm_create(run) ||
	    background_create(&run->background)) {
		snprintf(why, why_bytes, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	error = create_instance(run, why, why_bytes);
	if (!error)
		error = add_swap(run, why, why_bytes);
	if (error)
		return error;
	error = vdso_init(run);
	if (error) {
		snprintf(why, why_bytes, "the vDSO: %s", strerror(-error));
		return -EINVAL;
	}
	error = background_start(run);
	if (error) {
		snprintf(why, why_bytes, "a thread: %s", strerror(-error));
		error = -EINVAL;
	}
	return error;
}

int run_create(const struct run_options *options, struct run **created, char *why, size_t why_bytes)
{
	struct run *run = calloc(1, sizeof(*run));
	struct rlimit limit;
	int error;

	if (run)
		run->report = calloc(1, sizeof(*run->report));
	if (!run || !run->report) {
		free(run);
		snprintf(why, why_bytes, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	run->options = *options;
	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (getrlimit(i, &limit) == 0)
			run->host_limits[i] = limit;
	raise_limits(run);
	keep_standard_error(run);
	run->report->start_ns = now_ns();
	error = create_parts(run, why, why_bytes);
	if (error) {
		run_destroy(run);
		return error;
	}
	*created = run;
	return 0;
}

void run_destroy(struct run *run)
{
	background_stop(run);
	vdso_exit(run);
	sysv_shm_destroy(run);
	if (run->quire)
		(void)quire_destroy(run->quire);
	trace_destroy(run->trace);
	background_destroy(run->background);
	mapped_files_destroy(run->files);
	if (run->machine)
		kvm_machine_destroy(run->machine);
	if (run->report->file)
		fclose(run->report->file);
	free(run->report);
	free(run);
}
