/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of the failure sweep: mappings of regular files, file calls, objects in memory, exec.
 */
#include "sweep.h"

#include "../outcome.h"

#include <quire/file_store.h>
#include <quire/inject_store.h>

#include <errno.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define SHARED QUIRE_MAP_SHARED
#define PRIVATE QUIRE_MAP_PRIVATE

static uint64_t page_at(const struct region *region, uint32_t page)
{
	return region->address + page * PAGE_SIZE;
}

static void sync_region(struct sweep *sweep, struct region *region, int flags)
{
	STEP(sweep, MAY_NOMEM | MAY_IO,
	     quire_msync(region->mm, region->address, region->pages * PAGE_SIZE, flags) == 0);
}

static void advise(struct sweep *sweep, struct region *region, uint32_t first, uint32_t pages,
		   int advice)
{
	STEP(sweep, MAY_NOMEM | MAY_FAULT | MAY_IO | MAY_AGAIN,
	     quire_madvise(region->mm, page_at(region, first), pages * PAGE_SIZE, advice) == 0);
}

/* A hole below a shared mapping. */
static void remove_pages(struct sweep *sweep, struct region *region, uint32_t first, uint32_t pages)
{
	const uint64_t offset = (region->pgoff + first) * PAGE_SIZE;

	region->file->uncertain_from = offset;
	advise(sweep, region, first, pages, QUIRE_MADV_REMOVE);
	region->file->uncertain_from = UINT64_MAX;
	memset(region->file->bytes + offset, 0, pages * PAGE_SIZE);
}

void scenario_file_mapping(struct sweep *sweep)
{
	struct model_file *file = model_open(sweep, 1, 24, 3);
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *shared = model_map(sweep, mm, 24, RW, SHARED, file, 0);
	struct region *private = model_map(sweep, mm, 16, RW, PRIVATE, file, 4);
	struct region *text = model_map(sweep, mm, 8, QUIRE_PROT_READ | QUIRE_PROT_EXEC,
					PRIVATE | QUIRE_MAP_POPULATE, file, 8);
	unsigned char resident[SWEEP_PAGES];
	quire_mm *child;

	model_read(sweep, text, 7);
	model_read(sweep, shared, 2);
	model_read(sweep, private, 1);
	model_fill(sweep, private, 1, 0x91);
	model_fill(sweep, private, 9, 0x92);
	model_fill(sweep, shared, 2, 0x93);
	model_fill(sweep, shared, 20, 0x94);
	child = model_fork(sweep, mm, "child");
	sync_region(sweep, shared, QUIRE_MS_SYNC);
	model_verify_backing(sweep, file);
	model_fill(sweep, shared, 2, 0x95);
	sync_region(sweep, shared, QUIRE_MS_ASYNC);
	STEP(sweep, MAY_NOMEM | MAY_IO, quire_fsync(file->file) == 0);
	model_verify_backing(sweep, file);

	advise(sweep, shared, 0, 24, QUIRE_MADV_RANDOM);
	advise(sweep, text, 0, 8, QUIRE_MADV_SEQUENTIAL);
	advise(sweep, shared, 4, 8, QUIRE_MADV_WILLNEED);
	advise(sweep, shared, 4, 8, QUIRE_MADV_POPULATE_READ);
	advise(sweep, shared, 12, 4, QUIRE_MADV_POPULATE_WRITE);
	remove_pages(sweep, shared, 5, 3);
	model_propose(private, 1, 1, VALUE_FILE);
	advise(sweep, private, 1, 1, QUIRE_MADV_DONTNEED);
	model_commit(private);
	STEP(sweep, MAY_NOMEM, quire_mincore(mm, shared->address, 24 * PAGE_SIZE, resident) == 0);

	STEP(sweep, MAY_NOMEM,
	     quire_mprotect(mm, page_at(shared, 8), 4 * PAGE_SIZE, QUIRE_PROT_READ) == 0);
	model_truncate(sweep, file, 10 * PAGE_SIZE + 100);
	model_write(sweep, file, 3 * PAGE_SIZE + 50, 2 * PAGE_SIZE, 0x96);
	model_truncate(sweep, file, 20 * PAGE_SIZE);
	model_read(sweep, private, 12);
	model_fill(sweep, shared, 15, 0x97);
	model_exit(sweep, child);
	model_unmap(sweep, shared, 6, 6);
	model_exit(sweep, mm);
}

