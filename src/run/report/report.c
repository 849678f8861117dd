/* SPDX-License-Identifier: MIT */
/*
 * The counters of a run, and when and where its report goes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run/report/report.h"
#include "run/report/tree.h"

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void report_count_syscall(struct report *report, int64_t number, int64_t result, uint64_t ns)
{
	struct report_syscall *call;

	if (number < 0 || number >= REPORT_SYSCALLS)
		return;
	call = &report->syscalls[number];
	add(&call->count, 1);
	add(&call->ns, ns);
	if (result < 0 && result >= -4095)
		add(&call->errors, 1);
}

void report_count_fault(struct report *report, uint64_t ns)
{
	add(&report->faults, 1);
	add(&report->fault_ns, ns);
}

void report_unknown_syscall(struct report *report, int64_t number)
{
	bool first = true;

	add(&report->unknown_syscalls, 1);
	if (number >= 0 && number < REPORT_SYSCALLS)
		first = !atomic_exchange_explicit(&report->named[number], true,
						  memory_order_relaxed);
	else
		first = !atomic_exchange_explicit(&report->named_other, true, memory_order_relaxed);
	if (first)
		fprintf(stderr,
			"quire: the program made system call %" PRId64
			", which is unknown here and answers ENOSYS\n",
			number);
}

int report_open(struct run *run, char *why, size_t why_bytes)
{
	const char *path = run->options.report_file;
	int fd;

	if (!path)
		return 0;
	fd = run_open_output(run, path);
	run->report->file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (run->report->file)
		return 0;
	snprintf(why, why_bytes, "the report %s cannot be written: %s", path,
		 strerror(fd < 0 ? -fd : errno));
	if (fd >= 0)
		close(fd);
	return -EINVAL;
}

static int write_file(const json_t *tree, FILE *file)
{
	int error = 0;

	if (json_dumpf(tree, file, JSON_INDENT(2)) || fputc('\n', file) == EOF)
		error = errno ? -errno : -EIO;
	if (fflush(file) && !error)
		error = -errno;
	return error;
}

/* Standard error may be the program's and closed: then there is nobody to tell. */
static int write_report(const json_t *tree, FILE *file)
{
	if (file)
		return write_file(tree, file);
	report_print(tree, stderr);
	return fflush(stderr) ? -errno : 0;
}

int report_finish(struct run *run, int status)
{
	const char *path = run->options.report_file;
	json_t *tree;
	int error = -ENOMEM;

	if (!run->options.report)
		return 0;
	tree = report_tree(run, status);
	if (tree) {
		error = write_report(tree, run->report->file);
		json_decref(tree);
	}
	if (error)
		fprintf(stderr, "quire: the report could not be written%s%s: %s\n",
			path ? " to " : "", path ? path : "", strerror(-error));
	return error;
}

void report_state(struct run *run, FILE *stream)
{
	json_t *tree = report_tree(run, -1);

	if (!tree) {
		fputs("quire: no memory to show the present state\n", stream);
		return;
	}
	report_print(tree, stream);
	fflush(stream);
	json_decref(tree);
}

void report_oom(struct run *run, const char *mm, uint64_t resident, const char *group,
		uint64_t limit)
{
	struct quire_stat stat = {.size = sizeof(stat)};

	if (quire_get_stat(run->quire, &stat))
		return;
	fprintf(stderr,
		"quire: out of memory: %s has %" PRIu64
		" KiB resident, group %s is limited to %" PRIu64 " KiB; of %" PRIu64
		" KiB in all, page tables hold %" PRIu64 " KiB, cached files %" PRIu64
		" KiB (%" PRIu64 " KiB dirty), free are %" PRIu64 " KiB; swap: %" PRIu64
		" of %" PRIu64 " KiB free. Give it more by -m or --swap\n",
		mm, resident * 4, group, limit == UINT64_MAX ? stat.frames * 4 : limit * 4,
		stat.frames * 4, stat.page_tables * 4, stat.cached * 4, stat.dirty * 4,
		stat.frames_free * 4, stat.swap_free * 4, stat.swap_slots * 4);
}
