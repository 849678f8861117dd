/* SPDX-License-Identifier: MIT */
/*
 * What a worker of the stress test does: operations chosen by its own generator, each followed by a
 * comparison with what the worker knows.
 */
#include "stress.h"

#include "../outcome.h"

#include <errno.h>
#include <string.h>

#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)

static uint32_t below(struct worker *worker, uint32_t n)
{
	return (uint32_t)prng_below(&worker->prng, n);
}

static bool all_bytes(const uint8_t *bytes, uint8_t byte)
{
	return bytes[0] == byte && !memcmp(bytes, bytes + 1, PAGE_SIZE - 1);
}

static uint64_t page_at(const struct stress_region *region, uint32_t page)
{
	return region->address + page * PAGE_SIZE;
}

static void expect_page(struct worker *worker, uint64_t address, const uint8_t *bytes, uint16_t tag)
{
	if (tag != TAG_UNKNOWN && !all_bytes(bytes, (uint8_t)tag))
		stress_die(worker, "the page at %#llx holds %#x ... %#x instead of %#x",
			   (unsigned long long)address, bytes[0], bytes[PAGE_SIZE - 1], tag);
}

/* Whether an access was done; if not, errno says why. */
static bool accessed(struct worker *worker, int error, const struct soft_outcome *outcome)
{
	if (!error)
		return true;
	errno = outcome_error(outcome);
	if (!errno)
		stress_die(worker, "signal %d for an access at %#llx", (int)outcome->signal,
			   (unsigned long long)outcome->address);
	return false;
}

static void load_page(struct worker *worker, uint64_t address, uint16_t tag)
{
	struct soft_outcome outcome = {0};
	uint8_t bytes[PAGE_SIZE];

	STRESS_CALL(worker,
		    accessed(worker, soft_load(worker->cpu, address, bytes, PAGE_SIZE, &outcome),
			     &outcome));
	expect_page(worker, address, bytes, tag);
}

static void fill_page(struct worker *worker, uint64_t address, uint8_t tag)
{
	struct soft_outcome outcome = {0};

	STRESS_CALL(worker,
		    accessed(worker, soft_fill(worker->cpu, address, PAGE_SIZE, tag, &outcome),
			     &outcome));
}

/* Own regions. */

static struct stress_region *some_region(struct worker *worker)
{
	return &worker->regions[below(worker, STRESS_REGIONS)];
}

static void map_region(struct worker *worker, struct stress_region *region)
{
	int flags = QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS;

	if (!below(worker, 8))
		flags |= QUIRE_MAP_POPULATE;
	memset(region, 0, sizeof(*region));
	region->pages = 1 + below(worker, STRESS_REGION_PAGES);
	STRESS_CALL(worker, (region->address = quire_mmap(worker->mm, 0, region->pages * PAGE_SIZE,
							  RW, flags, NULL, 0)) != QUIRE_MAP_FAILED);
}

static void unmap_region(struct worker *worker, struct stress_region *region)
{
	STRESS_CALL(worker, !quire_munmap(worker->mm, region->address, region->pages * PAGE_SIZE));
	region->address = 0;
}

static void verify_region(struct worker *worker, const struct stress_region *region)
{
	for (uint32_t page = 0; region->address && page < region->pages; page++)
		load_page(worker, page_at(region, page), region->tag[page]);
}

static void op_fill(struct worker *worker)
{
	struct stress_region *region = some_region(worker);
	uint32_t page = below(worker, region->pages);

	if (region->read_only)
		return;
	region->tag[page] = (uint8_t)prng_next(&worker->prng);
	fill_page(worker, page_at(region, page), (uint8_t)region->tag[page]);
}

static void op_load(struct worker *worker)
{
	struct stress_region *region = some_region(worker);
	uint32_t page = below(worker, region->pages);

	load_page(worker, page_at(region, page), region->tag[page]);
}

static void op_verify(struct worker *worker)
{
	verify_region(worker, some_region(worker));
}

static void op_map(struct worker *worker)
{
	struct stress_region *region = some_region(worker);

	unmap_region(worker, region);
	map_region(worker, region);
}

static void op_protect(struct worker *worker)
{
	struct stress_region *region = some_region(worker);
	struct soft_outcome outcome = {0};
	uint8_t byte = 1;

	region->read_only = !region->read_only;
	STRESS_CALL(worker, !quire_mprotect(worker->mm, region->address, region->pages * PAGE_SIZE,
					    region->read_only ? QUIRE_PROT_READ : RW));
	if (!region->read_only)
		return;
	STRESS_EXPECT(worker,
		      soft_store(worker->cpu, region->address, &byte, 1, &outcome) == -EFAULT);
	STRESS_EXPECT(worker, outcome.signal == QUIRE_SEGV_ACCERR);
}

