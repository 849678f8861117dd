/* SPDX-License-Identifier: MIT */
/*
 * Life of an instance: creation in the order of dependence, destruction in the reverse one.
 */
#include "core/instance/instance.h"

#include "base/alloc.h"
#include "core/file/address_space.h"
#include "core/file/writeback.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/mm.h"

#include <errno.h>

#define MIB ((uint64_t)1 << 20)
#define MEMORY_MIN MIB
#define MEMORY_DEFAULT (64 * MIB)
#define SECTION_UNIT (2 * MIB)
#define SECTION_DEFAULT (128 * MIB)
#define FAULT_AROUND_DEFAULT 65536
#define ANON_FAULT_AROUND_MAX (2 * MIB)
#define READAHEAD_DEFAULT 131072
#define SWAPPINESS_DEFAULT 60
#define SWAPPINESS_MAX 200
#define OVERCOMMIT_RATIO_DEFAULT 50

static uint32_t with_default(uint32_t value, uint32_t standard)
{
	return value ? value : standard;
}

/* UINT32_MAX stands for "none" where zero stands for the default. */
static uint32_t with_default_or_none(uint32_t value, uint32_t standard)
{
	return value == UINT32_MAX ? 0 : with_default(value, standard);
}

static bool fault_around_sane(uint32_t bytes)
{
	return bytes >= PAGE_SIZE && !(bytes & (bytes - 1));
}

static int fill_params(const struct quire_params *given, struct quire_params *params)
{
	if (given->size != sizeof(*given))
		return -EINVAL;
	*params = *given;
	params->memory = PAGE_ALIGN_DOWN(given->memory ? given->memory : MEMORY_DEFAULT);
	params->section = given->section ? given->section : SECTION_DEFAULT;
	params->policy = given->policy ? given->policy : policy_two_list.name;
	params->overcommit_ratio = with_default(given->overcommit_ratio, OVERCOMMIT_RATIO_DEFAULT);
	params->max_map_count = with_default(given->max_map_count, MAX_MAP_COUNT_DEFAULT);
	params->fault_around = with_default(given->fault_around, FAULT_AROUND_DEFAULT);
	params->anon_fault_around = with_default(given->anon_fault_around, PAGE_SIZE);
	params->readahead = with_default_or_none(given->readahead, READAHEAD_DEFAULT);
	params->swappiness = with_default_or_none(given->swappiness, SWAPPINESS_DEFAULT);

	if (params->memory < MEMORY_MIN || params->section % SECTION_UNIT ||
	    params->overcommit > QUIRE_OVERCOMMIT_NEVER || params->swappiness > SWAPPINESS_MAX ||
	    !fault_around_sane(params->fault_around) ||
	    !fault_around_sane(params->anon_fault_around) ||
	    params->anon_fault_around > ANON_FAULT_AROUND_MAX ||
	    !reclaim_policy_find(params->policy))
		return -EINVAL;
	return 0;
}

static int init_zero_page(struct quire *quire)
{
	quire->zero_page = zone_alloc(&quire->zone, 0, GFP_ZERO);
	if (!quire->zero_page)
		return -ENOMEM;
	page_set(quire->zero_page, PG_reserved);
	page_set(quire->zero_page, PG_uptodate);
	return 0;
}

static void free_zero_page(struct quire *quire)
{
	page_clear(quire->zero_page, PG_reserved);
	put_page(quire, quire->zero_page);
}

static int online_section(void *context, pfn_t first, uint64_t count)
{
	struct quire_machine *machine = ((struct quire *)context)->machine;

	return machine->ops->arena_online(machine, first << PAGE_SHIFT, count << PAGE_SHIFT);
}

static int init_zone(struct quire *quire, void *base)
{
	const struct zone_memory memory = {
		.base = base,
		.nr_frames = quire->params.memory >> PAGE_SHIFT,
		.section_frames = quire->params.section >> PAGE_SHIFT,
		.online = quire->machine->ops->arena_online ? online_section : NULL,
		.online_context = quire,
	};
	int error = 0;

	if (memory.online)
		error = memory.online(quire, 0, min_u64(memory.nr_frames, memory.section_frames));
	return error ? error : zone_init(&quire->zone, &memory);
}

static int init_memory(struct quire *quire)
{
	struct quire_machine *machine = quire->machine;
	const uint64_t bytes = quire->params.memory;
	void *base;
	int error = machine->ops->arena_create(machine, bytes, &base);

	if (error)
		return error;
	stale_tables_init(quire);
	error = init_zone(quire, base);
	if (error)
		goto destroy_arena;
	error = init_zero_page(quire);
	if (error)
		goto destroy_zone;
	return 0;

destroy_zone:
	zone_destroy(&quire->zone);
destroy_arena:
	machine->ops->arena_destroy(machine, base, bytes);
	return error;
}

static void destroy_memory(struct quire *quire)
{
	void *base = quire->zone.base;

	forget_stale_tables(quire);
	free_zero_page(quire);
	zone_destroy(&quire->zone);
	quire->machine->ops->arena_destroy(quire->machine, base, quire->params.memory);
}

static int init_groups(struct quire *quire)
{
	int error = reclaim_init(quire);

	if (error)
		return error;
	error = memcg_create(quire, NULL, "instance", reclaim_policy_find(quire->params.policy),
			     &quire->root_memcg);
	if (error)
		reclaim_destroy(quire);
	return error;
}

static void destroy_groups(struct quire *quire)
{
	memcg_put(quire->root_memcg);
	reclaim_destroy(quire);
}

static int init_instance(struct quire *quire)
{
	int error;

	mutex_init(&quire->lock, LOCK_INSTANCE);
	spin_lock_init(&quire->group_lock, LOCK_GROUP);
	spin_lock_init(&quire->inodes_lock, LOCK_LEAF);
	spin_lock_init(&quire->prng_lock, LOCK_LEAF);
	spin_lock_init(&quire->anon_vma_lock, LOCK_LEAF);
	spin_lock_init(&quire->mapping_lock, LOCK_LEAF);
	list_init(&quire->mms);
	list_init(&quire->inodes);
	list_init(&quire->idle_inodes);
	prng_seed(&quire->prng, quire->params.seed);

	error = stat_init(&quire->events, QUIRE_EVENTS);
	if (error)
		return error;
	error = init_memory(quire);
	if (error)
		goto destroy_events;
	error = init_groups(quire);
	if (error)
		goto destroy_memory;
	return 0;

destroy_memory:
	destroy_memory(quire);
destroy_events:
	stat_destroy(&quire->events);
	return error;
}

int instance_create(struct quire_machine *machine, const struct quire_params *given,
		    struct quire **result)
{
	struct quire_params params;
	struct quire *quire;
	int error = fill_params(given, &params);

	if (error)
		return error;
	quire = quire_zalloc_aligned(64, sizeof(*quire));
	if (!quire)
		return -ENOMEM;
	*(struct quire_params *)&quire->params = params;
	quire->machine = machine;
	error = init_instance(quire);
	if (error) {
		quire_free(quire);
		return error;
	}
	*result = quire;
	return 0;
}

int instance_destroy(struct quire *quire)
{
	struct mm_struct *mm, *next;
	int error;

	list_for_each_entry_safe (mm, next, &quire->mms, mm_list)
		mm_destroy(mm);
	error = inodes_destroy(quire);
	mapping_stats_destroy(quire);
	lru_add_drain_all(quire);
	swap_areas_destroy(quire);
	destroy_groups(quire);
	destroy_memory(quire);
	anon_vmas_destroy(quire);
	stat_destroy(&quire->events);
	quire_free(quire);
	return error;
}