static bool whole(int64_t done, uint64_t bytes)
{
	if (done >= 0 && (uint64_t)done < bytes)
		errno = ENOMEM;
	return done == (int64_t)bytes;
}

/* File calls whose buffer is memory of the mm; partly of the same file. */
static void user_buffers(struct sweep *sweep, struct model_file *file, struct region *buffer)
{
	const uint64_t bytes = 3 * PAGE_SIZE;
	quire_mm *mm = buffer->mm;

	model_propose(buffer, 0, 3, VALUE_ANY);
	model_commit(buffer);
	STEP(sweep, MAY_NOMEM | MAY_IO | MAY_FAULT,
	     whole(quire_pread_user(file->file, mm, buffer->address, bytes, 5 * PAGE_SIZE), bytes));
	for (uint32_t page = 4; page < 7; page++)
		model_fill(sweep, buffer, page, 0xa8);
	file->uncertain_from = 9 * PAGE_SIZE + 10;
	STEP(sweep, MAY_NOMEM | MAY_IO | MAY_FAULT,
	     whole(quire_pwrite_user(file->file, mm, page_at(buffer, 4), bytes, 9 * PAGE_SIZE + 10),
		   bytes));
	file->uncertain_from = UINT64_MAX;
	memset(file->bytes + 9 * PAGE_SIZE + 10, 0xa8, bytes);
}

void scenario_file_calls(struct sweep *sweep)
{
	struct model_file *file = model_open(sweep, 1, 40, 9);
	struct model_file *empty = model_open(sweep, 2, 0, 0);
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *buffer = model_map(sweep, mm, 8, RW, PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);
	quire_file *again;

	model_write(sweep, empty, 0, 5000, 0x21);
	model_write(sweep, empty, 3 * PAGE_SIZE + 1, 100, 0x22);
	model_truncate(sweep, empty, 6 * PAGE_SIZE);
	model_write(sweep, file, 100, 8 * PAGE_SIZE, 0x23);
	model_write(sweep, file, 20 * PAGE_SIZE, 16 * PAGE_SIZE, 0x24);
	STEP(sweep, MAY_NOMEM | MAY_IO, quire_fsync(file->file) == 0);
	model_verify_backing(sweep, file);

	model_punch(sweep, file, 2 * PAGE_SIZE + 100, 5 * PAGE_SIZE);
	model_truncate(sweep, file, 30 * PAGE_SIZE + 7);
	model_truncate(sweep, file, 38 * PAGE_SIZE);
	user_buffers(sweep, file, buffer);
	again = quire_file_get(file->file);
	quire_close(again);
	model_truncate(sweep, empty, 0);
	model_write(sweep, empty, 0, 10, 0x25);
	STEP(sweep, MAY_NOMEM | MAY_IO, quire_writeback(sweep->quire) == 0);
	model_verify_backing(sweep, file);
	model_verify_backing(sweep, empty);
	model_exit(sweep, mm);
}

/* /dev/zero: private it is anonymous memory, shared a fresh object. */
static void map_dev_zero(struct sweep *sweep, quire_mm *mm)
{
	quire_file *zero = NULL;
	struct region *region;
	uint64_t address = 0;

	STEP(sweep, MAY_NOMEM, quire_open_zero(sweep->quire, &zero) == 0);
	for (int flags = SHARED; flags <= PRIVATE; flags++) {
		STEP(sweep, MAY_NOMEM,
		     (address = quire_mmap(mm, 0, 2 * PAGE_SIZE, RW, flags, zero, 0)) !=
			     QUIRE_MAP_FAILED);
		region = model_region(sweep, mm, address, 2);
		model_fill(sweep, region, 1, 0x81);
	}
	quire_close(zero);
}

