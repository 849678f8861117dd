/* SPDX-License-Identifier: MIT */
/*
 * The table of ratios: what a call or a fault costs in Quire and in the kernel.
 */
#include "bench/workload.h"

#define MIB (UINT64_C(1) << 20)

static const struct bench_case rows[] = {
	{.name = "mmap_munmap",
	 .what = "one anonymous page mapped and unmapped",
	 .goal = 0.20,
	 .workload = &work_mmap_munmap,
	 .operations = 4000},
	{.name = "mmap_munmap_60k",
	 .what = "the same with 60,000 other VMAs",
	 .goal = 0.20,
	 .workload = &work_mmap_munmap,
	 .operations = 4000,
	 .vmas = 60000},
	{.name = "mprotect_split",
	 .what = "every second page: a VMA cut in three",
	 .goal = 0.20,
	 .workload = &work_mprotect,
	 .pages = 8193,
	 .memory = 40 * MIB},
	{.name = "mprotect_merge",
	 .what = "and back: three VMAs joined",
	 .goal = 0.20,
	 .workload = &work_mprotect,
	 .pages = 8193,
	 .memory = 40 * MIB,
	 .reverse = true},
	{.name = "fault_anon",
	 .what = "first write to an anonymous page",
	 .goal = 0.30,
	 .workload = &work_fault_anon,
	 .pages = 8192,
	 .memory = 40 * MIB},
	{.name = "fault_anon_60k",
	 .what = "the same with 60,000 other VMAs",
	 .goal = 0.30,
	 .workload = &work_fault_anon,
	 .vmas = 60000,
	 .pages = 8192,
	 .memory = 40 * MIB},
	{.name = "fault_file",
	 .what = "read of a cached file's page",
	 .goal = 0.30,
	 .workload = &work_fault_file,
	 .pages = 8192,
	 .memory = 40 * MIB,
	 .file_bytes = 32 * MIB},
	{.name = "fault_cow",
	 .what = "write to a page shared with a child",
	 .goal = 0.40,
	 .workload = &work_fault_cow,
	 .pages = 8192,
	 .memory = 80 * MIB},
	{.name = "fork_page",
	 .what = "fork and the child's exit, each of 16,384 pages",
	 .goal = 0.30,
	 .workload = &work_fork,
	 .pages = 16384,
	 .memory = 72 * MIB},
	{.name = "pread_cached",
	 .what = "4 KiB of a cached file",
	 .goal = 0.50,
	 .workload = &work_pread,
	 .operations = 20000,
	 .memory = 8 * MIB,
	 .file_bytes = 4 * MIB},
};

/* A quick run is for seeing that everything works: a small part of the work. */
static struct bench_case scaled(const struct bench_case *row)
{
	struct bench_case what = *row;

	if (what.vmas)
		what.vmas = bench_scaled(what.vmas, 100);
	if (what.operations)
		what.operations = bench_scaled(what.operations, 100);
	if (what.pages)
		what.pages = bench_scaled(what.pages, 65);
	return what;
}

unsigned int bench_core_rows(FILE *tsv, unsigned int *goals)
{
	struct bench_result results[ARRAY_SIZE(rows)];
	bool done[ARRAY_SIZE(rows)] = {false};
	unsigned int met = 0, shown = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench_case what = scaled(&rows[i]);

		if (!bench_wanted(BENCH_THEME_CORE, what.name))
			continue;
		bench_progress("%s: %s ...", what.name, what.what);
		bench_measure(&what, bench_rounds(15), &results[i]);
		done[i] = true;
		shown++;
		if (tsv)
			fprintf(tsv, "%s\t%.2f\t%.2f\t%.4f\n", what.name, results[i].quire.median,
				results[i].linux_side.median, results[i].ratio);
	}
	bench_progress_end();
	if (!shown)
		return 0;
	printf("Quire on the soft machine against the kernel, one operation, medians\n\n"
	       "  %-16s %11s %11s  %5s  %5s\n",
	       "", "Quire", "Linux", "ratio", "goal");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool pass = done[i] && results[i].ratio <= rows[i].goal;

		if (!done[i])
			continue;
		met += pass;
		printf("  %-16s %11s %11s  %5.2f  %5.2f  %s  %s\n", rows[i].name,
		       bench_time(results[i].quire.median),
		       bench_time(results[i].linux_side.median), results[i].ratio, rows[i].goal,
		       pass ? "pass" : "miss", rows[i].what);
	}
	putchar('\n');
	*goals += shown;
	return met;
}
