/* SPDX-License-Identifier: MIT */
/*
 * limits: the host's text, with the program's own numbers for the limits that Quire keeps.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "run/proc/text.h"

static const struct {
	const char *name;
	const char *unit;
	int resource;
} own_limits[] = {
	{"Max file size", "bytes", RLIMIT_FSIZE},       {"Max data size", "bytes", RLIMIT_DATA},
	{"Max stack size", "bytes", RLIMIT_STACK},      {"Max open files", "files", RLIMIT_NOFILE},
	{"Max locked memory", "bytes", RLIMIT_MEMLOCK}, {"Max address space", "bytes", RLIMIT_AS},
};

static void print_value(FILE *stream, rlim_t value)
{
	if (value == RLIM_INFINITY)
		fprintf(stream, "%-20s ", "unlimited");
	else
		fprintf(stream, "%-20" PRIu64 " ", (uint64_t)value);
}

/* False: the line is the host's to tell. */
static bool print_own(const struct rlimit *limits, const char *line, FILE *stream)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_limits); i++) {
		const struct rlimit *limit = &limits[own_limits[i].resource];

		if (strncmp(line, own_limits[i].name, strlen(own_limits[i].name)) != 0)
			continue;
		fprintf(stream, "%-25s ", own_limits[i].name);
		print_value(stream, limit->rlim_cur);
		print_value(stream, limit->rlim_max);
		fprintf(stream, "%-10s\n", own_limits[i].unit);
		return true;
	}
	return false;
}

int proc_limits(struct thread *thread, pid_t tid, FILE *stream)
{
	struct process *process = thread->process;
	struct rlimit limits[RLIM_NLIMITS];
	FILE *host = fopen("/proc/self/limits", "re");
	char *line = NULL;
	size_t room = 0;

	(void)tid;
	if (!host)
		return -errno;
	pthread_mutex_lock(&process->lock);
	memcpy(limits, process->limits, sizeof(limits));
	pthread_mutex_unlock(&process->lock);
	while (getline(&line, &room, host) > 0)
		if (!print_own(limits, line, stream))
			fputs(line, stream);
	free(line);
	fclose(host);
	return 0;
}