static void op_protect_middle(struct worker *worker)
{
	struct stress_region *region = some_region(worker);
	uint32_t first = below(worker, region->pages);

	if (region->read_only)
		return;
	STRESS_CALL(worker, !quire_mprotect(worker->mm, page_at(region, first), PAGE_SIZE,
					    QUIRE_PROT_NONE));
	STRESS_CALL(worker, !quire_mprotect(worker->mm, page_at(region, first), PAGE_SIZE, RW));
	load_page(worker, page_at(region, first), region->tag[first]);
}

/*
 * Regions that lie side by side are one VMA. When one worker has taken the permissions of a page in
 * the middle, faults of others can give the two sides different anon_vmas; then they stay two, and
 * mremap does not resize what is of two VMAs.
 */
static void op_remap(struct worker *worker)
{
	struct stress_region *region = some_region(worker);
	uint32_t pages = 1 + below(worker, STRESS_REGION_PAGES);
	uint64_t address = 0;

	STRESS_CALL(worker, (address = quire_mremap(worker->mm, region->address,
						    region->pages * PAGE_SIZE, pages * PAGE_SIZE,
						    QUIRE_MREMAP_MAYMOVE, 0)) != QUIRE_MAP_FAILED ||
				    errno == EFAULT);
	if (address == QUIRE_MAP_FAILED) {
		verify_region(worker, region);
		return;
	}
	for (uint32_t page = region->pages; page < pages; page++)
		region->tag[page] = 0;
	region->address = address;
	region->pages = pages;
	load_page(worker, page_at(region, pages - 1), region->tag[pages - 1]);
}

static void op_advise(struct worker *worker)
{
	static const int advices[] = {QUIRE_MADV_DONTNEED, QUIRE_MADV_FREE, QUIRE_MADV_COLD,
				      QUIRE_MADV_PAGEOUT, QUIRE_MADV_POPULATE_READ};
	struct stress_region *region = some_region(worker);
	int advice = advices[below(worker, ARRAY_SIZE(advices))];
	uint32_t first = below(worker, region->pages);
	uint32_t pages = 1 + below(worker, region->pages - first);

	STRESS_CALL(worker,
		    !quire_madvise(worker->mm, page_at(region, first), pages * PAGE_SIZE, advice));
	for (uint32_t page = first; page < first + pages; page++) {
		if (advice == QUIRE_MADV_DONTNEED)
			region->tag[page] = 0;
		else if (advice == QUIRE_MADV_FREE && region->tag[page])
			region->tag[page] = TAG_UNKNOWN;
	}
}

static void op_lock(struct worker *worker)
{
	struct stress_region *region = some_region(worker);
	uint32_t first = below(worker, region->pages);

	STRESS_CALL(worker, !quire_mlock(worker->mm, page_at(region, first), PAGE_SIZE));
	load_page(worker, page_at(region, first), region->tag[first]);
	STRESS_CALL(worker, !quire_munlock(worker->mm, page_at(region, first), PAGE_SIZE));
}

/* Fork: the child's copy of an own region does not follow what the worker does afterwards. */

static void reap_child(struct worker *worker)
{
	const struct stress_region *region = &worker->child_region;

	for (uint32_t page = 0; page < region->pages; page++) {
		uint8_t bytes[PAGE_SIZE];

		STRESS_CALL(worker, quire_read_memory(worker->child, page_at(region, page), bytes,
						      PAGE_SIZE) == (int64_t)PAGE_SIZE);
		expect_page(worker, page_at(region, page), bytes, region->tag[page]);
	}
	quire_mm_exit(worker->child);
	worker->child = NULL;
}

static void op_fork(struct worker *worker)
{
	const struct stress_region *region = some_region(worker);
	uint8_t bytes[PAGE_SIZE];

	if (worker->child) {
		reap_child(worker);
		return;
	}
	STRESS_CALL(worker, !quire_fork(worker->mm, "child", &worker->child));
	worker->child_region = *region;
	if (region->read_only)
		return;
	memset(bytes, 0xf0, sizeof(bytes));
	STRESS_CALL(worker, quire_write_memory(worker->child, region->address, bytes, PAGE_SIZE) ==
				    (int64_t)PAGE_SIZE);
	worker->child_region.tag[0] = 0xf0;
	load_page(worker, region->address, region->tag[0]);
}

/* Shared memory and files. */

static void increment(struct worker *worker, uint64_t counters)
{
	struct soft_outcome outcome = {0};
	uint64_t one = 1;
	uint64_t address = counters + below(worker, STRESS_COUNTERS) * sizeof(uint64_t);

	STRESS_CALL(worker,
		    accessed(worker,
			     soft_fetch_add(worker->cpu, address, sizeof(one), &one, &outcome),
			     &outcome));
}

