/* SPDX-License-Identifier: MIT */
/*
 * The report's tree: totals, events, system calls, and the mappings.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/instance/instance.h"
#include "run/clock.h"
#include "run/report/tree.h"
#include "run/syscall/table.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static json_t *bytes_of_pages(uint64_t pages)
{
	return report_number(pages * PAGE_SIZE);
}

static json_t *seconds(uint64_t ns)
{
	return json_real((double)ns / 1e9);
}

static json_t *exit_tree(int status)
{
	if (status < 0)
		return json_null();
	if (WIFSIGNALED(status))
		return json_pack("{s:i}", "signal", WTERMSIG(status));
	return json_pack("{s:i}", "status", WEXITSTATUS(status));
}

static json_t *memory_tree(struct run *run, const struct quire_stat *stat)
{
	const struct mem_cgroup *root = run->quire->root_memcg;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "budget_bytes",
			 bytes_of_pages(stat->frames), "free_bytes",
			 bytes_of_pages(stat->frames_free), "peak_bytes",
			 bytes_of_pages(atomic_load(&root->peak)), "page_table_bytes",
			 bytes_of_pages(stat->page_tables), "metadata_bytes",
			 report_number(stat->metadata_bytes), "cached_bytes",
			 bytes_of_pages(stat->cached), "dirty_bytes", bytes_of_pages(stat->dirty),
			 "swap_bytes", bytes_of_pages(stat->swap_slots), "swap_used_bytes",
			 bytes_of_pages(stat->swap_slots - stat->swap_free));
}

static json_t *events_tree(const struct quire_stat *stat)
{
	const struct {
		const char *name;
		uint64_t value;
	} events[] = {
		{"faults", stat->faults},
		{"major_faults", stat->faults_major},
		{"fault_around", stat->fault_around},
		{"cow_copies", stat->cow_copies},
		{"cow_reuses", stat->cow_reuses},
		{"zero_page", stat->zero_page},
		{"file_pages_read", stat->file_read},
		{"file_pages_written", stat->file_written},
		{"readahead", stat->readahead},
		{"swap_in", stat->swap_in},
		{"swap_out", stat->swap_out},
		{"scanned", stat->scanned},
		{"evicted", stat->reclaimed},
		{"direct_reclaim", stat->direct_reclaim},
		{"background_reclaim", stat->background_reclaim},
		{"refaults", stat->refaults},
		{"workingset_refaults", stat->workingset},
		{"revocations", stat->revokes},
		{"write_errors", stat->write_errors},
		{"oom_kills", stat->oom_kills},
	};
	json_t *tree = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		json_object_set_new(tree, events[i].name, report_number(events[i].value));
	return tree;
}

/* One entry for each call that was made, in the order of their numbers. */
static json_t *syscalls_tree(const struct report *report, uint64_t *total_ns)
{
	json_t *tree = json_array();

	*total_ns = 0;
	for (int64_t i = 0; i < REPORT_SYSCALLS; i++) {
		const struct report_syscall *call = &report->syscalls[i];
		const struct syscall_row *row = syscall_row(i);

		if (!load(&call->count))
			continue;
		*total_ns += load(&call->ns);
		json_array_append_new(tree,
				      json_pack("{s:I, s:s, s:o, s:o, s:o}", "number",
						(json_int_t)i, "name", row ? row->name : "unknown",
						"count", report_number(load(&call->count)),
						"errors", report_number(load(&call->errors)),
						"seconds", seconds(load(&call->ns))));
	}
	return tree;
}

json_t *report_tree(struct run *run, int status)
{
	const struct process *process = run->process;
	struct report *report = run->report;
	struct quire_stat stat = {.size = sizeof(stat)};
	uint64_t syscall_ns;
	json_t *syscalls = syscalls_tree(report, &syscall_ns);

	if (quire_get_stat(run->quire, &stat))
		stat = (struct quire_stat){0};
	return json_pack(
		"{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"program", process && process->exe ? process->exe : "", "pid", (json_int_t)getpid(),
		"exit", exit_tree(status), "seconds", seconds(now_ns() - report->start_ns),
		"memory", memory_tree(run, &stat), "events", events_tree(&stat), "fault_seconds",
		seconds(load(&report->fault_ns)), "syscall_seconds", seconds(syscall_ns), "exits",
		report_number(load(&report->exits)), "fault_exits",
		report_number(load(&report->faults)), "threads",
		report_number(load(&report->threads)), "signals",
		report_number(load(&report->signals)), "unknown_syscalls",
		report_number(load(&report->unknown_syscalls)), "mappings", report_mappings(run),
		"syscalls", syscalls);
}
