/* SPDX-License-Identifier: MIT */
/*
 * The stress test: threads of two address spaces do everything at once, under memory pressure, for
 * a bounded number of operations chosen by a seed. Each thread checks what is its own all the time;
 * at the end everything is checked, and nothing may be left.
 *
 *   stress [--threads=N] [--operations=N] [--seed=N] [--memory=BYTES] [--failures]
 *          [--host-files] [--eager]
 *
 * With --failures, allocations, frames, and calls of stores and machine fail at random all the
 * time. Whatever a call or access then says, it must succeed when it is tried again. With
 * --host-files, files and swap are files of the host, and I/O completes on another thread. With
 * --eager, faults fill what lies around them, and the machine goes by the frames of a revocation:
 * as it is where faults are dear and translations are known by frame.
 */
#include "stress.h"

#include "base/alloc.h"

#include <quire/file_store.h>
#include <quire/inject_store.h>
#include <quire/memory_store.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <getopt.h>
#include <pthread.h>
#include <unistd.h>

#define SWAP_PAGES 4096

void stress_die(const struct worker *worker, const char *format, ...)
{
	const int error = errno;
	va_list arguments;

	fprintf(stderr, "stress, worker %u, operation %llu: ", worker->number,
		(unsigned long long)worker->operation);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (errno: %s)\n", strerror(error));
	abort();
}

void stress_failed(const struct worker *worker, const char *call)
{
	const bool allowed = errno == ENOMEM || errno == EIO || errno == EAGAIN ||
			     errno == EFAULT || errno == ENOSPC;

	if (!worker->stress->failures || !allowed)
		stress_die(worker, "failed: %s", call);
	atomic_fetch_add(&worker->stress->failed, 1);
	quire_fail_disarm();
}

static void expect(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "stress: not so: %s (errno: %s)\n", what, strerror(errno));
	abort();
}
#define EXPECT(expression) expect((expression), #expression)

static uint64_t map(struct stress *stress, int flags, quire_file *file, uint64_t pages)
{
	uint64_t address =
		quire_mmap(stress->mms[0], 0, pages * PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			   flags | (file ? 0 : QUIRE_MAP_ANONYMOUS), file, 0);

	EXPECT(address != QUIRE_MAP_FAILED);
	return address;
}

/* On a file of the host without a name: every transfer is asynchronous where io_uring is allowed.
 */
static struct quire_store *host_store(uint64_t pages)
{
	FILE *file = tmpfile();
	struct quire_store *store;
	int fd;

	EXPECT(file);
	fd = dup(fileno(file));
	EXPECT(fd >= 0 && !fclose(file) && !ftruncate(fd, (off_t)(pages * PAGE_SIZE)));
	if (quire_file_store_create(fd, true, QUIRE_FILE_IO_RING, &store))
		EXPECT(!quire_file_store_create(fd, true, QUIRE_FILE_IO_AUTO, &store));
	return store;
}

/* *inner is what holds the bytes. Failures reach it only when they are wanted. */
static struct quire_store *make_store(const struct stress *stress, uint64_t pages,
				      struct quire_store **inner)
{
	struct quire_store *store;

	if (stress->host_files)
		*inner = host_store(pages);
	else
		EXPECT(!quire_memory_store_create(pages * PAGE_SIZE, inner));
	if (!stress->failures)
		return *inner;
	EXPECT(!quire_inject_store_create(*inner, &store));
	return store;
}

static quire_file *open_file(struct stress *stress, uint64_t inode, uint64_t pages)
{
	struct quire_store *inner;
	struct quire_store *store = make_store(stress, pages, &inner);
	quire_file *file;

	EXPECT(!quire_open(stress->quire, "file", 1, inode, store, QUIRE_O_READ | QUIRE_O_WRITE,
			   &file));
	if (!stress->store)
		stress->store = inner;
	return file;
}

static void oom(void *context, const char *mm, uint64_t resident, const char *group, uint64_t limit)
{
	(void)context;
	fprintf(stderr,
		"stress: out of memory: %s with %llu pages, group %s with a limit of %llu\n", mm,
		(unsigned long long)resident, group, (unsigned long long)limit);
}

