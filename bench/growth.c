/* SPDX-License-Identifier: MIT */
/*
 * How each cost grows: with the number of VMAs in the address space, and with the number of pages.
 * Where the kernel's own limits end (65,530 VMAs), its column ends too; where so many pages would
 * take more than a part of the free memory of the host, the row has only what needs no memory.
 */
#include "bench/lookup.h"
#include "bench/workload.h"

#include <quire/quire.h>
#include <string.h>

#define LINUX_VMAS 60000
#define ROUNDS 5
/* Of a million pages and more, which take seconds. */
#define LONG_ROUNDS 1

static const char *column(double ns)
{
	return ns > 0 ? bench_time(ns) : "-";
}

static void write_columns(FILE *tsv, const char *table, uint64_t count, const double *values,
			  unsigned int nr_values)
{
	if (!tsv)
		return;
	fprintf(tsv, "%s\t%llu", table, (unsigned long long)count);
	for (unsigned int i = 0; i < nr_values; i++) {
		if (values[i] > 0)
			fprintf(tsv, "\t%.2f", values[i]);
		else
			fputs("\t-", tsv);
	}
	fputc('\n', tsv);
}

static void measure(struct bench_case *what, double *values)
{
	struct bench_result result;

	bench_measure(what, bench_rounds(what->pages < 1000000 ? ROUNDS : LONG_ROUNDS), &result);
	values[0] = result.quire.median;
	values[1] = result.linux_side.median;
}

static void among_vmas(FILE *tsv)
{
	const uint64_t most = bench_options.quick ? 1000 : 1000000;

	printf("Cost among other VMAs (the kernel allows 65,530)\n\n"
	       "  %9s  %23s  %10s  %23s\n"
	       "  %9s  %11s %11s  %10s  %11s %11s\n",
	       "", "mmap and munmap", "find_vma", "fault", "VMAs", "Quire", "Linux", "Quire",
	       "Quire", "Linux");
	for (uint64_t vmas = 10; vmas <= most; vmas *= 10) {
		struct bench_case map = {
			.name = "growth",
			.workload = &work_mmap_munmap,
			.vmas = vmas,
			.operations = bench_scaled(2000, 100),
			.quire_only = vmas > LINUX_VMAS,
		};
		struct bench_case fault = {
			.name = "growth",
			.workload = &work_fault_anon,
			.vmas = vmas,
			.pages = bench_scaled(4096, 64),
			.memory = UINT64_C(24) << 20,
			.quire_only = vmas > LINUX_VMAS,
		};
		double values[5];

		bench_progress("growth: %llu VMAs ...", (unsigned long long)vmas);
		measure(&map, &values[0]);
		values[2] = bench_find_vma(vmas);
		measure(&fault, &values[3]);
		bench_progress_end();
		printf("  %9llu  %11s %11s", (unsigned long long)vmas, column(values[0]),
		       column(values[1]));
		printf("  %10s  %11s %11s\n", column(values[2]), column(values[3]),
		       column(values[4]));
		write_columns(tsv, "vmas", vmas, values, 5);
	}
	putchar('\n');
}

/* Drops clean pages of a file from the cache, as reclaim does. */
static double reclaim_each(struct bench_run *run)
{
	uint64_t pages = run->what->pages;
	uint64_t start, freed;

	for (uint64_t offset = 0; offset < pages * QUIRE_PAGE_SIZE; offset += BENCH_BUFFER)
		run->vm->ops->read(run->vm, min_u64(BENCH_BUFFER, pages * QUIRE_PAGE_SIZE - offset),
				   offset);
	start = bench_cpu_time();
	freed = quire_reclaim(run->vm->quire, NULL, pages);
	if (!freed)
		bench_die("Quire: reclaim freed nothing of %llu cached pages",
			  (unsigned long long)pages);
	return (double)(bench_cpu_time() - start) / (double)freed;
}

static const struct bench_workload work_reclaim = {.round = reclaim_each};

/* `bytes` of frames, on both sides. */
static bool affordable(uint64_t bytes)
{
	return bytes * 2 < bench_memory_available() / 2;
}

static void among_pages_row(FILE *tsv, uint64_t pages)
{
	const uint64_t bytes = pages * QUIRE_PAGE_SIZE;
	struct bench_case read_fault = {
		.name = "growth",
		.workload = &work_fault_read,
		.pages = pages,
		.memory = pages * 8,
	};
	struct bench_case fault = {
		.name = "growth",
		.workload = &work_fault_anon,
		.pages = pages,
		.memory = bytes + pages * 8,
	};
	struct bench_case fork = fault;
	struct bench_case reclaim = fault;
	double values[7] = {0};

	fork.workload = &work_fork;
	reclaim.workload = &work_reclaim;
	reclaim.zero_bytes = bytes;
	reclaim.quire_only = true;
	bench_progress("growth: %llu pages ...", (unsigned long long)pages);
	measure(&read_fault, &values[0]);
	if (affordable(bytes)) {
		double reclaimed[2];

		measure(&fault, &values[2]);
		measure(&fork, &values[4]);
		measure(&reclaim, reclaimed);
		values[6] = reclaimed[0];
	}
	bench_progress_end();
	printf("  %9llu  %9s %9s", (unsigned long long)pages, column(values[0]), column(values[1]));
	printf("  %9s %9s", column(values[2]), column(values[3]));
	printf("  %9s %9s  %9s\n", column(values[4]), column(values[5]), column(values[6]));
	write_columns(tsv, "pages", pages, values, 7);
}

static void among_pages(FILE *tsv)
{
	static const uint64_t counts[] = {1000, 10000, 100000, 1000000, 4000000};
	const uint64_t most = bench_options.quick ? 1000 : UINT64_MAX;

	printf("Cost of each page (-: too much memory; a read of the zero page takes none)\n\n"
	       "  %9s  %19s  %19s  %19s  %9s\n"
	       "  %9s  %9s %9s  %9s %9s  %9s %9s  %9s\n",
	       "", "read, zero page", "first write", "fork and exit", "reclaim", "pages", "Quire",
	       "Linux", "Quire", "Linux", "Quire", "Linux", "Quire");
	for (size_t i = 0; i < ARRAY_SIZE(counts) && counts[i] <= most; i++)
		among_pages_row(tsv, counts[i]);
	putchar('\n');
}

void bench_growth(void)
{
	FILE *tsv;

	if (!bench_wanted(BENCH_THEME_GROWTH, NULL))
		return;
	tsv = bench_file_open("growth.tsv");
	among_vmas(tsv);
	among_pages(tsv);
	bench_file_close(tsv, "growth.tsv");
}