static void op_count(struct worker *worker)
{
	uint32_t kind = below(worker, STRESS_COUNTER_KINDS);

	increment(worker, worker->stress->counters[kind]);
	worker->increments[kind]++;
}

/* The same page of the file through a mapping that is there for a moment only. */
static void op_count_passing(struct worker *worker)
{
	uint64_t address = 0;

	STRESS_CALL(worker,
		    (address = quire_mmap(worker->mm, 0, PAGE_SIZE, RW, QUIRE_MAP_SHARED,
					  worker->stress->file, STRESS_FILE_PAGES * PAGE_SIZE)) !=
			    QUIRE_MAP_FAILED);
	for (int i = 0; i < 4; i++)
		increment(worker, address);
	worker->increments[COUNTERS_FILE] += 4;
	STRESS_CALL(worker, !quire_munmap(worker->mm, address, PAGE_SIZE));
}

/* Takes the counters' pages away from those who count. */
static void op_evict_counters(struct worker *worker)
{
	uint64_t address = worker->stress->counters[below(worker, STRESS_COUNTER_KINDS)];

	STRESS_CALL(worker, !quire_madvise(worker->mm, address, PAGE_SIZE, QUIRE_MADV_PAGEOUT));
}

static uint32_t own_file_page(struct worker *worker)
{
	const uint32_t threads = worker->stress->threads;

	return below(worker, STRESS_FILE_PAGES / threads) * threads + worker->number;
}

static void op_file_store(struct worker *worker)
{
	uint32_t page = own_file_page(worker);

	worker->file_tag[page] = (uint8_t)prng_next(&worker->prng);
	fill_page(worker, worker->stress->file_map + page * PAGE_SIZE, worker->file_tag[page]);
}

static void op_file_write(struct worker *worker)
{
	uint32_t page = own_file_page(worker);
	uint8_t bytes[PAGE_SIZE];

	worker->file_tag[page] = (uint8_t)prng_next(&worker->prng);
	memset(bytes, worker->file_tag[page], sizeof(bytes));
	STRESS_CALL(worker, quire_pwrite(worker->stress->file, quire_mm_group(worker->mm), bytes,
					 PAGE_SIZE, page * PAGE_SIZE) == (int64_t)PAGE_SIZE);
	load_page(worker, worker->stress->file_map + page * PAGE_SIZE, worker->file_tag[page]);
}

static void op_file_read(struct worker *worker)
{
	uint32_t page = own_file_page(worker);
	uint8_t bytes[PAGE_SIZE];

	STRESS_CALL(worker, quire_pread(worker->stress->file, quire_mm_group(worker->mm), bytes,
					PAGE_SIZE, page * PAGE_SIZE) == (int64_t)PAGE_SIZE);
	expect_page(worker, page * PAGE_SIZE, bytes, worker->file_tag[page]);
	load_page(worker, worker->stress->file_map + page * PAGE_SIZE, worker->file_tag[page]);
}

static void op_file_sync(struct worker *worker)
{
	if (below(worker, 2))
		STRESS_CALL(worker, !quire_fsync(worker->stress->file));
	else
		STRESS_CALL(worker, !quire_msync(worker->mm, worker->stress->file_map,
						 STRESS_FILE_PAGES * PAGE_SIZE, QUIRE_MS_SYNC));
}

/* A private mapping of the shared file: own pages that were written stay as they are. */
static void op_file_private(struct worker *worker)
{
	uint32_t page = own_file_page(worker);
	uint64_t address = 0;

	STRESS_CALL(worker,
		    (address = quire_mmap(worker->mm, 0, PAGE_SIZE, RW, QUIRE_MAP_PRIVATE,
					  worker->stress->file, (int64_t)(page * PAGE_SIZE))) !=
			    QUIRE_MAP_FAILED);
	if (below(worker, 2))
		load_page(worker, address, worker->file_tag[page]);
	fill_page(worker, address, 0x99);
	load_page(worker, worker->stress->file_map + page * PAGE_SIZE, worker->file_tag[page]);
	load_page(worker, address, 0x99);
	STRESS_CALL(worker, !quire_munmap(worker->mm, address, PAGE_SIZE));
}

/* Every byte is zero or 0xcc. */
static void expect_either(struct worker *worker, const uint8_t *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		STRESS_EXPECT(worker, bytes[i] == 0 || bytes[i] == 0xcc);
}

