/* SPDX-License-Identifier: MIT */
/*
 * Out of memory: the verdict.
 */
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"
#include "core/vma/mm.h"

#include <string.h>

/* The caller may hold a lock inside that of the instance, so the list of mms can only be tried. */
#define OOM_LOCK_TRIES 1000

static uint64_t mm_resident(const struct mm_struct *mm)
{
	return stat_read(&mm->rss, MM_FILEPAGES) + stat_read(&mm->rss, MM_ANONPAGES) +
	       stat_read(&mm->rss, MM_SHMEMPAGES);
}

/* An mm is concerned when its group is within the one over budget; for the budget of one mapping,
 * when it has that mapping's group below its own. */
static bool oom_concerns(const struct mm_struct *mm, const struct mem_cgroup *group)
{
	return memcg_is_descendant(mm->memcg, group) ||
	       (group->parent && mm->memcg->parent && memcg_is_descendant(group, mm->memcg));
}

/* The largest; of equals the oldest. Under the instance's lock. */
static struct mm_struct *oom_pick(struct quire *quire, const struct mem_cgroup *group,
				  uint64_t *resident)
{
	struct mm_struct *mm, *victim = NULL;

	list_for_each_entry (mm, &quire->mms, mm_list) {
		uint64_t pages;

		if (atomic_load_explicit(&mm->oom_killed, memory_order_relaxed) ||
		    !oom_concerns(mm, group))
			continue;
		pages = mm_resident(mm);
		if (victim && (pages < *resident || (pages == *resident && mm->id > victim->id)))
			continue;
		victim = mm;
		*resident = pages;
	}
	return victim;
}

static bool lock_instance(struct quire *quire)
{
	for (uint32_t tries = 0; tries < OOM_LOCK_TRIES; tries++) {
		if (mutex_trylock(&quire->lock))
			return true;
		quire_relax(tries);
	}
	return false;
}

struct mm_struct *out_of_memory(struct quire *quire, struct mem_cgroup *memcg)
{
	const struct quire_events *events = &quire->params.events;
	struct mem_cgroup *group = memcg_over_budget(memcg ? memcg : quire->root_memcg, 1);
	char name[sizeof(((struct mm_struct *)0)->name)];
	struct mm_struct *victim;
	uint64_t resident = 0;

	if (!group)
		group = quire->root_memcg;
	if (!lock_instance(quire))
		return NULL;
	victim = oom_pick(quire, group, &resident);
	if (victim) {
		atomic_store_explicit(&victim->oom_killed, true, memory_order_relaxed);
		memcpy(name, victim->name, sizeof(name));
	}
	mutex_unlock(&quire->lock);
	if (!victim)
		return NULL;

	count_event(quire, EVENT_OOM, 1);
	if (events->oom)
		events->oom(events->context, name, resident, group->name,
			    atomic_load_explicit(&group->max, memory_order_relaxed));
	return victim;
}
