/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of the failure sweep: private and shared anonymous memory, remapping, advice, fork.
 */
#include "sweep.h"

#include <errno.h>
#include <string.h>

#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

static uint64_t page_at(const struct region *region, uint32_t page)
{
	return region->address + page * PAGE_SIZE;
}

static void protect(struct sweep *sweep, struct region *region, uint32_t first, uint32_t pages,
		    int prot)
{
	STEP(sweep, MAY_NOMEM,
	     quire_mprotect(region->mm, page_at(region, first), pages * PAGE_SIZE, prot) == 0);
}

static bool try_brk(quire_mm *mm, uint64_t address)
{
	errno = ENOMEM;
	return quire_brk(mm, address) == address;
}

static void move_brk(struct sweep *sweep, quire_mm *mm)
{
	const uint64_t start = quire_brk(mm, 0);
	struct region *heap;

	STEP(sweep, MAY_NOMEM, try_brk(mm, start + 8 * PAGE_SIZE));
	heap = model_region(sweep, mm, PAGE_ALIGN(start), 8);
	for (uint32_t page = 0; page < 8; page++)
		model_fill(sweep, heap, page, (uint8_t)(0x60 + page));
	model_propose(heap, 4, 4, VALUE_ANY);
	STEP(sweep, MAY_NOMEM, try_brk(mm, start + 4 * PAGE_SIZE));
	model_commit(heap);
	STEP(sweep, MAY_NOMEM, try_brk(mm, start + 6 * PAGE_SIZE));
	model_propose(heap, 4, 2, 0);
	model_commit(heap);
	model_read(sweep, heap, 5);
}

static void lock_memory(struct sweep *sweep, quire_mm *mm, struct region *region)
{
	unsigned char resident[SWEEP_PAGES];

	STEP(sweep, MAY_NOMEM | MAY_AGAIN, quire_mlock(mm, page_at(region, 4), 4 * PAGE_SIZE) == 0);
	STEP(sweep, MAY_NOMEM | MAY_AGAIN,
	     quire_mlock2(mm, page_at(region, 9), 2 * PAGE_SIZE, QUIRE_MLOCK_ONFAULT) == 0);
	STEP(sweep, MAY_NOMEM, quire_mincore(mm, page_at(region, 4), 4 * PAGE_SIZE, resident) == 0);
	for (int i = 0; i < 4; i++)
		EXPECT(sweep, resident[i] & 1);
	STEP(sweep, MAY_NOMEM, quire_munlock(mm, page_at(region, 5), PAGE_SIZE) == 0);
	STEP(sweep, MAY_NOMEM | MAY_AGAIN,
	     quire_mlockall(mm, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE) == 0);
	model_map(sweep, mm, 2, RW, ANON, NULL, 0);
	STEP(sweep, MAY_NOMEM, quire_munlockall(mm) == 0);
}

void scenario_anonymous(struct sweep *sweep)
{
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *region = model_map(sweep, mm, 16, RW, ANON, NULL, 0);
	struct region *populated = model_map(sweep, mm, 8, RW, ANON | QUIRE_MAP_POPULATE, NULL, 0);
	struct region *shared =
		model_map(sweep, mm, 8, RW, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL, 0);

	model_read(sweep, region, 3);
	for (uint32_t page = 0; page < 16; page += 3)
		model_fill(sweep, region, page, (uint8_t)(0x10 + page));
	model_fill(sweep, populated, 7, 0x30);
	model_fill(sweep, shared, 2, 0x40);

	protect(sweep, region, 4, 4, QUIRE_PROT_READ);
	protect(sweep, region, 6, 4, QUIRE_PROT_READ | QUIRE_PROT_EXEC);
	model_fill(sweep, region, 12, 0x55);
	protect(sweep, region, 0, 16, RW);
	model_fill(sweep, region, 5, 0x56);
	lock_memory(sweep, mm, region);
	model_unmap(sweep, region, 6, 3);
	model_unmap(sweep, populated, 0, 2);
	move_brk(sweep, mm);

	region = model_map(sweep, mm, 4, RW, ANON | QUIRE_MAP_NORESERVE | QUIRE_MAP_STACK, NULL, 0);
	model_fill(sweep, region, 0, 0x70);
	region = model_map(sweep, mm, 4, RW, ANON | QUIRE_MAP_LOCKED, NULL, 0);
	model_fill(sweep, region, 3, 0x71);
	model_map(sweep, mm, 4, RW, ANON | QUIRE_MAP_32BIT, NULL, 0);
	model_exit(sweep, mm);
}

