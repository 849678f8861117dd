/* SPDX-License-Identifier: MIT */
/*
 * A file read once: through a mapping (map, load, unmap), by pread in pieces into a small buffer
 * that stays, or by one pread into a buffer of the file's size, made for it.
 * docs/mapping-or-reading.md explains the tables.
 *
 * Two questions: what it costs when the program looks at one word of each page, and when it uses
 * every word.
 */
#include "bench/workload.h"

#define SIZES 10
#define ROUNDS 5

/* In a round, so that it lasts some milliseconds. */
static uint64_t repetitions(uint64_t bytes)
{
	const uint64_t round_bytes = bench_options.quick ? 256 << 10 : 16 << 20;
	const uint64_t most = bench_options.quick ? 20 : 1000;
	uint64_t times = round_bytes / bytes;

	return times < 1 ? 1 : min_u64(times, most);
}

enum way {
	MAPPED,
	PIECES,
	AT_ONCE,
	WAYS
};

static const struct bench_workload *const workloads[WAYS] = {
	[MAPPED] = &work_read_mapped,
	[PIECES] = &work_read_pieces,
	[AT_ONCE] = &work_read_at_once,
};

enum question {
	TOUCH,
	SUM,
	QUESTIONS
};

static const char *const titles[QUESTIONS] = {
	[TOUCH] = "A cached file read once, one word of each page used",
	[SUM] = "A cached file read once, every word used",
};

struct size_row {
	uint64_t bytes;
	struct bench_result results[QUESTIONS][WAYS];
};

static const char *size_text(uint64_t bytes)
{
	static char text[24];
	bool mega = bytes >= 1 << 20;

	snprintf(text, sizeof(text), "%llu %s", (unsigned long long)(bytes >> (mega ? 20 : 10)),
		 mega ? "MiB" : "KiB");
	return text;
}

static void measure_size(struct size_row *row, uint64_t bytes)
{
	row->bytes = bytes;
	bench_progress("mmap_vs_read: %s ...", size_text(bytes));
	for (int i = 0; i < QUESTIONS * WAYS; i++) {
		const struct bench_case what = {
			.name = "mmap_vs_read",
			.workload = workloads[i % WAYS],
			.operations = repetitions(bytes),
			.memory = 2 * bytes + (1u << 20),
			.file_bytes = bytes,
			.sum = i / WAYS == SUM,
		};

		bench_measure(&what, bench_rounds(ROUNDS), &row->results[i / WAYS][i % WAYS]);
	}
	bench_progress_end();
}

static double figure(const struct size_row *row, enum question question, enum way way,
		     bool of_linux)
{
	const struct bench_result *result = &row->results[question][way];

	return of_linux ? result->linux_side.median : result->quire.median;
}

/* The least size from which on mapping is never dearer than `way`. */
static void show_crossing(const struct size_row *rows, unsigned int nr_rows, enum question question,
			  enum way way, bool of_linux)
{
	unsigned int first = nr_rows;

	while (first && figure(&rows[first - 1], question, MAPPED, of_linux) <=
				figure(&rows[first - 1], question, way, of_linux))
		first--;
	printf("  %s, against pread %s: ", of_linux ? "Linux" : "Quire",
	       way == PIECES ? "in pieces" : "at once");
	if (first == nr_rows)
		puts("the mapping is dearer at the largest size still");
	else if (first == 0)
		puts("the mapping is cheaper at every size");
	else
		printf("the mapping is cheaper from %s on\n", size_text(rows[first].bytes));
}

static void show_table(const struct size_row *rows, unsigned int nr_rows, enum question question)
{
	printf("%s\n\n  %7s", titles[question], "");
	for (int side = 0; side < 2; side++)
		printf("   %-5s    pread %7s   mapping against", side ? "Linux" : "Quire", "");
	printf("\n  %7s", "size");
	for (int side = 0; side < 2; side++)
		printf("  %8s %8s %8s %7s %7s", "mapping", "pieces", "at once", "pieces",
		       "at once");
	putchar('\n');
	for (unsigned int i = 0; i < nr_rows; i++) {
		printf("  %7s", size_text(rows[i].bytes));
		for (int side = 0; side < 2; side++) {
			double mapped = figure(&rows[i], question, MAPPED, side);
			double pieces = figure(&rows[i], question, PIECES, side);
			double at_once = figure(&rows[i], question, AT_ONCE, side);

			printf("  %8s %8s %8s %7.2f %7.2f", bench_time(mapped), bench_time(pieces),
			       bench_time(at_once), mapped / pieces, mapped / at_once);
		}
		putchar('\n');
	}
	putchar('\n');
	for (int i = 0; i < 4; i++)
		show_crossing(rows, nr_rows, question, i % 2 ? AT_ONCE : PIECES, i / 2);
	putchar('\n');
}

static void write_table(const struct size_row *rows, unsigned int nr_rows)
{
	static const char *const ways[WAYS] = {"mapping", "pieces", "at_once"};
	FILE *tsv = bench_file_open("mmap_vs_read.tsv");

	if (!tsv)
		return;
	fputs("bytes", tsv);
	for (int column = 0; column < QUESTIONS * 2 * WAYS; column++)
		fprintf(tsv, "\t%s_%s_%s", column / WAYS % 2 ? "linux" : "quire",
			ways[column % WAYS], column / (2 * WAYS) == SUM ? "sum" : "touch");
	fputc('\n', tsv);
	for (unsigned int i = 0; i < nr_rows; i++) {
		fprintf(tsv, "%llu", (unsigned long long)rows[i].bytes);
		for (int column = 0; column < QUESTIONS * 2 * WAYS; column++)
			fprintf(tsv, "\t%.1f",
				figure(&rows[i], column / (2 * WAYS), column % WAYS,
				       column / WAYS % 2));
		fputc('\n', tsv);
	}
	bench_file_close(tsv, "mmap_vs_read.tsv");
}

void bench_mapping_or_reading(void)
{
	struct size_row rows[SIZES];
	unsigned int nr_rows = 0;

	if (!bench_wanted(BENCH_THEME_MAPPING, NULL))
		return;
	for (uint64_t bytes = 1 << 10; nr_rows < (bench_options.quick ? 5 : SIZES); bytes *= 4)
		measure_size(&rows[nr_rows++], bytes);
	show_table(rows, nr_rows, TOUCH);
	show_table(rows, nr_rows, SUM);
	write_table(rows, nr_rows);
}
