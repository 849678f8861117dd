/* SPDX-License-Identifier: MIT */
/*
 * Workloads of page faults and of fork. A touch is one access of 8 bytes that faults; mapping and
 * unmapping are not timed.
 */
#include "bench/workload.h"

#include <quire/quire.h>

#define ANONYMOUS (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

static uint64_t map_pages(struct bench_run *run)
{
	return run->vm->ops->map(run->vm, 0, run->what->pages * QUIRE_PAGE_SIZE,
				 QUIRE_PROT_READ | QUIRE_PROT_WRITE, ANONYMOUS);
}

/* More than there is memory for: it is only read. */
static uint64_t map_pages_unreserved(struct bench_run *run)
{
	return run->vm->ops->map(run->vm, 0, run->what->pages * QUIRE_PAGE_SIZE,
				 QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				 ANONYMOUS | QUIRE_MAP_NORESERVE);
}

static void unmap_pages(struct bench_run *run, uint64_t base)
{
	run->vm->ops->unmap(run->vm, base, run->what->pages * QUIRE_PAGE_SIZE);
}

/* Nanoseconds for each page. */
static double store_each(struct bench_run *run, uint64_t base)
{
	void (*store)(struct bench_vm *, uint64_t, uint64_t) = run->vm->ops->store;
	uint64_t end = base + run->what->pages * QUIRE_PAGE_SIZE;
	uint64_t start = bench_cpu_time();

	for (uint64_t address = base; address < end; address += QUIRE_PAGE_SIZE)
		store(run->vm, address, address);
	return (double)(bench_cpu_time() - start) / (double)run->what->pages;
}

static double load_each(struct bench_run *run, uint64_t base, uint64_t step)
{
	uint64_t (*load)(struct bench_vm *, uint64_t) = run->vm->ops->load;
	uint64_t end = base + run->what->pages * QUIRE_PAGE_SIZE;
	uint64_t touches = 0;
	uint64_t start = bench_cpu_time();

	for (uint64_t address = base; address < end; address += step * QUIRE_PAGE_SIZE) {
		run->checked += load(run->vm, address);
		touches++;
	}
	return (double)(bench_cpu_time() - start) / (double)touches;
}

static double fault_anon(struct bench_run *run)
{
	uint64_t base = map_pages(run);
	double each = store_each(run, base);

	unmap_pages(run, base);
	return each;
}

const struct bench_workload work_fault_anon = {
	.setup = bench_map_others,
	.round = fault_anon,
};

static double fault_read(struct bench_run *run)
{
	uint64_t base = map_pages_unreserved(run);
	double each = load_each(run, base, 1);

	unmap_pages(run, base);
	return each;
}

const struct bench_workload work_fault_read = {
	.setup = bench_map_others,
	.round = fault_read,
};

static void cache_file(struct bench_run *run)
{
	for (uint64_t offset = 0; offset < run->what->file_bytes; offset += QUIRE_PAGE_SIZE)
		run->vm->ops->read(run->vm, QUIRE_PAGE_SIZE, offset);
}

static double fault_file(struct bench_run *run)
{
	struct bench_vm *vm = run->vm;
	uint64_t bytes = run->what->pages * QUIRE_PAGE_SIZE;
	uint64_t base = vm->ops->map_file(vm, bytes, QUIRE_PROT_READ, QUIRE_MAP_SHARED);
	uint64_t step;
	double each;

	vm->ops->advise(vm, base, bytes, QUIRE_MADV_RANDOM);
	step = vm->ops->one_page_a_fault(vm, base, bytes);
	each = load_each(run, base, step);
	unmap_pages(run, base);
	return each;
}

const struct bench_workload work_fault_file = {
	.setup = cache_file,
	.round = fault_file,
};

static double fault_cow(struct bench_run *run)
{
	uint64_t base = map_pages(run);
	double each;

	store_each(run, base);
	run->vm->ops->fork(run->vm, true);
	each = store_each(run, base);
	run->vm->ops->child_exit(run->vm);
	unmap_pages(run, base);
	return each;
}

const struct bench_workload work_fault_cow = {
	.round = fault_cow,
};

static void populate(struct bench_run *run)
{
	run->base = map_pages(run);
	store_each(run, run->base);
}

static double fork_and_exit(struct bench_run *run)
{
	uint64_t start = bench_cpu_time();

	run->vm->ops->fork(run->vm, false);
	run->vm->ops->child_wait(run->vm);
	return (double)(bench_cpu_time() - start) / (double)run->what->pages;
}

const struct bench_workload work_fork = {
	.setup = populate,
	.round = fork_and_exit,
};