/* Moves or resizes the region; the model follows. */
static void remap(struct sweep *sweep, struct region *region, uint32_t pages, int flags,
		  uint64_t target)
{
	const uint32_t old_pages = region->pages;
	uint64_t address = 0;

	STEP(sweep, MAY_NOMEM,
	     (address = quire_mremap(region->mm, region->address, old_pages * PAGE_SIZE,
				     pages * PAGE_SIZE, flags, target)) != QUIRE_MAP_FAILED);
	region->address = address;
	region->pages = pages;
	for (uint32_t page = old_pages; page < pages; page++)
		region->value[page] = region->other[page] = region->file ? VALUE_FILE : 0;
}

void scenario_remap(struct sweep *sweep)
{
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *region = model_map(sweep, mm, 8, RW, ANON, NULL, 0);
	struct region *wall = model_map(sweep, mm, 8, RW, ANON, NULL, 0);
	struct region *hole = model_map(sweep, mm, 40, QUIRE_PROT_NONE, ANON, NULL, 0);
	struct region *shared =
		model_map(sweep, mm, 8, RW, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL, 0);
	const uint64_t target = hole->address + 4 * PAGE_SIZE;

	for (uint32_t page = 0; page < 8; page++) {
		model_fill(sweep, region, page, (uint8_t)(0x20 + page));
		model_fill(sweep, wall, page, (uint8_t)(0x30 + page));
		model_fill(sweep, shared, page, (uint8_t)(0x40 + page));
	}
	remap(sweep, region, 24, QUIRE_MREMAP_MAYMOVE, 0);
	model_fill(sweep, region, 20, 0x50);
	remap(sweep, region, 12, 0, 0);
	remap(sweep, region, 12, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, target);
	model_fill(sweep, region, 11, 0x51);
	remap(sweep, region, 14, QUIRE_MREMAP_MAYMOVE, 0);
	model_unmap(sweep, region, 5, 1);

	/* The source stays and is empty, or shows the object. */
	struct region *source = model_region(sweep, mm, wall->address, 8);

	model_propose(source, 0, 8, VALUE_ANY);
	model_commit(source);
	remap(sweep, wall, 8, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP, 0);
	model_propose(source, 0, 8, 0);
	model_commit(source);
	model_fill(sweep, source, 1, 0x61);
	model_fill(sweep, wall, 1, 0x62);

	uint64_t address = 0;
	struct region *twin;

	STEP(sweep, MAY_NOMEM,
	     (address = quire_mremap(mm, shared->address, 0, 8 * PAGE_SIZE, QUIRE_MREMAP_MAYMOVE,
				     0)) != QUIRE_MAP_FAILED);
	twin = model_region(sweep, mm, address, 8);
	twin->shared = true;
	twin->file = shared->file;
	model_propose(twin, 0, 8, VALUE_FILE);
	model_commit(twin);
	model_fill(sweep, twin, 3, 0x70);
	model_read(sweep, shared, 3);
	remap(sweep, shared, 4, 0, 0);
	remap(sweep, shared, 8, QUIRE_MREMAP_MAYMOVE, 0);
	model_read(sweep, shared, 7);
	model_exit(sweep, mm);
}

static void advise(struct sweep *sweep, struct region *region, uint32_t first, uint32_t pages,
		   int advice)
{
	STEP(sweep, MAY_NOMEM | MAY_FAULT | MAY_AGAIN,
	     quire_madvise(region->mm, page_at(region, first), pages * PAGE_SIZE, advice) == 0);
}

static void discard(struct sweep *sweep, struct region *region, uint32_t first, uint32_t pages,
		    int advice, uint16_t value)
{
	model_propose(region, first, pages, value);
	advise(sweep, region, first, pages, advice);
	model_commit(region);
}

static void advise_guards(struct sweep *sweep, struct region *region)
{
	discard(sweep, region, 8, 3, QUIRE_MADV_GUARD_INSTALL, VALUE_GUARD);
	discard(sweep, region, 30, 2, QUIRE_MADV_GUARD_INSTALL, VALUE_GUARD);
	protect(sweep, region, 8, 1, QUIRE_PROT_READ);
	discard(sweep, region, 9, 2, QUIRE_MADV_GUARD_REMOVE, 0);
	model_fill(sweep, region, 9, 0x66);
}