static void begin(struct stress *stress)
{
	const struct quire_params params = {
		.size = sizeof(params),
		.memory = stress->frames,
		.policy = stress->seed % 2 ? "sieve" : "two-list",
		.events.oom = stress->failures ? NULL : oom,
		.anon_fault_around = stress->eager ? 64 * PAGE_SIZE : 0,
		.no_zero_page = stress->eager,
		.premark_accessed = stress->eager,
	};
	const struct soft_params machine = {.by_frame = stress->eager};
	struct quire_store *inner;

	EXPECT(!soft_machine_create(&machine, &stress->machine));
	EXPECT(!quire_create(stress->machine, &params, &stress->quire));
	EXPECT(!quire_swapon(stress->quire, make_store(stress, SWAP_PAGES, &inner),
			     SWAP_PAGES * PAGE_SIZE));
	stress->file = open_file(stress, 1, STRESS_FILE_PAGES + 1);
	stress->cut = open_file(stress, 2, STRESS_CUT_PAGES);
	EXPECT(!quire_memfd_create(stress->quire, "memory", 0, &stress->memory));
	EXPECT(!quire_mm_create(stress->quire, "first", NULL, &stress->mms[0]));
	stress->counters[COUNTERS_SHARED] = map(stress, QUIRE_MAP_SHARED, NULL, 1);
	stress->counters[COUNTERS_PRIVATE] = map(stress, QUIRE_MAP_PRIVATE, NULL, 1);
	stress->file_map = map(stress, QUIRE_MAP_SHARED, stress->file, STRESS_FILE_PAGES + 1);
	stress->counters[COUNTERS_FILE] = stress->file_map + STRESS_FILE_PAGES * PAGE_SIZE;
	stress->cut_map = map(stress, QUIRE_MAP_SHARED, stress->cut, STRESS_CUT_PAGES);
	stress->memory_map = map(stress, QUIRE_MAP_SHARED, stress->memory, STRESS_CUT_PAGES);
	EXPECT(!quire_fork(stress->mms[0], "second", &stress->mms[1]));
}

static void check(struct stress *stress)
{
	char message[256];

	if (!quire_check(stress->quire, message, sizeof(message)))
		return;
	fprintf(stderr, "stress: quire_check: %s\n", message);
	abort();
}

static uint64_t sum(const uint64_t *counters)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < STRESS_COUNTERS; i++)
		total += counters[i];
	return total;
}

static uint64_t sum_counters(struct stress *stress, quire_mm *mm, enum stress_counters kind)
{
	uint64_t counters[STRESS_COUNTERS];

	EXPECT(quire_read_memory(mm, stress->counters[kind], counters, sizeof(counters)) ==
	       sizeof(counters));
	return sum(counters);
}

struct stored_read {
	struct quire_request request;
	int64_t result;
	_Atomic uint32_t finished;
};

static void read_done(struct quire_request *request, int64_t result)
{
	struct stored_read *read = request->context;

	read->result = result;
	atomic_store(&read->finished, 1);
	quire_unpark(&read->finished, 1);
}

/* What the store of the shared file holds, once all is written back. */
static uint64_t sum_stored_counters(struct stress *stress)
{
	/* Not on the stack: `done` may touch it a little longer. */
	static struct stored_read read;
	static uint64_t page[PAGE_SIZE / sizeof(uint64_t)];
	struct quire_segment segment = {page, sizeof(page)};

	read.request = (struct quire_request){
		.direction = QUIRE_READ,
		.offset = STRESS_FILE_PAGES * PAGE_SIZE,
		.segments = &segment,
		.nr_segments = 1,
		.done = read_done,
		.context = &read,
	};
	EXPECT(!quire_writeback(stress->quire));
	EXPECT(!stress->store->ops->submit(stress->store, &read.request));
	while (!atomic_load(&read.finished))
		quire_park(&read.finished, 0);
	EXPECT(read.result == sizeof(page));
	return sum(page);
}

