/* SPDX-License-Identifier: MIT */
/*
 * The frame of the benchmark: rounds in turns on both sides, medians, progress, files of figures.
 *
 * The Linux side of a case is a process made before Quire's side is set up, so its address space
 * holds nothing of Quire's: a fork there copies only what the workload mapped. Parent and child
 * speak through two pipes, one byte "go", one double back.
 */
#include "bench/bench.h"
#include "base/prng.h"

#include <quire/quire.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct bench_options bench_options;

struct linux_process {
	pid_t pid;
	int go;     /* write end */
	int answer; /* read end */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * BENCH_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * BENCH_NS_PER_SECOND + (uint64_t)time->tv_usec * 1000;
}

uint64_t bench_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_time(void)
{
	struct rusage children;

	getrusage(RUSAGE_CHILDREN, &children);
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) + timeval_ns(&children.ru_utime) +
	       timeval_ns(&children.ru_stime);
}

static bool progress_shown;

void bench_progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

void bench_progress(const char *format, ...)
{
	bool terminal = isatty(STDERR_FILENO);
	va_list arguments;

	bench_progress_end();
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	if (!terminal)
		fputc('\n', stderr);
	fflush(stderr);
	progress_shown = terminal;
}

void bench_die(const char *format, ...)
{
	va_list arguments;

	bench_progress_end();
	fflush(stdout);
	fputs("bench: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	/* Also from a child, whose parent's files must not be flushed twice. */
	_exit(EXIT_FAILURE);
}

bool bench_wanted(const char *theme, const char *name)
{
	return !bench_options.only || strcmp(bench_options.only, theme) == 0 ||
	       (name && strcmp(bench_options.only, name) == 0);
}

uint64_t bench_scaled(uint64_t full, uint64_t least)
{
	return bench_options.quick ? max_u64(full / 32, least) : full;
}

unsigned int bench_rounds(unsigned int full)
{
	if (bench_options.rounds)
		return bench_options.rounds;
	return bench_options.quick ? 3 : full;
}

void bench_shuffle(struct bench_run *run, uint64_t count)
{
	struct prng prng;

	run->order = calloc(count, sizeof(*run->order));
	if (!run->order)
		bench_die("no memory for %llu addresses", (unsigned long long)count);
	run->nr_order = count;
	for (uint64_t i = 0; i < count; i++)
		run->order[i] = i;
	prng_seed(&prng, count);
	for (uint64_t i = count; i > 1; i--) {
		uint64_t other = prng_below(&prng, i);
		uint64_t taken = run->order[other];

		run->order[other] = run->order[i - 1];
		run->order[i - 1] = taken;
	}
}

/* Read-only, so that they do not merge with what a workload maps; apart, so not with each other. */
void bench_map_others(struct bench_run *run)
{
	struct bench_vm *vm = run->vm;
	uint64_t vmas = run->what->vmas;

	if (!vmas)
		return;
	run->base = vm->ops->map(vm, 0, vmas * 2 * QUIRE_PAGE_SIZE, QUIRE_PROT_NONE,
				 QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_NORESERVE);
	vm->ops->unmap(vm, run->base, vmas * 2 * QUIRE_PAGE_SIZE);
	for (uint64_t i = 0; i < vmas; i++)
		vm->ops->map(vm, run->base + (2 * i + 1) * QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE,
			     QUIRE_PROT_READ,
			     QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED_NOREPLACE);
}

uint64_t bench_memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kilobytes = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kilobytes << 10;
}

static void setup_side(struct bench_run *run)
{
	if (run->what->workload->setup)
		run->what->workload->setup(run);
}

/* In the child: answers one figure for each byte, until the parent has no more. */
_Noreturn static void linux_main(const struct bench_case *what, int fd, int go, int answer)
{
	struct bench_vm vm;
	struct bench_run run = {.what = what, .vm = &vm};
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_linux_open(&vm, fd);
	setup_side(&run);
	while (read(go, &byte, 1) == 1) {
		double value = what->workload->round(&run);

		if (write(answer, &value, sizeof(value)) != sizeof(value))
			break;
	}
	_exit(EXIT_SUCCESS);
}

