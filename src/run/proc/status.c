/* SPDX-License-Identifier: MIT */
/*
 * status, stat and statm: the host's text about the process, with Quire's numbers where it speaks
 * of memory, threads, or handlers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/call/proc_view.h"
#include "run/proc/text.h"

uint32_t proc_nr_threads(struct process *process)
{
	uint32_t nr;

	pthread_mutex_lock(&process->lock);
	nr = process->nr_threads;
	pthread_mutex_unlock(&process->lock);
	return nr;
}

/* Signals that have a handler in the program. */
static uint64_t caught_signals(struct process *process)
{
	uint64_t caught = 0;

	pthread_mutex_lock(&process->signals.lock);
	for (int i = 0; i < SIGNALS; i++)
		if (process->signals.action[i].handler > 1)
			caught |= (uint64_t)1 << i;
	pthread_mutex_unlock(&process->signals.lock);
	return caught;
}

static uint64_t resident(const struct mm_view *view)
{
	return view->rss_anon + view->rss_file + view->rss_shmem;
}

/* Pages of the program's own text, and of all other executable mappings. */
static uint64_t text_pages(const struct mm_view *view)
{
	uint64_t start = view->start_code & PAGE_MASK;

	return (((view->end_code + PAGE_SIZE - 1) & PAGE_MASK) - start) >> PAGE_SHIFT;
}

static uint64_t lib_pages(const struct mm_view *view)
{
	uint64_t text = text_pages(view);

	return view->exec_vm > text ? view->exec_vm - text : 0;
}

static void print_memory(const struct mm_view *view, FILE *stream)
{
	const struct {
		const char *name;
		uint64_t pages;
	} lines[] = {
		{"VmPeak", view->hiwater_vm},  {"VmSize", view->total_vm},
		{"VmLck", view->locked_vm},    {"VmPin", 0},
		{"VmHWM", view->hiwater_rss},  {"VmRSS", resident(view)},
		{"RssAnon", view->rss_anon},   {"RssFile", view->rss_file},
		{"RssShmem", view->rss_shmem}, {"VmData", view->data_vm},
		{"VmStk", view->stack_vm},     {"VmExe", text_pages(view)},
		{"VmLib", lib_pages(view)},    {"VmPTE", view->pgtables},
		{"VmSwap", view->swapents},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		fprintf(stream, "%s:\t%8" PRIu64 " kB\n", lines[i].name,
			lines[i].pages << (PAGE_SHIFT - 10));
}

static bool starts(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

static FILE *open_host(pid_t tid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, name);
	return fopen(path, "re");
}

int proc_status(struct thread *thread, pid_t tid, FILE *stream)
{
	FILE *host = open_host(tid, "status");
	struct mm_view view;
	char *line = NULL;
	size_t room = 0;

	if (!host)
		return -errno;
	mm_view(thread_mm(thread), &view);
	while (getline(&line, &room, host) > 0) {
		if (starts(line, "VmPeak:"))
			print_memory(&view, stream);
		else if (starts(line, "Vm") || starts(line, "Rss"))
			continue;
		else if (starts(line, "Threads:"))
			fprintf(stream, "Threads:\t%" PRIu32 "\n",
				proc_nr_threads(thread->process));
		else if (starts(line, "SigCgt:"))
			fprintf(stream, "SigCgt:\t%016" PRIx64 "\n",
				caught_signals(thread->process));
		else
			fputs(line, stream);
	}
	free(line);
	fclose(host);
	return 0;
}

/* Quire's value for a field of stat, counted from 1 as in proc(5); false: the host's is right. */
static bool stat_field(struct thread *thread, const struct mm_view *view, int field,
		       uint64_t *value)
{
	switch (field) {
	case 20:
		*value = proc_nr_threads(thread->process);
		return true;
	case 23:
		*value = view->total_vm << PAGE_SHIFT;
		return true;
	case 24:
		*value = resident(view);
		return true;
	case 26:
		*value = view->start_code;
		return true;
	case 27:
		*value = view->end_code;
		return true;
	case 28:
		*value = view->start_stack;
		return true;
	case 45:
		*value = view->start_data;
		return true;
	case 46:
		*value = view->end_data;
		return true;
	case 47:
		*value = view->start_brk;
		return true;
	case 48:
		*value = view->arg_start;
		return true;
	case 49:
		*value = view->arg_end;
		return true;
	case 50:
		*value = view->env_start;
		return true;
	case 51:
		*value = view->env_end;
		return true;
	default:
		return false;
	}
}

int proc_stat(struct thread *thread, pid_t tid, FILE *stream)
{
	FILE *host = open_host(tid, "stat");
	struct mm_view view;
	char line[1024];
	char *rest;
	char *state;
	uint64_t value;

	if (!host)
		return -errno;
	rest = fgets(line, sizeof(line), host) ? strrchr(line, ')') : NULL;
	fclose(host);
	if (!rest)
		return -EIO;
	mm_view(thread_mm(thread), &view);
	*rest = '\0';
	fprintf(stream, "%s)", line);
	rest = strtok_r(rest + 1, " \n", &state);
	for (int field = 3; rest; field++, rest = strtok_r(NULL, " \n", &state))
		if (stat_field(thread, &view, field, &value))
			fprintf(stream, " %" PRIu64, value);
		else
			fprintf(stream, " %s", rest);
	fputc('\n', stream);
	return 0;
}

int proc_statm(struct thread *thread, pid_t tid, FILE *stream)
{
	struct mm_view view;

	(void)tid;
	mm_view(thread_mm(thread), &view);
	fprintf(stream, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 %" PRIu64 " 0\n",
		view.total_vm, resident(&view), view.rss_file + view.rss_shmem, text_pages(&view),
		view.data_vm + view.stack_vm);
	return 0;
}
