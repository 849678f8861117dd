/* SPDX-License-Identifier: MIT */
/*
 * Counts of what happened to mappings, by name: those that are kept of files and mms that are gone,
 * and the report over all (see mapping_stat.h).
 */
#include "core/vma/mapping_stat.h"

#include "base/alloc.h"
#include "core/file/internal.h"
#include "core/instance/instance.h"
#include "core/vma/mm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Names that are kept; what comes later is "[other]". */
#define KEPT_MAX 4096
#define OTHER "[other]"

/* Sums of one name, in a tree by name. */
struct mapping_total {
	struct rb_node rb;
	struct mapping_report report; /* its name is `name` */
	char name[];
};

static const char *const part_names[MM_PARTS] = {
	[MM_PART_ANON] = "[anon]",
	[MM_PART_HEAP] = "[heap]",
	[MM_PART_STACK] = "[stack]",
};

static uint64_t not_negative(int64_t value)
{
	return value > 0 ? (uint64_t)value : 0;
}

/* The counts of one file or mm, as far as they are known now. */
static struct mapping_report read_stat(const struct mapping_stat *stat)
{
	struct mapping_report report = {
		.mapped = not_negative(atomic_load_explicit(&stat->mapped, memory_order_relaxed)),
		.resident =
			not_negative(atomic_load_explicit(&stat->resident, memory_order_relaxed)),
	};

	report.peak_mapped = max_u64(
		report.mapped,
		not_negative(atomic_load_explicit(&stat->peak_mapped, memory_order_relaxed)));
	report.peak_resident = max_u64(
		report.resident,
		not_negative(atomic_load_explicit(&stat->peak_resident, memory_order_relaxed)));
	for (int event = 0; event < MAPPING_EVENTS; event++)
		report.events[event] =
			atomic_load_explicit(&stat->events[event], memory_order_relaxed);
	return report;
}

static void add_report(struct mapping_report *sum, const struct mapping_report *report)
{
	sum->mapped += report->mapped;
	sum->peak_mapped += report->peak_mapped;
	sum->resident += report->resident;
	sum->peak_resident += report->peak_resident;
	for (int event = 0; event < MAPPING_EVENTS; event++)
		sum->events[event] += report->events[event];
}

/* The place of a name in the tree: what is there, or NULL with where it would be linked. */
static struct mapping_total *find_total(struct rb_root *root, const char *name,
					struct rb_node **parent, struct rb_node ***link)
{
	*parent = NULL;
	*link = &root->rb_node;
	while (**link) {
		struct mapping_total *total = rb_entry(**link, struct mapping_total, rb);
		const int order = strcmp(name, total->name);

		if (!order)
			return total;
		*parent = **link;
		*link = order < 0 ? &(*parent)->rb_left : &(*parent)->rb_right;
	}
	return NULL;
}

/* Adds to the sums of the name, `limit` names being the most (0: any number). -ENOMEM, -ENOSPC. */
static int add_total(struct rb_root *root, const char *name, const struct mapping_report *report,
		     uint32_t *count, uint32_t limit)
{
	struct rb_node *parent;
	struct rb_node **link;
	struct mapping_total *total = find_total(root, name, &parent, &link);

	if (!total) {
		if (limit && *count >= limit)
			return -ENOSPC;
		const size_t bytes = strlen(name) + 1;

		total = quire_zalloc(sizeof(*total) + bytes);
		if (!total)
			return -ENOMEM;
		memcpy(total->name, name, bytes);
		total->report.name = total->name;
		rb_link_node(&total->rb, parent, link);
		rb_insert_color(&total->rb, root);
		(*count)++;
	}
	add_report(&total->report, report);
	return 0;
}

static void free_totals(struct rb_root *root)
{
	struct rb_node *rb;

	while ((rb = rb_first(root))) {
		rb_erase(rb, root);
		quire_free(rb_entry(rb, struct mapping_total, rb));
	}
}

void mapping_stat_keep(struct quire *quire, const char *name, const struct mapping_stat *stat)
{
	struct mapping_report report = read_stat(stat);

	/* Whose mappings are gone maps nothing. What nothing mapped has no mapping to tell of. */
	report.mapped = report.resident = 0;
	if (!report.peak_mapped)
		return;
	spin_lock(&quire->mapping_lock);
	if (add_total(&quire->mappings_kept, name, &report, &quire->nr_mappings_kept, KEPT_MAX))
		add_report(&quire->mappings_other, &report);
	spin_unlock(&quire->mapping_lock);
}

void mapping_stats_destroy(struct quire *quire)
{
	free_totals(&quire->mappings_kept);
}

/* Under way of one report. */
struct collection {
	struct quire *quire;
	struct rb_root totals;
	uint32_t count;
};

static int collect(struct collection *collection, const char *name,
		   const struct mapping_report *report)
{
	if (!report->peak_mapped)
		return 0;
	return add_total(&collection->totals, name, report, &collection->count, 0);
}

static int collect_kept(struct collection *collection)
{
	struct quire *quire = collection->quire;
	int error = 0;

	spin_lock(&quire->mapping_lock);
	for (struct rb_node *rb = rb_first(&quire->mappings_kept); rb && !error; rb = rb_next(rb)) {
		const struct mapping_total *total = rb_entry(rb, struct mapping_total, rb);

		error = collect(collection, total->name, &total->report);
	}
	if (!error)
		error = collect(collection, OTHER, &quire->mappings_other);
	spin_unlock(&quire->mapping_lock);
	return error;
}

static int collect_files(struct collection *collection)
{
	struct inode *inode = NULL;

	while ((inode = inode_next(collection->quire, inode))) {
		const struct mapping_report report = read_stat(&inode->i_stat);
		char name[INODE_LABEL];
		int error;

		inode_label(inode, inode->path, name);
		error = collect(collection, name, &report);
		if (error) {
			iput(inode);
			return error;
		}
	}
	return 0;
}

static int collect_mms(struct collection *collection)
{
	struct quire *quire = collection->quire;
	struct mm_struct *mm;
	int error = 0;

	mutex_lock(&quire->lock);
	list_for_each_entry (mm, &quire->mms, mm_list)
		for (int part = 0; part < MM_PARTS && !error; part++) {
			const struct mapping_report report = read_stat(&mm->parts[part]);

			error = collect(collection, part_names[part], &report);
		}
	mutex_unlock(&quire->lock);
	return error;
}

void mm_keep_stats(struct mm_struct *mm)
{
	for (int part = 0; part < MM_PARTS; part++)
		mapping_stat_keep(mm->quire, part_names[part], &mm->parts[part]);
}

int mapping_report(struct quire *quire,
		   int (*show)(void *context, const struct mapping_report *report), void *context)
{
	struct collection collection = {.quire = quire};
	int error = collect_kept(&collection);

	if (!error)
		error = collect_files(&collection);
	if (!error)
		error = collect_mms(&collection);
	for (struct rb_node *rb = rb_first(&collection.totals); rb && !error; rb = rb_next(rb))
		error = show(context, &rb_entry(rb, struct mapping_total, rb)->report);
	free_totals(&collection.totals);
	return error;
}
