/* SPDX-License-Identifier: MIT */
/*
 * Quire's side: one instance on the soft machine, one mm, one CPU that makes the accesses of its
 * program. The arena has its memory from the start, as the memory of a computer does.
 */
#include "bench/bench.h"
#include "machine/soft/soft.h"

#include <quire/file_store.h>
#include <quire/memory_store.h>
#include <quire/quire.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t quire_side_map(struct bench_vm *vm, uint64_t address, uint64_t bytes, int prot,
			       int flags)
{
	uint64_t at = quire_mmap(vm->mm, address, bytes, prot, flags, NULL, 0);

	if (at == QUIRE_MAP_FAILED)
		bench_die("Quire: mmap of %llu bytes: %s", (unsigned long long)bytes,
			  strerror(errno));
	return at;
}

static uint64_t quire_side_map_file(struct bench_vm *vm, uint64_t bytes, int prot, int flags)
{
	uint64_t at = quire_mmap(vm->mm, 0, bytes, prot, flags, vm->file, 0);

	if (at == QUIRE_MAP_FAILED)
		bench_die("Quire: mmap of a file: %s", strerror(errno));
	return at;
}

static void quire_side_unmap(struct bench_vm *vm, uint64_t address, uint64_t bytes)
{
	if (quire_munmap(vm->mm, address, bytes))
		bench_die("Quire: munmap: %s", strerror(errno));
}

static void quire_side_protect(struct bench_vm *vm, uint64_t address, uint64_t bytes, int prot)
{
	if (quire_mprotect(vm->mm, address, bytes, prot))
		bench_die("Quire: mprotect: %s", strerror(errno));
}

static void quire_side_advise(struct bench_vm *vm, uint64_t address, uint64_t bytes, int advice)
{
	if (quire_madvise(vm->mm, address, bytes, advice))
		bench_die("Quire: madvise: %s", strerror(errno));
}

static void quire_side_store(struct bench_vm *vm, uint64_t address, uint64_t value)
{
	struct soft_outcome outcome;

	if (soft_store_u64(vm->cpu, address, value, &outcome))
		bench_die("Quire: store: signal %d", (int)outcome.signal);
}

static uint64_t quire_side_load(struct bench_vm *vm, uint64_t address)
{
	struct soft_outcome outcome;
	uint64_t value;

	if (soft_load_u64(vm->cpu, address, &value, &outcome))
		bench_die("Quire: load: signal %d", (int)outcome.signal);
	return value;
}

static void add_words(void *context, void *memory, size_t bytes)
{
	const uint64_t *words = memory;
	uint64_t sum = 0;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		sum += words[i];
	*(uint64_t *)context += sum;
}

static uint64_t quire_side_sum(struct bench_vm *vm, uint64_t address, uint64_t bytes)
{
	struct soft_outcome outcome;
	uint64_t sum = 0;

	if (soft_for_each_span(vm->cpu, address, bytes, QUIRE_ACCESS_READ, add_words, &sum,
			       &outcome))
		bench_die("Quire: loads: signal %d", (int)outcome.signal);
	return sum;
}

static void quire_side_fork(struct bench_vm *vm, bool stay)
{
	(void)stay;
	if (quire_fork(vm->mm, "child", &vm->child_mm))
		bench_die("Quire: fork: %s", strerror(errno));
}

static void quire_side_child_exit(struct bench_vm *vm)
{
	quire_mm_exit(vm->child_mm);
}

static void quire_side_read(struct bench_vm *vm, uint64_t bytes, uint64_t offset)
{
	if (quire_pread(vm->file, NULL, vm->buffer, bytes, offset) != (int64_t)bytes)
		bench_die("Quire: pread: %s", strerror(errno));
}

static void quire_side_read_to(struct bench_vm *vm, uint64_t address, uint64_t bytes,
			       uint64_t offset)
{
	if (quire_pread_user(vm->file, vm->mm, address, bytes, offset) != (int64_t)bytes)
		bench_die("Quire: pread: %s", strerror(errno));
}

/* MADV_RANDOM is enough. */
static uint64_t quire_side_one_page_a_fault(struct bench_vm *vm, uint64_t address, uint64_t bytes)
{
	(void)vm, (void)address, (void)bytes;
	return 1;
}

static const struct bench_vm_ops quire_ops = {
	.name = "Quire",
	.map = quire_side_map,
	.map_file = quire_side_map_file,
	.unmap = quire_side_unmap,
	.protect = quire_side_protect,
	.advise = quire_side_advise,
	.store = quire_side_store,
	.load = quire_side_load,
	.sum = quire_side_sum,
	.fork = quire_side_fork,
	.child_exit = quire_side_child_exit,
	.child_wait = quire_side_child_exit,
	.read = quire_side_read,
	.read_to = quire_side_read_to,
	.one_page_a_fault = quire_side_one_page_a_fault,
};

static void open_store(struct bench_vm *vm, struct quire_store *store, uint64_t device,
		       uint64_t inode)
{
	if (quire_open(vm->quire, "bench", device, inode, store, QUIRE_O_READ, &vm->file))
		bench_die("Quire: open: %s", strerror(errno));
}

/* The host's file, or pages that nobody wrote. */
static void open_file(struct bench_vm *vm, const struct bench_case *what)
{
	struct quire_store *store;
	struct stat status;
	int error, fd;

	if (what->zero_bytes) {
		error = quire_memory_store_create(what->zero_bytes, &store);
		if (error)
			bench_die("Quire: store in memory: %s", strerror(-error));
		open_store(vm, store, 0, 1);
	}
	if (vm->fd < 0)
		return;
	fd = dup(vm->fd);
	if (fd < 0 || fstat(fd, &status))
		bench_die("Quire: %s", strerror(errno));
	error = quire_file_store_create(fd, false, QUIRE_FILE_IO_AUTO, &store);
	if (error)
		bench_die("Quire: store of a file: %s", strerror(-error));
	open_store(vm, store, status.st_dev, status.st_ino);
}

void bench_quire_open(struct bench_vm *vm, const struct bench_case *what, int fd)
{
	/* Besides what the case needs: page tables, the page cache's own reserve, watermarks. */
	struct quire_params params = {
		.size = sizeof(params),
		.memory = (what->memory + what->memory / 8 + (16u << 20)) & PAGE_MASK,
		.max_map_count = 4000000,
	};
	struct soft_params machine = {.real_clock = true, .populate = true};

	memset(vm, 0, sizeof(*vm));
	vm->ops = &quire_ops;
	vm->fd = fd;
	vm->buffer = malloc(BENCH_BUFFER);
	if (!vm->buffer)
		bench_die("no memory");
	memset(vm->buffer, 1, BENCH_BUFFER);
	if (soft_machine_create(&machine, &vm->machine) ||
	    quire_create(vm->machine, &params, &vm->quire) ||
	    quire_mm_create(vm->quire, "bench", NULL, &vm->mm) ||
	    soft_cpu_create(vm->machine, &vm->cpu))
		bench_die("Quire: an instance of %llu MiB: %s",
			  (unsigned long long)(params.memory >> 20), strerror(errno));
	soft_cpu_switch(vm->cpu, vm->mm);
	open_file(vm, what);
}

void bench_quire_close(struct bench_vm *vm)
{
	soft_cpu_switch(vm->cpu, NULL);
	soft_cpu_destroy(vm->cpu);
	if (vm->file)
		quire_close(vm->file);
	quire_mm_exit(vm->mm);
	if (quire_destroy(vm->quire))
		bench_die("Quire: destroying the instance: %s", strerror(errno));
	soft_machine_destroy(vm->machine);
	free(vm->buffer);
}
