/* SPDX-License-Identifier: MIT */
/*
 * Workloads over a file that is cached: pread, and reading a whole file once through a mapping or
 * by pread.
 */
#include "bench/workload.h"

#include <quire/quire.h>

/* Reads the whole file in pieces of the buffer, as cp or cat do. */
static void read_whole(struct bench_run *run)
{
	uint64_t bytes = run->what->file_bytes;

	for (uint64_t offset = 0; offset < bytes; offset += BENCH_BUFFER)
		run->vm->ops->read(run->vm, min_u64(BENCH_BUFFER, bytes - offset), offset);
}

static void cache_and_shuffle(struct bench_run *run)
{
	read_whole(run);
	bench_shuffle(run, run->what->file_bytes / QUIRE_PAGE_SIZE);
}

static double pread_cached(struct bench_run *run)
{
	struct bench_vm *vm = run->vm;
	uint64_t next = 0;
	uint64_t start = bench_cpu_time();

	for (uint64_t i = 0; i < run->what->operations; i++) {
		vm->ops->read(vm, QUIRE_PAGE_SIZE, run->order[next] * QUIRE_PAGE_SIZE);
		if (++next == run->nr_order)
			next = 0;
	}
	return (double)(bench_cpu_time() - start) / (double)run->what->operations;
}

const struct bench_workload work_pread = {
	.setup = cache_and_shuffle,
	.round = pread_cached,
};

/*
 * Three ways to read a file of file_bytes once; a round does it `operations` times. The program
 * then loads one word of each page, or with `sum` every word. Its buffers lie in its own address
 * space.
 */

static void use(struct bench_run *run, uint64_t base, uint64_t bytes)
{
	if (run->what->sum) {
		run->checked += run->vm->ops->sum(run->vm, base, bytes);
		return;
	}
	for (uint64_t offset = 0; offset < bytes; offset += QUIRE_PAGE_SIZE)
		run->checked += run->vm->ops->load(run->vm, base + offset);
}

static uint64_t map_buffer(struct bench_run *run, uint64_t bytes)
{
	return run->vm->ops->map(run->vm, 0, bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				 QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS);
}

static void read_mapped(struct bench_run *run)
{
	uint64_t bytes = run->what->file_bytes;
	uint64_t base = run->vm->ops->map_file(run->vm, bytes, QUIRE_PROT_READ, QUIRE_MAP_SHARED);

	use(run, base, bytes);
	run->vm->ops->unmap(run->vm, base, bytes);
}

/* By pread into one small buffer again and again, as a filter does. */
static void read_pieces(struct bench_run *run)
{
	uint64_t bytes = run->what->file_bytes;

	for (uint64_t offset = 0; offset < bytes; offset += BENCH_BUFFER) {
		uint64_t piece = min_u64(BENCH_BUFFER, bytes - offset);

		run->vm->ops->read_to(run->vm, run->base, piece, offset);
		use(run, run->base, piece);
	}
}

/* By one pread into a buffer as large as the file, made for it: all of it is at hand then, as in a
 * mapping. */
static void read_at_once(struct bench_run *run)
{
	uint64_t bytes = run->what->file_bytes;
	uint64_t base = map_buffer(run, bytes);

	run->vm->ops->read_to(run->vm, base, bytes, 0);
	use(run, base, bytes);
	run->vm->ops->unmap(run->vm, base, bytes);
}

static double repeat(struct bench_run *run, void (*once)(struct bench_run *))
{
	uint64_t start = bench_cpu_time();

	for (uint64_t i = 0; i < run->what->operations; i++)
		once(run);
	return (double)(bench_cpu_time() - start) / (double)run->what->operations;
}

static double round_mapped(struct bench_run *run)
{
	return repeat(run, read_mapped);
}

static double round_pieces(struct bench_run *run)
{
	return repeat(run, read_pieces);
}

static double round_at_once(struct bench_run *run)
{
	return repeat(run, read_at_once);
}

static void prepare_pieces(struct bench_run *run)
{
	read_whole(run);
	run->base = map_buffer(run, BENCH_BUFFER);
	for (uint64_t offset = 0; offset < BENCH_BUFFER; offset += QUIRE_PAGE_SIZE)
		run->vm->ops->store(run->vm, run->base + offset, 0);
}

const struct bench_workload work_read_mapped = {
	.setup = read_whole,
	.round = round_mapped,
};

const struct bench_workload work_read_pieces = {
	.setup = prepare_pieces,
	.round = round_pieces,
};

const struct bench_workload work_read_at_once = {
	.setup = read_whole,
	.round = round_at_once,
};
