/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of the failure sweep: more memory in use than there are frames, budgets, swap shared by
 * forks.
 */
#include "sweep.h"

#include <errno.h>

#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

static void fill_all(struct sweep *sweep, struct region *region, uint8_t tag)
{
	for (uint32_t page = 0; page < region->pages; page++)
		model_fill(sweep, region, page, (uint8_t)(tag + page));
}

static void read_all(struct sweep *sweep, struct region *region)
{
	for (uint32_t page = 0; page < region->pages; page++)
		model_read(sweep, region, page);
}

void scenario_swap(struct sweep *sweep)
{
	struct model_file *file = model_open(sweep, 1, 32, 1);
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *regions[4];
	struct region *mapped = model_map(sweep, mm, 32, RW, QUIRE_MAP_SHARED, file, 0);
	struct region *locked = model_map(sweep, mm, 4, RW, ANON, NULL, 0);

	fill_all(sweep, locked, 0xe0);
	STEP(sweep, MAY_NOMEM | MAY_FAULT | MAY_AGAIN,
	     quire_mlock(mm, locked->address, locked->pages * PAGE_SIZE) == 0);
	for (uint32_t i = 0; i < 4; i++) {
		regions[i] =
			model_map(sweep, mm, 60, RW,
				  i == 3 ? QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS : ANON, NULL, 0);
		fill_all(sweep, regions[i], (uint8_t)(i * 50));
		fill_all(sweep, mapped, (uint8_t)(i * 30));
	}
	for (uint32_t i = 0; i < 4; i++)
		read_all(sweep, regions[i]);
	quire_balance(sweep->quire);
	STEP(sweep, MAY_NOMEM,
	     quire_mprotect(mm, regions[1]->address, 30 * PAGE_SIZE, QUIRE_PROT_READ) == 0);
	STEP(sweep, MAY_NOMEM | MAY_AGAIN,
	     quire_madvise(mm, regions[2]->address, 60 * PAGE_SIZE, QUIRE_MADV_PAGEOUT) == 0);
	read_all(sweep, regions[2]);
	model_unmap(sweep, regions[0], 10, 20);
	STEP(sweep, MAY_NOMEM | MAY_IO, quire_fsync(file->file) == 0);
	read_all(sweep, mapped);
	read_all(sweep, locked);
	model_exit(sweep, mm);
}

/* The first region of the mm. */
static struct region *region_of(struct sweep *sweep, quire_mm *mm)
{
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++)
		if (sweep->regions[i].live && sweep->regions[i].mm == mm)
			return &sweep->regions[i];
	sweep_die(sweep, "the mm has no region");
}

void scenario_swap_fork(struct sweep *sweep)
{
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *region = model_map(sweep, mm, 48, RW, ANON, NULL, 0);
	struct region *copy;
	quire_mm *child, *grandchild;

	fill_all(sweep, region, 1);
	quire_reclaim(sweep->quire, NULL, 24);
	child = model_fork(sweep, mm, "child");
	copy = region_of(sweep, child);
	quire_reclaim(sweep->quire, NULL, 48);
	for (uint32_t page = 0; page < 48; page += 4) {
		model_read(sweep, region, page);
		model_fill(sweep, copy, page + 1, (uint8_t)(0x80 + page));
		model_fill(sweep, region, page + 2, (uint8_t)(0x81 + page));
	}
	grandchild = model_fork(sweep, child, "grandchild");
	quire_reclaim(sweep->quire, NULL, 200);
	read_all(sweep, region_of(sweep, grandchild));
	STEP(sweep, MAY_NOMEM,
	     quire_mremap(mm, region->address, 48 * PAGE_SIZE, 40 * PAGE_SIZE, 0, 0) ==
		     region->address);
	region->pages = 40;
	model_exit(sweep, child);
	quire_reclaim(sweep->quire, NULL, 200);
	fill_all(sweep, region_of(sweep, grandchild), 0x33);
	read_all(sweep, region);
	model_exit(sweep, grandchild);
	model_exit(sweep, mm);
}

static bool set_budget(quire_group *group, uint64_t pages)
{
	/* EBUSY: the budget holds, though more is in use than could be evicted. */
	return !quire_group_set_budget(group, pages * PAGE_SIZE) || errno == EBUSY;
}

void scenario_groups(struct sweep *sweep)
{
	struct model_file *file = model_open(sweep, 1, 16, 5);
	quire_group *outer = NULL, *inner = NULL;
	struct region *region, *mapped;
	quire_mm *mm;

	STEP(sweep, MAY_NOMEM,
	     quire_group_create(sweep->quire, NULL, "outer", 100 * PAGE_SIZE, &outer) == 0);
	STEP(sweep, MAY_NOMEM, quire_group_create(sweep->quire, outer, "inner", 0, &inner) == 0);
	mm = model_mm(sweep, "main", inner);
	region = model_map(sweep, mm, 60, RW, ANON, NULL, 0);
	mapped = model_map(sweep, mm, 16, RW, QUIRE_MAP_SHARED, file, 0);
	fill_all(sweep, region, 1);
	fill_all(sweep, mapped, 0x70);
	STEP(sweep, MAY_NOMEM, set_budget(inner, 40));
	read_all(sweep, region);
	read_all(sweep, mapped);
	STEP(sweep, MAY_NOMEM,
	     quire_set_mapping_budget(mm, region->address + 8 * PAGE_SIZE, 32 * PAGE_SIZE,
				      12 * PAGE_SIZE) == 0);
	fill_all(sweep, region, 0x20);
	read_all(sweep, region);
	model_fork(sweep, mm, "child");
	fill_all(sweep, region, 0x40);
	STEP(sweep, MAY_NOMEM,
	     quire_set_mapping_budget(mm, region->address, 60 * PAGE_SIZE, 0) == 0);
	STEP(sweep, MAY_NOMEM, set_budget(outer, 30));
	read_all(sweep, region);
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++)
		if (sweep->regions[i].live && sweep->regions[i].mm != mm)
			model_exit(sweep, sweep->regions[i].mm);
	quire_group_put(inner);
	model_exit(sweep, mm);
	quire_group_put(outer);
}