void scenario_advice(struct sweep *sweep)
{
	static const int hints[] = {QUIRE_MADV_RANDOM,   QUIRE_MADV_SEQUENTIAL, QUIRE_MADV_NORMAL,
				    QUIRE_MADV_WILLNEED, QUIRE_MADV_COLD,       QUIRE_MADV_PAGEOUT};
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *region = model_map(sweep, mm, 32, RW, ANON, NULL, 0);
	struct region *shared =
		model_map(sweep, mm, 8, RW, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL, 0);

	for (uint32_t page = 0; page < 32; page += 2)
		model_fill(sweep, region, page, (uint8_t)(0x20 + page));
	for (uint32_t page = 0; page < 8; page++)
		model_fill(sweep, shared, page, (uint8_t)(0x50 + page));
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		advise(sweep, region, (uint32_t)(3 * i), 12, hints[i]);
	discard(sweep, region, 2, 3, QUIRE_MADV_DONTNEED, 0);
	advise(sweep, region, 0, 8, QUIRE_MADV_POPULATE_READ);
	advise(sweep, region, 20, 8, QUIRE_MADV_POPULATE_WRITE);
	advise_guards(sweep, region);

	discard(sweep, region, 12, 4, QUIRE_MADV_FREE, VALUE_ANY);
	model_fill(sweep, region, 12, 0x77);
	quire_reclaim(sweep->quire, NULL, 64);
	model_read(sweep, region, 12);
	model_read(sweep, region, 20);

	shared->file->uncertain_from = 2 * PAGE_SIZE;
	STEP(sweep, MAY_NOMEM | MAY_AGAIN,
	     quire_madvise(mm, page_at(shared, 2), 3 * PAGE_SIZE, QUIRE_MADV_REMOVE) == 0);
	shared->file->uncertain_from = UINT64_MAX;
	memset(shared->file->bytes + 2 * PAGE_SIZE, 0, 3 * PAGE_SIZE);
	model_read(sweep, shared, 3);
	model_fill(sweep, shared, 3, 0x78);
	model_exit(sweep, mm);
}

void scenario_fork(struct sweep *sweep)
{
	quire_mm *mm = model_mm(sweep, "main", NULL);
	struct region *region = model_map(sweep, mm, 16, RW, ANON, NULL, 0);
	struct region *shared =
		model_map(sweep, mm, 4, RW, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL, 0);
	struct region *wiped = model_map(sweep, mm, 4, RW, ANON, NULL, 0);
	struct region *kept = model_map(sweep, mm, 4, RW, ANON, NULL, 0);
	quire_mm *child, *grandchild;

	for (uint32_t page = 0; page < 12; page++)
		model_fill(sweep, region, page, (uint8_t)(0x10 + page));
	model_fill(sweep, shared, 0, 0x30);
	model_fill(sweep, wiped, 0, 0x31);
	model_fill(sweep, kept, 0, 0x32);
	STEP(sweep, MAY_NOMEM | MAY_AGAIN,
	     quire_madvise(mm, wiped->address, 4 * PAGE_SIZE, QUIRE_MADV_WIPEONFORK) == 0);
	wiped->wiped = true;
	STEP(sweep, MAY_NOMEM | MAY_AGAIN,
	     quire_madvise(mm, kept->address, 4 * PAGE_SIZE, QUIRE_MADV_DONTFORK) == 0);
	kept->not_copied = true;

	child = model_fork(sweep, mm, "child");
	model_fill(sweep, region, 1, 0x41);
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++) {
		struct region *copy = &sweep->regions[i];

		if (!copy->live || copy->mm != child)
			continue;
		model_fill(sweep, copy, 2, (uint8_t)(0x50 + i));
		model_read(sweep, copy, 1);
	}
	grandchild = model_fork(sweep, child, "grandchild");
	for (uint32_t i = 0; i < SWEEP_REGIONS; i++) {
		struct region *copy = &sweep->regions[i];

		if (copy->live && copy->mm == grandchild)
			model_fill(sweep, copy, 3, (uint8_t)(0x60 + i));
	}
	protect(sweep, region, 0, 8, QUIRE_PROT_READ);
	model_exit(sweep, child);
	protect(sweep, region, 0, 8, RW);
	model_fill(sweep, region, 3, 0x71);
	model_exit(sweep, mm);
	model_exit(sweep, grandchild);
}