/* A page that others cut off at any time: its contents, or SIGBUS. */
static void op_cut_access(struct worker *worker)
{
	uint64_t map = below(worker, 2) ? worker->stress->cut_map : worker->stress->memory_map;
	uint64_t address = map + below(worker, STRESS_CUT_PAGES) * PAGE_SIZE;
	struct soft_outcome outcome = {0};
	uint8_t bytes[PAGE_SIZE];
	int error;

	if (below(worker, 2)) {
		error = soft_fill(worker->cpu, address, PAGE_SIZE, 0xcc, &outcome);
	} else {
		error = soft_load(worker->cpu, address, bytes, PAGE_SIZE, &outcome);
		if (!error)
			expect_either(worker, bytes, PAGE_SIZE);
	}
	/* Cut off; or, as anywhere, no memory. */
	if (error && outcome.signal != QUIRE_BUS_ADRERR && !accessed(worker, error, &outcome))
		stress_failed(worker, "an access");
}

static void op_cut(struct worker *worker)
{
	quire_file *file = below(worker, 2) ? worker->stress->cut : worker->stress->memory;
	uint64_t offset = below(worker, STRESS_CUT_PAGES) * PAGE_SIZE + below(worker, PAGE_SIZE);
	uint8_t bytes[PAGE_SIZE];
	int64_t done = 0;

	switch (below(worker, 4)) {
	case 0:
		STRESS_CALL(worker, !quire_ftruncate(file, offset));
		break;
	case 1:
		STRESS_CALL(worker, !quire_ftruncate(file, STRESS_CUT_PAGES * PAGE_SIZE));
		break;
	case 2:
		STRESS_CALL(worker, !quire_punch_hole(file, offset, 3 * PAGE_SIZE));
		break;
	default:
		STRESS_CALL(worker, (done = quire_pread(file, quire_mm_group(worker->mm), bytes,
							PAGE_SIZE, offset)) >= 0);
		expect_either(worker, bytes, (uint64_t)done);
	}
}

static void op_reclaim(struct worker *worker)
{
	switch (below(worker, 4)) {
	case 0:
		quire_balance(worker->stress->quire);
		break;
	case 1:
		STRESS_CALL(worker, !quire_writeback(worker->stress->quire));
		break;
	default:
		quire_reclaim(worker->stress->quire, NULL, below(worker, 200));
	}
}

/* One of the next calls of a kind fails, wherever it is made; or all from it on, until somebody
 * has failed. */
static void op_inject(struct worker *worker)
{
	if (worker->stress->failures)
		quire_fail_arm((enum fail_site)below(worker, FAIL_SITES), 1 + below(worker, 200),
			       !below(worker, 4));
}

static const struct {
	void (*run)(struct worker *worker);
	uint32_t weight;
} operations[] = {
	{op_fill, 30},          {op_load, 20},          {op_verify, 4},      {op_map, 4},
	{op_protect, 4},        {op_protect_middle, 4}, {op_remap, 4},       {op_advise, 6},
	{op_lock, 2},           {op_fork, 4},           {op_count, 20},      {op_count_passing, 4},
	{op_evict_counters, 2}, {op_file_store, 10},    {op_file_write, 4},  {op_file_read, 6},
	{op_file_sync, 2},      {op_file_private, 4},   {op_cut_access, 10}, {op_cut, 3},
	{op_reclaim, 3},        {op_inject, 6},
};

static void run_some(struct worker *worker)
{
	uint32_t total = 0, choice;

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		total += operations[i].weight;
	choice = below(worker, total);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (choice < operations[i].weight) {
			operations[i].run(worker);
			return;
		}
		choice -= operations[i].weight;
	}
}

void worker_run(struct worker *worker)
{
	STRESS_CALL(worker,
		    (errno = ENOMEM, !soft_cpu_create(worker->stress->machine, &worker->cpu)));
	soft_cpu_switch(worker->cpu, worker->mm);
	for (uint32_t i = 0; i < STRESS_REGIONS; i++)
		map_region(worker, &worker->regions[i]);
	for (; worker->operation < worker->stress->operations; worker->operation++)
		run_some(worker);
	/* Nobody injects any more. */
	pthread_barrier_wait(&worker->stress->barrier);
	quire_fail_disarm();
	if (worker->child)
		reap_child(worker);
	for (uint32_t i = 0; i < STRESS_REGIONS; i++) {
		verify_region(worker, &worker->regions[i]);
		unmap_region(worker, &worker->regions[i]);
	}
	for (uint32_t page = worker->number; page < STRESS_FILE_PAGES;
	     page += worker->stress->threads)
		load_page(worker, worker->stress->file_map + page * PAGE_SIZE,
			  worker->file_tag[page]);
	soft_cpu_destroy(worker->cpu);
}
