/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of the failure sweep: mappings at chosen places, stacks, limits and locks, a second
 * handle and a second swap area, seals; and an instance that is destroyed with everything in use.
 */
#include "sweep.h"

#include <quire/memory_store.h>

#include <errno.h>
#include <string.h>

#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

static uint64_t page_at(const struct region *region, uint32_t page)
{
	return region->address + page * PAGE_SIZE;
}

/* Maps over pages of the region, which are gone even if that fails. */
static void map_over(struct sweep *sweep, struct region *region, uint32_t first, uint32_t pages,
		     struct model_file *file, uint64_t pgoff)
{
	const int flags = QUIRE_MAP_FIXED | (file ? QUIRE_MAP_SHARED : ANON);
	const uint64_t address = page_at(region, first);
	struct region *over;

	model_propose(region, first, pages, VALUE_ANY);
	model_commit(region);
	STEP(sweep, MAY_NOMEM,
	     quire_mmap(region->mm, address, pages * PAGE_SIZE, RW, flags, file ? file->file : NULL,
			(int64_t)(pgoff * PAGE_SIZE)) == address);
	over = model_region(sweep, region->mm, address, pages);
	over->shared = file;
	over->file = file;
	over->pgoff = pgoff;
	model_propose(over, 0, pages, file ? VALUE_FILE : 0);
	model_commit(over);
	model_fill(sweep, over, pages - 1, 0x5a);
}

static void grow_stack(struct sweep *sweep, quire_mm *mm)
{
	const uint64_t top = (uint64_t)1 << 44;
	struct region *stack;

	STEP(sweep, MAY_NOMEM,
	     quire_mmap(mm, top - 2 * PAGE_SIZE, 2 * PAGE_SIZE, RW,
			ANON | QUIRE_MAP_GROWSDOWN | QUIRE_MAP_FIXED_NOREPLACE, NULL,
			0) == top - 2 * PAGE_SIZE);
	stack = model_region(sweep, mm, top - 8 * PAGE_SIZE, 8);
	/* Not looked at below what was touched: that would grow it. */
	model_propose(stack, 0, 6, VALUE_ANY);
	model_commit(stack);
	model_fill(sweep, stack, 7, 0x11);
	model_fill(sweep, stack, 5, 0x12);
	model_fill(sweep, stack, 2, 0x13);
}

void scenario_places(struct sweep *sweep)
{
	struct model_file *file = model_open(sweep, 1, 16, 2);
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *region = model_map(sweep, mm, 40, RW, ANON, NULL, 0);
	struct region *mapped = model_map(sweep, mm, 16, RW, QUIRE_MAP_SHARED, file, 0);
	struct region *copied = model_map(sweep, mm, 12, RW, QUIRE_MAP_PRIVATE, file, 2);
	uint64_t address = 0;

	for (uint32_t page = 0; page < 40; page += 3)
		model_fill(sweep, region, page, (uint8_t)(0x20 + page));
	model_fill(sweep, mapped, 3, 0x30);
	model_fill(sweep, copied, 4, 0x31);
	map_over(sweep, region, 10, 4, NULL, 0);
	map_over(sweep, region, 20, 6, file, 5);
	EXPECT(sweep, quire_mmap(mm, region->address, PAGE_SIZE, RW,
				 ANON | QUIRE_MAP_FIXED_NOREPLACE, NULL, 0) == QUIRE_MAP_FAILED);
	grow_stack(sweep, mm);

	/* Private copies move with their area, which gets more of the file. */
	STEP(sweep, MAY_NOMEM,
	     (address = quire_mremap(mm, copied->address, 12 * PAGE_SIZE, 14 * PAGE_SIZE,
				     QUIRE_MREMAP_MAYMOVE, 0)) != QUIRE_MAP_FAILED);
	copied->address = address;
	copied->pages = 14;
	copied->value[12] = copied->other[12] = VALUE_FILE;
	copied->value[13] = copied->other[13] = VALUE_FILE;
	model_read(sweep, copied, 4);
	model_read(sweep, copied, 13);
	STEP(sweep, MAY_NOMEM | MAY_IO,
	     quire_msync(mm, mapped->address, 16 * PAGE_SIZE, QUIRE_MS_SYNC) == 0);
	model_verify_backing(sweep, file);
	model_exit(sweep, mm);
}

