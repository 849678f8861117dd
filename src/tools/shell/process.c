/* SPDX-License-Identifier: MIT */
/*
 * Tables of processes, regions and files.
 */
#include "tools/shell/process.h"

#include <stdlib.h>
#include <string.h>

#include "tools/shell/memory.h"

struct shell_process *shell_process_new(const char *name, struct shell_task *task,
					uint64_t heap_start)
{
	struct shell_process *process = shell_allocate(sizeof(*process));

	list_init(&process->link);
	process->name = shell_copy_string(name);
	process->task = task;
	list_init(&process->regions);
	list_init(&process->files);
	process->heap.name = "heap";
	process->heap.start = heap_start;
	return process;
}

struct shell_process *shell_process_copy(const struct shell_process *process, const char *name,
					 struct shell_task *task)
{
	struct shell_process *copy = shell_process_new(name, task, process->heap.start);
	struct shell_region *region;
	struct shell_file *file;

	copy->heap.length = process->heap.length;
	list_for_each_entry (region, &process->regions, link)
		shell_region_bind(copy, region->name, region->start, region->length);
	list_for_each_entry (file, &process->files, link)
		shell_file_bind(copy, file->name, file->fd);
	return copy;
}

static void region_free(struct shell_region *region)
{
	list_del(&region->link);
	free(region->name);
	free(region);
}

static void free_regions(struct shell_process *process)
{
	struct shell_region *region, *next;

	list_for_each_entry_safe (region, next, &process->regions, link)
		region_free(region);
}

void shell_process_free(struct shell_process *process)
{
	struct shell_file *file, *next;

	free_regions(process);
	list_for_each_entry_safe (file, next, &process->files, link)
		shell_file_unbind(file);
	list_del(&process->link);
	free(process->name);
	free(process);
}

struct shell_process *shell_process_find(struct list_head *processes, const char *name)
{
	struct shell_process *process;

	list_for_each_entry (process, processes, link)
		if (strcmp(process->name, name) == 0)
			return process;
	return NULL;
}

void shell_process_forget_regions(struct shell_process *process, uint64_t heap_start)
{
	free_regions(process);
	process->heap.start = heap_start;
	process->heap.length = 0;
}

static struct shell_region *find_bound(const struct shell_process *process, const char *name)
{
	struct shell_region *region;

	list_for_each_entry (region, &process->regions, link)
		if (strcmp(region->name, name) == 0)
			return region;
	return NULL;
}

const struct shell_region *shell_region_find(const struct shell_process *process, const char *name)
{
	if (strcmp(name, process->heap.name) == 0)
		return &process->heap;
	return find_bound(process, name);
}

void shell_region_bind(struct shell_process *process, const char *name, uint64_t start,
		       uint64_t length)
{
	struct shell_region *region = find_bound(process, name);

	if (region) {
		list_move_tail(&region->link, &process->regions);
	} else {
		region = shell_allocate(sizeof(*region));
		region->name = shell_copy_string(name);
		list_add_tail(&region->link, &process->regions);
	}
	region->start = start;
	region->length = PAGE_ALIGN(length);
}

static bool holds(const struct shell_region *region, uint64_t address)
{
	return address >= region->start && address - region->start < region->length;
}

const struct shell_region *shell_region_at(const struct shell_process *process, uint64_t address)
{
	struct shell_region *region;

	list_for_each_entry_reverse (region, &process->regions, link)
		if (holds(region, address))
			return region;
	return holds(&process->heap, address) ? &process->heap : NULL;
}

/* The lowest address from `start` on that lies in the region moves *first down to it. */
static void lower_first(const struct shell_region *region, uint64_t start, uint64_t *first)
{
	uint64_t candidate = max_u64(region->start, start);

	if (holds(region, candidate) && candidate < *first)
		*first = candidate;
}

bool shell_region_stretch(const struct shell_process *process, uint64_t *start, uint64_t *end)
{
	const struct shell_region *region;
	uint64_t first = *end;
	uint64_t last;

	lower_first(&process->heap, *start, &first);
	list_for_each_entry (region, &process->regions, link)
		lower_first(region, *start, &first);
	if (first == *end)
		return false;
	for (last = first; last < *end;) {
		region = shell_region_at(process, last);
		if (!region)
			break;
		last = region->start + region->length;
	}
	*start = first;
	*end = min_u64(last, *end);
	return true;
}

struct shell_file *shell_file_find(const struct shell_process *process, const char *name)
{
	struct shell_file *file;

	list_for_each_entry (file, &process->files, link)
		if (strcmp(file->name, name) == 0)
			return file;
	return NULL;
}

void shell_file_bind(struct shell_process *process, const char *name, int fd)
{
	struct shell_file *file = shell_allocate(sizeof(*file));

	file->name = shell_copy_string(name);
	file->fd = fd;
	list_add_tail(&file->link, &process->files);
}

void shell_file_unbind(struct shell_file *file)
{
	list_del(&file->link);
	free(file->name);
	free(file);
}