static void end(struct stress *stress)
{
	struct quire_stat stat = {.size = sizeof(stat)};

	check(stress);
	EXPECT(!quire_get_stat(stress->quire, &stat));
	printf("%llu faults, %llu copies, %llu swapped out, %llu in, %llu reclaimed, %llu "
	       "written\n",
	       (unsigned long long)stat.faults, (unsigned long long)stat.cow_copies,
	       (unsigned long long)stat.swap_out, (unsigned long long)stat.swap_in,
	       (unsigned long long)stat.reclaimed, (unsigned long long)stat.file_written);
	/* Otherwise this was no stress. */
	EXPECT(stat.faults && stat.cow_copies && stat.swap_out && stat.swap_in && stat.reclaimed &&
	       stat.file_written);
	printf("%llu calls failed, %llu pages not written\n",
	       (unsigned long long)atomic_load(&stress->failed),
	       (unsigned long long)stat.write_errors);
	EXPECT(!stress->failures || (atomic_load(&stress->failed) && stat.write_errors));
	for (int i = 0; i < 2; i++)
		quire_mm_exit(stress->mms[i]);
	EXPECT(!quire_writeback(stress->quire));
	quire_close(stress->file);
	quire_close(stress->cut);
	quire_close(stress->memory);
	check(stress);
	EXPECT(!quire_get_stat(stress->quire, &stat));
	EXPECT(!stat.dirty && !stat.writeback && !stat.page_tables && !stat.committed);
	EXPECT(stat.swap_free == stat.swap_slots);
	EXPECT(stat.frames_free + stat.cached + 1 == stat.frames); /* the zero page */
	EXPECT(!quire_destroy(stress->quire));
	soft_machine_destroy(stress->machine);
}

static void *run_worker(void *worker)
{
	worker_run(worker);
	return NULL;
}

/* No increment got lost, whatever happened to the page. */
static void check_counters(struct stress *stress, const struct worker *workers)
{
	uint64_t expected[STRESS_COUNTER_KINDS][2] = {0};

	for (uint32_t i = 0; i < stress->threads; i++)
		for (int kind = 0; kind < STRESS_COUNTER_KINDS; kind++)
			expected[kind][i % 2] += workers[i].increments[kind];
	for (int i = 0; i < 2; i++) {
		EXPECT(sum_counters(stress, stress->mms[i], COUNTERS_SHARED) ==
		       expected[COUNTERS_SHARED][0] + expected[COUNTERS_SHARED][1]);
		EXPECT(sum_counters(stress, stress->mms[i], COUNTERS_PRIVATE) ==
		       expected[COUNTERS_PRIVATE][i]);
		EXPECT(sum_counters(stress, stress->mms[i], COUNTERS_FILE) ==
		       expected[COUNTERS_FILE][0] + expected[COUNTERS_FILE][1]);
	}
	EXPECT(sum_stored_counters(stress) ==
	       expected[COUNTERS_FILE][0] + expected[COUNTERS_FILE][1]);
}

static void run_workers(struct stress *stress)
{
	static struct worker workers[STRESS_THREADS_MAX];
	pthread_t threads[STRESS_THREADS_MAX];

	EXPECT(!pthread_barrier_init(&stress->barrier, NULL, stress->threads));
	for (uint32_t i = 0; i < stress->threads; i++) {
		workers[i] =
			(struct worker){.stress = stress, .number = i, .mm = stress->mms[i % 2]};
		prng_seed(&workers[i].prng, stress->seed * STRESS_THREADS_MAX + i);
		EXPECT(!pthread_create(&threads[i], NULL, run_worker, &workers[i]));
	}
	for (uint32_t i = 0; i < stress->threads; i++)
		EXPECT(!pthread_join(threads[i], NULL));
	EXPECT(!pthread_barrier_destroy(&stress->barrier));
	check_counters(stress, workers);
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"threads", required_argument, NULL, 't'},
		{"operations", required_argument, NULL, 'o'},
		{"seed", required_argument, NULL, 's'},
		{"memory", required_argument, NULL, 'm'},
		{"failures", no_argument, NULL, 'f'},
		{"host-files", no_argument, NULL, 'h'},
		{"eager", no_argument, NULL, 'e'},
		{0},
	};
	struct stress stress = {.threads = 4, .operations = 20000, .seed = 1, .frames = 2 << 20};
	const uint64_t allocations = quire_alloc_live();

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (option == 't')
			stress.threads = (uint32_t)strtoul(optarg, NULL, 0);
		else if (option == 'o')
			stress.operations = strtoull(optarg, NULL, 0);
		else if (option == 's')
			stress.seed = strtoull(optarg, NULL, 0);
		else if (option == 'm')
			stress.frames = strtoull(optarg, NULL, 0);
		else if (option == 'f')
			stress.failures = true;
		else if (option == 'h')
			stress.host_files = true;
		else if (option == 'e')
			stress.eager = true;
		else
			return 2;
	}
	if (!stress.threads || stress.threads > STRESS_THREADS_MAX)
		return 2;
	begin(&stress);
	run_workers(&stress);
	end(&stress);
	EXPECT(quire_alloc_live() == allocations);
	return 0;
}
