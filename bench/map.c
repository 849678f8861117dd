/* SPDX-License-Identifier: MIT */
/*
 * Workloads that change VMAs: mmap with munmap, and mprotect that splits and merges.
 */
#include "bench/workload.h"

#include <quire/quire.h>

static double mmap_munmap(struct bench_run *run)
{
	struct bench_vm *vm = run->vm;
	uint64_t start = bench_cpu_time();

	for (uint64_t i = 0; i < run->what->operations; i++) {
		uint64_t page =
			vm->ops->map(vm, 0, QUIRE_PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				     QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS);

		vm->ops->unmap(vm, page, QUIRE_PAGE_SIZE);
	}
	return (double)(bench_cpu_time() - start) / (double)run->what->operations;
}

const struct bench_workload work_mmap_munmap = {
	.setup = bench_map_others,
	.round = mmap_munmap,
};

static void populate(struct bench_run *run)
{
	struct bench_vm *vm = run->vm;

	run->base = vm->ops->map(vm, 0, run->what->pages * QUIRE_PAGE_SIZE,
				 QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				 QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS);
	for (uint64_t i = 0; i < run->what->pages; i++)
		vm->ops->store(vm, run->base + i * QUIRE_PAGE_SIZE, i);
}

/* Every second page: a call cuts a VMA in three, or joins three. The pages at both ends stay. */
static double protect_odd_pages(struct bench_run *run, int prot)
{
	uint64_t pages = run->what->pages;
	uint64_t calls = (pages - 1) / 2;
	uint64_t start = bench_cpu_time();

	for (uint64_t i = 1; i + 1 < pages; i += 2)
		run->vm->ops->protect(run->vm, run->base + i * QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE,
				      prot);
	return (double)(bench_cpu_time() - start) / (double)calls;
}

static double mprotect_split_merge(struct bench_run *run)
{
	double split = protect_odd_pages(run, QUIRE_PROT_READ);
	double merge = protect_odd_pages(run, QUIRE_PROT_READ | QUIRE_PROT_WRITE);

	return run->what->reverse ? merge : split;
}

const struct bench_workload work_mprotect = {
	.setup = populate,
	.round = mprotect_split_merge,
};
