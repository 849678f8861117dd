/* SPDX-License-Identifier: MIT */
/*
 * Birth and death of an mm_struct.
 */
#include "core/vma/mm.h"

#include "base/alloc.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/vma/internal.h"

#include <errno.h>
#include <stdio.h>

#define STACK_LIMIT_DEFAULT ((uint64_t)8 << 20)
#define MEMLOCK_LIMIT_DEFAULT ((uint64_t)8 << 20)
/* Pages that may be unmapped until somebody looks how many were resident. */
#define HIWATER_SLACK 64

static void mm_init_layout(struct mm_struct *mm)
{
	mm->task_size = TASK_SIZE_MAX;
	arch_pick_mmap_layout(mm);
	mm->start_stack = randomize_stack_top(mm);
	/* An empty program, where a position-independent one would be. */
	mm->start_code = mm->end_code = elf_et_dyn_base(mm);
	mm->start_data = mm->end_data = mm->end_code;
	mm->start_brk = mm->brk = arch_randomize_brk(mm, mm->end_data);
}

static void mm_init_limits(struct mm_struct *mm)
{
	for (int limit = 0; limit < MM_LIMITS; limit++)
		mm->limit[limit] = LIMIT_INFINITY;
	mm->limit[LIMIT_STACK] = STACK_LIMIT_DEFAULT;
	mm->limit[LIMIT_MEMLOCK] = MEMLOCK_LIMIT_DEFAULT;
}

static int mm_init_memcg(struct mm_struct *mm, struct mem_cgroup *memcg)
{
	mm->own_memcg = !memcg;
	if (!memcg)
		return memcg_create(mm->quire, mm->quire->root_memcg, mm->name, NULL, &mm->memcg);
	memcg_get(memcg);
	mm->memcg = memcg;
	return 0;
}

/* Group, counters, page table, machine: what may fail. */
static int mm_init_parts(struct mm_struct *mm, struct mem_cgroup *memcg)
{
	struct quire_machine *machine = mm->quire->machine;
	int error = mm_init_memcg(mm, memcg);

	if (error)
		return error;
	error = stat_init(&mm->rss, MM_RSS_ITEMS);
	if (error)
		goto put_memcg;
	error = pgd_alloc(mm);
	if (error)
		goto destroy_rss;
	error = machine->ops->mm_create(machine, mm->pgd, &mm->machine_context);
	if (error)
		goto free_pgd;
	return 0;

free_pgd:
	pgd_free(mm);
destroy_rss:
	stat_destroy(&mm->rss);
put_memcg:
	memcg_put(mm->memcg);
	return error;
}

int mm_alloc(struct quire *quire, const char *name, struct mem_cgroup *memcg, struct mm_struct **mm)
{
	struct mm_struct *new_mm = quire_zalloc_aligned(64, sizeof(*new_mm));
	int error;

	if (!new_mm)
		return -ENOMEM;
	new_mm->quire = quire;
	snprintf(new_mm->name, sizeof(new_mm->name), "%s", name);
	percpu_rwlock_init(&new_mm->mmap_lock, LOCK_MMAP);
	spin_lock_init(&new_mm->page_table_lock, LOCK_PAGE_TABLE);
	list_init(&new_mm->mmap);
	mm_init_limits(new_mm);
	mm_init_layout(new_mm);
	error = mm_init_parts(new_mm, memcg);
	if (error) {
		quire_free(new_mm);
		return error;
	}
	new_mm->id = atomic_fetch_add(&quire->next_id, 1);
	mutex_lock(&quire->lock);
	list_add_tail(&new_mm->mm_list, &quire->mms);
	mutex_unlock(&quire->lock);
	*mm = new_mm;
	return 0;
}

static uint64_t get_mm_rss(const struct mm_struct *mm)
{
	return stat_read(&mm->rss, MM_FILEPAGES) + stat_read(&mm->rss, MM_ANONPAGES) +
	       stat_read(&mm->rss, MM_SHMEMPAGES);
}

static void note_hiwater_rss(struct mm_struct *mm)
{
	const uint64_t rss = get_mm_rss(mm);
	uint64_t most = atomic_load_explicit(&mm->hiwater_rss, memory_order_relaxed);

	while (rss > most &&
	       !atomic_compare_exchange_weak_explicit(&mm->hiwater_rss, &most, rss,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

void update_hiwater_rss(struct mm_struct *mm, uint64_t pages)
{
	const uint64_t before =
		atomic_fetch_add_explicit(&mm->rss_dropped, pages, memory_order_relaxed);

	if (before + pages < HIWATER_SLACK)
		return;
	atomic_store_explicit(&mm->rss_dropped, 0, memory_order_relaxed);
	note_hiwater_rss(mm);
}

uint64_t mm_hiwater_rss(struct mm_struct *mm)
{
	note_hiwater_rss(mm);
	return atomic_load_explicit(&mm->hiwater_rss, memory_order_relaxed);
}

void mm_reset_hiwater_rss(struct mm_struct *mm)
{
	atomic_store_explicit(&mm->hiwater_rss, get_mm_rss(mm), memory_order_relaxed);
}

void mm_free(struct mm_struct *mm)
{
	struct quire *quire = mm->quire;

	QUIRE_ASSERT(1, !mm->map_count);
	mm_keep_stats(mm);
	mutex_lock(&quire->lock);
	list_del(&mm->mm_list);
	mutex_unlock(&quire->lock);
	mm_wait_revokes(mm);
	quire->machine->ops->mm_destroy(quire->machine, mm->machine_context);
	pgd_free(mm);
	stat_destroy(&mm->rss);
	memcg_put(mm->memcg);
	vma_slab_destroy(mm);
	vma_index_destroy(mm);
	quire_free(mm);
}