static void seal_object(struct sweep *sweep)
{
	quire_file *object = NULL;
	char byte = 1;

	STEP(sweep, MAY_NOMEM,
	     quire_memfd_create(sweep->quire, "sealed", QUIRE_MFD_ALLOW_SEALING, &object) == 0);
	STEP(sweep, MAY_NOMEM, quire_ftruncate(object, PAGE_SIZE) == 0);
	EXPECT(sweep, !quire_add_seals(object, QUIRE_SEAL_GROW | QUIRE_SEAL_WRITE));
	EXPECT(sweep, quire_get_seals(object) == (QUIRE_SEAL_GROW | QUIRE_SEAL_WRITE));
	EXPECT(sweep, quire_pwrite(object, quire_root_group(sweep->quire), &byte, 1, 0) == -1 &&
			      errno == EPERM);
	quire_close(object);
}

static bool returned(int error)
{
	errno = -error;
	return !error;
}

static void add_swap(struct sweep *sweep)
{
	struct quire_store *store = NULL;

	STEP(sweep, MAY_NOMEM, returned(quire_memory_store_create(64 * PAGE_SIZE, &store)));
	store = model_store(sweep, store);
	STEP(sweep, MAY_NOMEM | MAY_IO, quire_swapon(sweep->quire, store, 64 * PAGE_SIZE) == 0);
}

void scenario_limits(struct sweep *sweep)
{
	struct model_file *object = model_memfd(sweep, 20);
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *region, *shared;
	quire_mm *child;

	EXPECT(sweep, !quire_setlimit(mm, QUIRE_LIMIT_AS, 100 * PAGE_SIZE));
	EXPECT(sweep, quire_getlimit(mm, QUIRE_LIMIT_AS) == 100 * PAGE_SIZE);
	region = model_map(sweep, mm, 60, RW, ANON, NULL, 0);
	EXPECT(sweep, quire_mmap(mm, 0, 50 * PAGE_SIZE, RW, ANON, NULL, 0) == QUIRE_MAP_FAILED);
	EXPECT(sweep, !quire_setlimit(mm, QUIRE_LIMIT_AS, QUIRE_LIMIT_INFINITY));
	quire_set_privileged(mm, true);
	add_swap(sweep);
	for (uint32_t page = 0; page < 60; page++)
		model_fill(sweep, region, page, (uint8_t)(page * 3));
	STEP(sweep, MAY_NOMEM | MAY_AGAIN,
	     quire_mlockall(mm, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT) == 0);
	shared = model_map(sweep, mm, 20, RW, QUIRE_MAP_SHARED, object, 0);
	model_fill(sweep, shared, 3, 0x66);
	quire_reclaim(sweep->quire, NULL, 200);
	child = model_fork(sweep, mm, "child");
	STEP(sweep, MAY_NOMEM, quire_munlockall(mm) == 0);
	quire_reclaim(sweep->quire, NULL, 200);
	model_read(sweep, region, 59);
	model_fill(sweep, region, 58, 0x67);
	model_read(sweep, shared, 3);
	seal_object(sweep);
	model_exit(sweep, child);
	model_exit(sweep, mm);
}

void scenario_abandon(struct sweep *sweep)
{
	struct model_file *file = model_open(sweep, 1, 40, 7);
	struct model_file *other = model_open(sweep, 2, 8, 8);
	struct model_file *object = model_memfd(sweep, 40);
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *region = model_map(sweep, mm, 60, RW, ANON, NULL, 0);
	struct region *mapped = model_map(sweep, mm, 40, RW, QUIRE_MAP_SHARED, file, 0);
	struct region *shared = model_map(sweep, mm, 40, RW, QUIRE_MAP_SHARED, object, 0);

	for (uint32_t page = 0; page < 60; page++)
		model_fill(sweep, region, page, (uint8_t)page);
	for (uint32_t page = 0; page < 40; page += 2) {
		model_fill(sweep, mapped, page, (uint8_t)(page + 1));
		model_fill(sweep, shared, page, (uint8_t)(page + 2));
	}
	model_fork(sweep, mm, "child");
	for (uint32_t page = 0; page < 60; page += 3)
		model_fill(sweep, region, page, (uint8_t)(page + 100));
	model_write(sweep, other, 100, 5 * PAGE_SIZE, 0x44);
	quire_reclaim(sweep->quire, NULL, 30);
	model_close(sweep, other);
}
