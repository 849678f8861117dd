/* SPDX-License-Identifier: MIT */
/*
 * quire_get_stat(): the counters of an instance in one structure.
 */
#include "core/file/address_space.h"
#include "core/instance/api.h"
#include "core/instance/instance.h"
#include "core/vma/mm.h"

static void stat_frames(struct quire *quire, struct quire_stat *stat)
{
	stat->frames = quire->zone.nr_frames;
	stat->frames_free = zone_nr_free(&quire->zone);
	stat->metadata_bytes = quire->zone.nr_frames * sizeof(struct page);
	stat->dirty = atomic_load_explicit(&quire->nr_dirty, memory_order_relaxed);
	stat->writeback = atomic_load_explicit(&quire->nr_writeback, memory_order_relaxed);
	stat->committed = (uint64_t)atomic_load_explicit(&quire->committed, memory_order_relaxed);
	stat->swap_slots = swap_total(quire);
	stat->swap_free = swap_free_slots(quire);
}

static void stat_owners(struct quire *quire, struct quire_stat *stat)
{
	struct mm_struct *mm;
	struct inode *inode;

	stat->page_tables = atomic_load_explicit(&quire->stale_tables.count, memory_order_relaxed);
	mutex_lock(&quire->lock);
	list_for_each_entry (mm, &quire->mms, mm_list)
		stat->page_tables += atomic_load_explicit(&mm->pgtables, memory_order_relaxed);
	mutex_unlock(&quire->lock);
	spin_lock(&quire->inodes_lock);
	list_for_each_entry (inode, &quire->inodes, i_list)
		stat->cached += atomic_load_explicit(&inode->i_data.nrpages, memory_order_relaxed);
	spin_unlock(&quire->inodes_lock);
}

static void stat_events(struct quire *quire, struct quire_stat *stat)
{
	const struct {
		enum quire_event event;
		uint64_t *value;
	} counters[] = {
		{EVENT_FAULT, &stat->faults},
		{EVENT_FAULT_MAJOR, &stat->faults_major},
		{EVENT_FAULT_AROUND, &stat->fault_around},
		{EVENT_COW_COPY, &stat->cow_copies},
		{EVENT_COW_REUSE, &stat->cow_reuses},
		{EVENT_ZERO_PAGE, &stat->zero_page},
		{EVENT_FILE_READ, &stat->file_read},
		{EVENT_FILE_WRITTEN, &stat->file_written},
		{EVENT_READAHEAD, &stat->readahead},
		{EVENT_SWAP_IN, &stat->swap_in},
		{EVENT_SWAP_OUT, &stat->swap_out},
		{EVENT_SCANNED, &stat->scanned},
		{EVENT_RECLAIMED, &stat->reclaimed},
		{EVENT_RECLAIM_DIRECT, &stat->direct_reclaim},
		{EVENT_RECLAIM_BACKGROUND, &stat->background_reclaim},
		{EVENT_REFAULT, &stat->refaults},
		{EVENT_WORKINGSET, &stat->workingset},
		{EVENT_REVOKE, &stat->revokes},
		{EVENT_WRITE_ERROR, &stat->write_errors},
		{EVENT_OOM, &stat->oom_kills},
		{EVENT_ZERO_DROPPED, &stat->zero_dropped},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		*counters[i].value = stat_read(&quire->events, counters[i].event);
}

int quire_get_stat(struct quire *quire, struct quire_stat *stat)
{
	if (stat->size != sizeof(*stat))
		return api_status(-EINVAL);
	*stat = (struct quire_stat){.size = sizeof(*stat)};
	stat_frames(quire, stat);
	stat_owners(quire, stat);
	stat_events(quire, stat);
	return 0;
}