static void linux_start(struct linux_process *process, const struct bench_case *what, int fd)
{
	int go[2], answer[2];

	if (pipe(go) || pipe(answer))
		bench_die("pipe: %s", strerror(errno));
	fflush(stdout);
	process->pid = fork();
	if (process->pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (process->pid == 0) {
		close(go[1]);
		close(answer[0]);
		linux_main(what, fd, go[0], answer[1]);
	}
	close(go[0]);
	close(answer[1]);
	process->go = go[1];
	process->answer = answer[0];
}

static double linux_round(struct linux_process *process, const struct bench_case *what)
{
	double value;

	if (write(process->go, "", 1) != 1 ||
	    read(process->answer, &value, sizeof(value)) != sizeof(value))
		bench_die("%s: the Linux side ended early", what->name);
	return value;
}

static void linux_stop(struct linux_process *process)
{
	close(process->go);
	close(process->answer);
	while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(const double *sorted, unsigned int count, double part)
{
	double position = part * (count - 1);
	unsigned int below = (unsigned int)position;
	unsigned int above = below + 1 < count ? below + 1 : below;

	return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}

void bench_sample_of(double *values, unsigned int count, struct bench_sample *sample)
{
	qsort(values, count, sizeof(*values), compare);
	sample->median = quantile(values, count, 0.5);
	sample->minimum = values[0];
	sample->maximum = values[count - 1];
	sample->spread = sample->median > 0
				 ? (quantile(values, count, 0.75) - quantile(values, count, 0.25)) /
					   sample->median
				 : 0;
}

static void show_sample(const char *side, const struct bench_sample *sample)
{
	printf("    %-6s min %s  median %s  max %s  spread %.0f %%\n", side,
	       bench_time(sample->minimum), bench_time(sample->median), bench_time(sample->maximum),
	       sample->spread * 100);
}

void bench_measure(const struct bench_case *what, unsigned int rounds, struct bench_result *result)
{
	double quire[BENCH_ROUNDS_MAX], other[BENCH_ROUNDS_MAX];
	struct linux_process process = {0};
	struct bench_vm vm;
	struct bench_run run = {.what = what, .vm = &vm};
	int fd = what->file_bytes ? bench_make_file(what->file_bytes) : -1;

	if (rounds > BENCH_ROUNDS_MAX)
		rounds = BENCH_ROUNDS_MAX;
	memset(result, 0, sizeof(*result));
	if (!what->quire_only)
		linux_start(&process, what, fd);
	bench_quire_open(&vm, what, fd);
	setup_side(&run);
	/* The round before the first is for caches and for the host's memory under both. */
	for (int i = -1; i < (int)rounds; i++) {
		double ours = what->workload->round(&run);
		double theirs = what->quire_only ? 0 : linux_round(&process, what);

		if (i >= 0) {
			quire[i] = ours;
			other[i] = theirs;
		}
	}
	bench_quire_close(&vm);
	free(run.order);
	if (!what->quire_only)
		linux_stop(&process);
	if (fd >= 0)
		close(fd);
	bench_sample_of(quire, rounds, &result->quire);
	bench_sample_of(other, rounds, &result->linux_side);
	if (!what->quire_only)
		result->ratio = result->quire.median / result->linux_side.median;
	if (bench_options.verbose) {
		bench_progress_end();
		printf("  %s, %u rounds\n", what->name, rounds);
		show_sample("Quire", &result->quire);
		if (!what->quire_only)
			show_sample("Linux", &result->linux_side);
	}
}

const char *bench_time(double ns)
{
	static char texts[4][24];
	static unsigned int next;
	static const char *const units[] = {"ns", "us", "ms", "s"};
	char *text = texts[next++ % ARRAY_SIZE(texts)];
	unsigned int unit = 0;

	while (ns >= 9999.5 && unit + 1 < ARRAY_SIZE(units)) {
		ns /= 1000;
		unit++;
	}
	snprintf(text, sizeof(texts[0]), "%.*f %s",
		 ns < 10    ? 2
		 : ns < 100 ? 1
			    : 0,
		 ns, units[unit]);
	return text;
}

/* A file beside the table of ratios. */
FILE *bench_file_open(const char *name)
{
	const char *output = bench_options.output;
	const char *slash = output ? strrchr(output, '/') : NULL;
	char path[4096];
	FILE *file;

	if (!output)
		return NULL;
	snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash + 1 - output) : 0, output, name);
	file = fopen(path, "we");
	if (!file)
		bench_die("%s: %s", path, strerror(errno));
	return file;
}

void bench_file_close(FILE *file, const char *name)
{
	if (file && (ferror(file) | fclose(file)))
		bench_die("%s: cannot be written", name);
}

int bench_make_file(uint64_t bytes)
{
	static uint64_t block[8192];
	char path[4096];
	uint64_t done = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/quire-bench-XXXXXX", bench_options.directory);
	fd = mkstemp(path);
	if (fd < 0)
		bench_die("%s: %s", path, strerror(errno));
	unlink(path);
	for (size_t i = 0; i < ARRAY_SIZE(block); i++)
		block[i] = i * UINT64_C(0x9e3779b97f4a7c15);
	while (done < bytes) {
		uint64_t piece = min_u64(bytes - done, sizeof(block));

		if (write(fd, block, piece) != (ssize_t)piece)
			bench_die("%s: %s", path, strerror(errno));
		done += piece;
	}
	/* Both sides read it from the host's page cache at first; dirty pages would be written
	 * while they do. */
	fdatasync(fd);
	return fd;
}
