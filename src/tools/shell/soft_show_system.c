/* SPDX-License-Identifier: MIT */
/*
 * Views of the whole instance: groups with their lists, swap, counters.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"
#include "tools/shell/soft_show.h"

static void show_one_group(const struct mem_cgroup *memcg, struct shell_reply *reply)
{
	static const char *const types[LRU_TYPES] = {"anon", "file"};
	static const char *const lists[LRU_LISTS] = {"inactive", "active"};
	const struct lruvec *lruvec = &memcg->lruvec;
	uint64_t max = atomic_load(&memcg->max);
	json_t *json = json_object();
	char budget[32] = "unlimited";
	char name[32];

	if (max != MEMCG_UNLIMITED)
		snprintf(budget, sizeof(budget), "%" PRIu64, max);
	show_text(NULL, json, "name", memcg->name);
	show_text(NULL, json, "parent", memcg->parent ? memcg->parent->name : "-");
	show_text(NULL, json, "policy", memcg->policy->name);
	show_number(NULL, json, "usage", memcg_usage(memcg));
	show_number(NULL, json, "peak", atomic_load(&memcg->peak));
	show_text(NULL, json, "budget", budget);
	show_number(NULL, json, "swap", atomic_load(&memcg->swap_usage));
	shell_reply_line(reply,
			 "group %s policy %s usage %" PRIu64 " peak %" PRIu64
			 " budget %s swap %" PRIu64,
			 memcg->name, memcg->policy->name, memcg_usage(memcg),
			 atomic_load(&memcg->peak), budget, atomic_load(&memcg->swap_usage));
	for (unsigned type = 0; type < LRU_TYPES; type++)
		for (unsigned list = 0; list < LRU_LISTS; list++) {
			uint64_t size = atomic_load(&lruvec->size[type][list]);

			snprintf(name, sizeof(name), "%s_%s", lists[list], types[type]);
			show_number(NULL, json, name, size);
			shell_reply_line(reply, "  %-16s %" PRIu64, name, size);
		}
	show_number(NULL, json, "unevictable", atomic_load(&lruvec->nr_unevictable));
	shell_reply_line(reply, "  %-16s %" PRIu64, "unevictable",
			 atomic_load(&lruvec->nr_unevictable));
	show_append(reply->view_json, "groups", json);
}

void show_lru(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct quire *quire = task->machine->quire;
	struct mem_cgroup *memcg = NULL;

	(void)show;
	/* Pages that wait in a thread's batch belong on the lists too. */
	lru_add_drain_all(quire);
	while ((memcg = memcg_iter(quire->root_memcg, memcg)))
		show_one_group(memcg, reply);
}

void show_swap(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct quire *quire = task->machine->quire;
	uint64_t slots = swap_total(quire);
	uint64_t unused = swap_free_slots(quire);

	(void)show;
	show_number(reply, reply->view_json, "slots", slots);
	show_number(reply, reply->view_json, "used", slots - unused);
	show_number(reply, reply->view_json, "free", unused);
	show_number(reply, reply->view_json, "swap_out", stat_read(&quire->events, EVENT_SWAP_OUT));
	show_number(reply, reply->view_json, "swap_in", stat_read(&quire->events, EVENT_SWAP_IN));
}

void show_stat(struct shell_task *task, const struct shell_show *show, struct shell_reply *reply)
{
	struct quire_stat stat = {.size = sizeof(stat)};

	(void)show;
	if (quire_get_stat(task->machine->quire, &stat) != 0) {
		shell_reply_fail(reply, errno, "the counters cannot be read");
		return;
	}
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
		{"frames", stat.frames},
		{"frames_free", stat.frames_free},
		{"page_tables", stat.page_tables},
		{"metadata_bytes", stat.metadata_bytes},
		{"cached", stat.cached},
		{"dirty", stat.dirty},
		{"writeback", stat.writeback},
		{"committed", stat.committed},
		{"swap_slots", stat.swap_slots},
		{"swap_free", stat.swap_free},
		{"faults", stat.faults},
		{"faults_major", stat.faults_major},
		{"fault_around", stat.fault_around},
		{"cow_copies", stat.cow_copies},
		{"cow_reuses", stat.cow_reuses},
		{"zero_page", stat.zero_page},
		{"file_read", stat.file_read},
		{"file_written", stat.file_written},
		{"readahead", stat.readahead},
		{"swap_in", stat.swap_in},
		{"swap_out", stat.swap_out},
		{"scanned", stat.scanned},
		{"reclaimed", stat.reclaimed},
		{"direct_reclaim", stat.direct_reclaim},
		{"background_reclaim", stat.background_reclaim},
		{"refaults", stat.refaults},
		{"workingset", stat.workingset},
		{"revokes", stat.revokes},
		{"write_errors", stat.write_errors},
		{"oom_kills", stat.oom_kills},
		{"zero_dropped", stat.zero_dropped},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		show_number(reply, reply->view_json, counters[i].name, counters[i].value);
}
