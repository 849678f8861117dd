/* SPDX-License-Identifier: MIT */
/*
 * The model of the failure sweep: address spaces, their regions and what each page holds.
 */
#include "sweep.h"

#include "../outcome.h"

#include <errno.h>
#include <string.h>

quire_mm *model_mm(struct sweep *sweep, const char *name, quire_group *group)
{
	quire_mm *mm = NULL;

	STEP(sweep, MAY_NOMEM, quire_mm_create(sweep->quire, name, group, &mm) == 0);
	return mm;
}

static struct region *new_region(struct sweep *sweep)
{
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++) {
		struct region *region = &sweep->regions[i];

		if (!region->live) {
			memset(region, 0, sizeof(*region));
			region->live = true;
			return region;
		}
	}
	sweep_die(sweep, "too many regions");
}

static void fork_region(struct sweep *sweep, const struct region *parent, quire_mm *child)
{
	struct region *region = new_region(sweep);

	*region = *parent;
	region->mm = child;
	if (!parent->wiped)
		return;
	for (uint32_t i = 0; i < region->pages; i++)
		region->value[i] = region->other[i] = 0;
}

quire_mm *model_fork(struct sweep *sweep, quire_mm *parent, const char *name)
{
	quire_mm *child = NULL;

	STEP(sweep, MAY_NOMEM, quire_fork(parent, name, &child) == 0);
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++) {
		struct region *region = &sweep->regions[i];

		if (region->live && region->mm == parent && !region->not_copied)
			fork_region(sweep, region, child);
	}
	return child;
}

void model_exit(struct sweep *sweep, quire_mm *mm)
{
	soft_cpu_switch(sweep->cpu, NULL);
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++)
		if (sweep->regions[i].mm == mm)
			sweep->regions[i].live = false;
	quire_mm_exit(mm);
}

struct region *model_region(struct sweep *sweep, quire_mm *mm, uint64_t address, uint32_t pages)
{
	struct region *region = new_region(sweep);

	EXPECT(sweep, pages <= SWEEP_PAGES);
	region->mm = mm;
	region->address = address;
	region->pages = pages;
	return region;
}

struct region *model_map(struct sweep *sweep, quire_mm *mm, uint32_t pages, int prot, int flags,
			 struct model_file *file, uint64_t pgoff)
{
	uint64_t address = 0;
	struct region *region;

	STEP(sweep, MAY_NOMEM,
	     (address = quire_mmap(mm, 0, pages * PAGE_SIZE, prot, flags, file ? file->file : NULL,
				   (int64_t)(pgoff * PAGE_SIZE))) != QUIRE_MAP_FAILED);
	region = model_region(sweep, mm, address, pages);
	region->shared = flags & QUIRE_MAP_SHARED;
	region->unreadable = !prot;
	if (!file && region->shared)
		file = model_shared_object(sweep, pages);
	region->file = file;
	region->pgoff = pgoff;
	for (uint32_t i = 0; i < pages; i++)
		region->value[i] = region->other[i] = file ? VALUE_FILE : 0;
	return region;
}

void model_unmap(struct sweep *sweep, struct region *region, uint32_t first, uint32_t pages)
{
	const uint64_t address = region->address + first * PAGE_SIZE;
	bool left = false;
	uint8_t byte;

	STEP(sweep, MAY_NOMEM, quire_munmap(region->mm, address, pages * PAGE_SIZE) == 0);
	EXPECT(sweep, quire_read_memory(region->mm, address, &byte, 1) == -1);
	for (uint32_t i = first; i < first + pages; i++)
		region->value[i] = region->other[i] = VALUE_ANY;
	for (uint32_t i = 0; i < region->pages; i++)
		left |= region->value[i] != VALUE_ANY;
	region->live = left;
}

void model_propose(struct region *region, uint32_t first, uint32_t pages, uint16_t value)
{
	for (uint32_t i = first; i < first + pages; i++)
		region->other[i] = value;
}

void model_commit(struct region *region)
{
	for (uint32_t i = 0; i < region->pages; i++)
		region->value[i] = region->other[i];
}

/* An access of the program failed: its signal as an errno. */
static bool access_failed(struct sweep *sweep, const struct region *region, uint32_t page,
			  const struct soft_outcome *outcome)
{
	errno = outcome_error(outcome);
	if (!errno)
		sweep_die(sweep, "signal %d for page %u of the region at %#llx",
			  (int)outcome->signal, page, (unsigned long long)region->address);
	return false;
}

static bool try_fill(struct sweep *sweep, const struct region *region, uint32_t page, uint8_t byte)
{
	struct soft_outcome outcome;

	soft_cpu_switch(sweep->cpu, region->mm);
	if (!soft_fill(sweep->cpu, region->address + page * PAGE_SIZE, PAGE_SIZE, byte, &outcome))
		return true;
	return access_failed(sweep, region, page, &outcome);
}

