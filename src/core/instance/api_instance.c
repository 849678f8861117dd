/* SPDX-License-Identifier: MIT */
/*
 * The public calls on instances, groups and address spaces (include/quire/quire.h).
 */
#include "core/call/call.h"
#include "core/file/writeback.h"
#include "core/instance/api.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"
#include "core/vma/vma.h"

#include <string.h>

int quire_create(struct quire_machine *machine, const struct quire_params *params,
		 struct quire **quire)
{
	return api_status(instance_create(machine, params, quire));
}

int quire_destroy(struct quire *quire)
{
	return api_status(instance_destroy(quire));
}

int quire_swapon(struct quire *quire, struct quire_store *store, uint64_t bytes)
{
	return api_status(swap_area_add(quire, store, bytes >> PAGE_SHIFT));
}

static uint64_t budget_pages(uint64_t bytes)
{
	return bytes ? bytes >> PAGE_SHIFT : MEMCG_UNLIMITED;
}

int quire_group_create(struct quire *quire, quire_group *parent, const char *name, uint64_t bytes,
		       quire_group **group)
{
	int error = memcg_create(quire, parent ? parent : quire->root_memcg, name, NULL, group);

	/* Nothing is charged to the new group yet, so the budget holds at once. */
	if (!error)
		error = memcg_set_max(*group, budget_pages(bytes));
	return api_status(error);
}

void quire_group_put(quire_group *group)
{
	memcg_put(group);
}

int quire_group_set_budget(quire_group *group, uint64_t bytes)
{
	return api_status(memcg_set_max(group, budget_pages(bytes)));
}

quire_group *quire_root_group(struct quire *quire)
{
	return quire->root_memcg;
}

quire_group *quire_mm_group(quire_mm *mm)
{
	return mm->memcg;
}

/* Every VMA of the range, split at its ends, is charged to `memcg` from now on (NULL: to the mm's
 * group). */
static int set_range_memcg(struct mm_struct *mm, uint64_t start, uint64_t end,
			   struct mem_cgroup *memcg)
{
	while (start < end) {
		struct vm_area_struct *vma = vma_lookup(mm, start);
		uint64_t stop;
		int error;

		if (!vma)
			return -ENOMEM;
		stop = min_u64(vma->vm_end, end);
		error = vma_modify_memcg(vma, start, stop, memcg, &vma);
		if (error)
			return error;
		start = stop;
	}
	return 0;
}

static int set_mapping_budget(struct mm_struct *mm, uint64_t start, uint64_t end, uint64_t bytes)
{
	struct mem_cgroup *memcg = NULL;
	int error = 0;

	if (bytes) {
		error = memcg_create(mm->quire, mm->memcg, "mapping", NULL, &memcg);
		if (error)
			return error;
		error = memcg_set_max(memcg, budget_pages(bytes));
	}
	mmap_write_lock(mm);
	if (!error)
		error = set_range_memcg(mm, start, end, memcg);
	mmap_write_unlock(mm);
	if (memcg)
		memcg_put(memcg);
	return error;
}

int quire_set_mapping_budget(quire_mm *mm, uint64_t address, uint64_t length, uint64_t bytes)
{
	const uint64_t end = address + PAGE_ALIGN(length);

	if (PAGE_OFFSET(address) || !length || end <= address || end > mm->task_size)
		return api_status(-EINVAL);
	return api_status(set_mapping_budget(mm, address, end, bytes));
}

int quire_mm_create(struct quire *quire, const char *name, quire_group *group, quire_mm **mm)
{
	return api_status(mm_alloc(quire, name, group, mm));
}

void quire_mm_exit(quire_mm *mm)
{
	mm_destroy(mm);
}

int quire_fork(quire_mm *mm, const char *name, quire_mm **child)
{
	return api_status(dup_mm(mm, name, child));
}

int quire_setlimit(quire_mm *mm, enum quire_limit limit, uint64_t bytes)
{
	if ((uint32_t)limit >= MM_LIMITS)
		return api_status(-EINVAL);
	mmap_write_lock(mm);
	mm->limit[limit] = bytes;
	mmap_write_unlock(mm);
	return 0;
}

uint64_t quire_getlimit(quire_mm *mm, enum quire_limit limit)
{
	uint64_t bytes;

	if ((uint32_t)limit >= MM_LIMITS)
		return 0;
	mmap_read_lock(mm);
	bytes = mm->limit[limit];
	mmap_read_unlock(mm);
	return bytes;
}

void quire_set_privileged(quire_mm *mm, bool privileged)
{
	mmap_write_lock(mm);
	mm->may_lock = privileged;
	mmap_write_unlock(mm);
}

uint64_t quire_balance(struct quire *quire)
{
	return balance_instance(quire);
}

uint64_t quire_reclaim(struct quire *quire, quire_group *group, uint64_t pages)
{
	lru_add_drain_all(quire);
	return try_to_free_pages(group ? group : quire->root_memcg, pages);
}

int quire_writeback(struct quire *quire)
{
	struct writeback_control control = {
		.end = UINT64_MAX,
		.nr_to_write = UINT64_MAX,
		.sync = true,
	};

	return api_status(writeback_instance(quire, &control));
}