void scenario_objects(struct sweep *sweep)
{
	struct model_file *memory = model_memfd(sweep, 16);
	struct model_file *segment = model_shm(sweep, 8);
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *shared = model_map(sweep, mm, 16, RW, SHARED, memory, 0);
	struct region *private = model_map(sweep, mm, 8, RW, PRIVATE, memory, 4);
	struct region *attached = model_map(sweep, mm, 8, RW, SHARED, segment, 0);
	quire_mm *child;

	for (uint32_t page = 0; page < 16; page += 2)
		model_fill(sweep, shared, page, (uint8_t)(0x20 + page));
	model_fill(sweep, private, 2, 0x40);
	model_fill(sweep, attached, 1, 0x41);
	map_dev_zero(sweep, mm);
	child = model_fork(sweep, mm, "child");
	model_write(sweep, memory, 3 * PAGE_SIZE + 10, 6 * PAGE_SIZE, 0x42);
	advise(sweep, shared, 0, 16, QUIRE_MADV_PAGEOUT);
	quire_reclaim(sweep->quire, NULL, 64);
	model_read(sweep, shared, 4);
	model_read(sweep, private, 2);
	model_fill(sweep, shared, 8, 0x43);
	remove_pages(sweep, shared, 9, 2);
	model_punch(sweep, memory, PAGE_SIZE / 2, PAGE_SIZE);
	quire_reclaim(sweep->quire, NULL, 64);
	model_truncate(sweep, memory, 7 * PAGE_SIZE);
	model_truncate(sweep, memory, 12 * PAGE_SIZE);
	model_fill(sweep, shared, 10, 0x44);
	model_read(sweep, attached, 1);
	model_unmap(sweep, attached, 0, 8);
	model_exit(sweep, mm);
	model_exit(sweep, child);
}

/* A store of the host's file, without io_uring, so that each run is alike. NULL with errno. */
static struct quire_store *host_store(int fd)
{
	struct quire_store *store, *injecting;
	int error = quire_file_store_create(fd, false, QUIRE_FILE_IO_PLAIN, &store);

	if (error) {
		close(fd);
		errno = -error;
		return NULL;
	}
	error = quire_inject_store_create(store, &injecting);
	if (!error)
		return injecting;
	store->ops->close(store);
	errno = -error;
	return NULL;
}

static quire_file *open_host(struct sweep *sweep, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct quire_store *store;
	quire_file *file = NULL;
	struct stat stat;
	int error;

	EXPECT(sweep, fd >= 0 && !fstat(fd, &stat));
	store = host_store(fd);
	if (!store ||
	    !quire_open(sweep->quire, path, stat.st_dev, stat.st_ino, store, QUIRE_O_READ, &file))
		return file;
	error = errno;
	store->ops->close(store);
	errno = error;
	return NULL;
}

static quire_file *open_interpreter(void *context, const char *path)
{
	return open_host(context, path);
}

static void check_program(struct sweep *sweep, quire_mm *mm, const struct quire_exec *exec)
{
	struct soft_outcome outcome;
	uint64_t argument_count = 0;
	uint8_t instruction;

	soft_cpu_switch(sweep->cpu, mm);
	STEP(sweep, MAY_NOMEM | MAY_IO,
	     (errno = EIO, !soft_fetch(sweep->cpu, exec->entry, &instruction, 1, &outcome)) ||
		     (errno = outcome_error(&outcome), false));
	STEP(sweep, MAY_NOMEM,
	     (errno = ENOMEM, !soft_load(sweep->cpu, exec->stack_pointer, &argument_count,
					 sizeof(argument_count), &outcome)));
	EXPECT(sweep, argument_count == 2);
}

void scenario_exec(struct sweep *sweep)
{
	char *const argv[] = {"true", "argument", NULL};
	char *const envp[] = {"NAME=value", NULL};
	struct quire_exec exec = {
		.path = "/bin/true",
		.argv = argv,
		.envp = envp,
		.open = open_interpreter,
		.context = sweep,
	};
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *old = model_map(sweep, mm, 4, RW, PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);

	model_fill(sweep, old, 1, 0x11);
	STEP(sweep, MAY_NOMEM | MAY_IO, (exec.file = open_host(sweep, exec.path)) != NULL);
	soft_cpu_switch(sweep->cpu, NULL);
	old->live = false;
	for (int i = 0; i < 2; i++) {
		STEP(sweep, MAY_NOMEM | MAY_IO | MAY_FAULT, quire_exec(mm, &exec) == 0);
		check_program(sweep, mm, &exec);
		soft_cpu_switch(sweep->cpu, NULL);
	}
	quire_close(exec.file);
	model_exit(sweep, mm);
}