void model_fill(struct sweep *sweep, struct region *region, uint32_t page, uint8_t byte)
{
	model_propose(region, page, 1, byte);
	STEP(sweep, MAY_NOMEM | MAY_IO, try_fill(sweep, region, page, byte));
	if (!region->shared) {
		model_commit(region);
		return;
	}
	model_propose(region, page, 1, VALUE_FILE);
	memset(region->file->bytes + (region->pgoff + page) * PAGE_SIZE, byte, PAGE_SIZE);
}

static bool is_filled(const uint8_t *bytes, uint8_t byte)
{
	return bytes[0] == byte && !memcmp(bytes, bytes + 1, PAGE_SIZE - 1);
}

/* The file's page, as a mapping shows it. */
static void file_page(const struct model_file *file, uint64_t index, uint8_t *bytes)
{
	uint64_t start = index * PAGE_SIZE;

	memset(bytes, 0, PAGE_SIZE);
	if (start < file->size)
		memcpy(bytes, file->bytes + start, min_u64(PAGE_SIZE, file->size - start));
}

static bool holds(const struct region *region, uint32_t page, const uint8_t *bytes, uint16_t value)
{
	uint8_t expected[PAGE_SIZE];

	if (value == VALUE_ANY)
		return true;
	if (value == VALUE_GUARD)
		return false;
	if (value != VALUE_FILE)
		return is_filled(bytes, (uint8_t)value);
	file_page(region->file, region->pgoff + page, expected);
	return !memcmp(bytes, expected, PAGE_SIZE);
}

static bool must_fail(const struct region *region, uint32_t page, uint16_t value)
{
	return value == VALUE_GUARD || (region->file && (region->pgoff + page) * PAGE_SIZE >=
								PAGE_ALIGN(region->file->size));
}

static bool may_fail(const struct region *region, uint32_t page)
{
	return must_fail(region, page, region->value[page]) ||
	       must_fail(region, page, region->other[page]);
}

static bool is_uncertain(const struct region *region, uint32_t page)
{
	return region->value[page] == VALUE_ANY ||
	       (region->file &&
		(region->pgoff + page + 1) * PAGE_SIZE > region->file->uncertain_from);
}

static void compare_page(struct sweep *sweep, const struct region *region, uint32_t page,
			 const uint8_t *bytes)
{
	if (holds(region, page, bytes, region->value[page]) ||
	    holds(region, page, bytes, region->other[page]))
		return;
	sweep_die(sweep, "page %u of the region at %#llx holds %#x ... %#x instead of %#x (or %#x)",
		  page, (unsigned long long)region->address, bytes[0], bytes[PAGE_SIZE - 1],
		  region->value[page], region->other[page]);
}

static void verify_page(struct sweep *sweep, const struct region *region, uint32_t page)
{
	uint64_t address = region->address + page * PAGE_SIZE;
	uint8_t bytes[PAGE_SIZE];
	int64_t done;

	if (is_uncertain(region, page))
		return;
	done = quire_read_memory(region->mm, address, bytes, PAGE_SIZE);
	if (done == (int64_t)PAGE_SIZE) {
		if (must_fail(region, page, region->value[page]) &&
		    must_fail(region, page, region->other[page]))
			sweep_die(sweep, "page %u of the region at %#llx can be read", page,
				  (unsigned long long)region->address);
		compare_page(sweep, region, page, bytes);
	} else if (!may_fail(region, page)) {
		sweep_die(sweep, "page %u of the region at %#llx cannot be read: %s", page,
			  (unsigned long long)region->address, strerror(errno));
	}
}

void model_verify_region(struct sweep *sweep, struct region *region)
{
	if (region->unreadable)
		return;
	for (uint32_t i = 0; i < region->pages; i++)
		verify_page(sweep, region, i);
}

static bool try_read(struct sweep *sweep, const struct region *region, uint32_t page,
		     uint8_t *bytes)
{
	struct soft_outcome outcome;

	soft_cpu_switch(sweep->cpu, region->mm);
	if (!soft_load(sweep->cpu, region->address + page * PAGE_SIZE, bytes, PAGE_SIZE, &outcome))
		return true;
	return access_failed(sweep, region, page, &outcome);
}

void model_read(struct sweep *sweep, struct region *region, uint32_t page)
{
	uint8_t bytes[PAGE_SIZE];

	STEP(sweep, MAY_NOMEM | MAY_IO, try_read(sweep, region, page, bytes));
	compare_page(sweep, region, page, bytes);
}
