/* SPDX-License-Identifier: MIT */
/*
 * quire_check(): every structure of an instance is walked and held against its invariants, and the
 * sums of one against the counts of another.
 */
#include "base/check.h"
#include "core/file/filemap.h"
#include "core/instance/api.h"
#include "core/instance/instance.h"
#include "core/reclaim/vmscan.h"
#include "core/vma/mm.h"

#include <stdio.h>

/* Frames that an owner can be named for, counted from mem_map itself. */
struct frame_census {
	uint64_t free;
	uint64_t reserved;
	uint64_t tables;
	uint64_t cached;
	uint64_t anonymous;
	uint64_t swap_cache;
	uint64_t unknown;
};

static void count_frame(struct frame_census *census, const struct page *page)
{
	if (page_count(page) == 0)
		census->free++;
	else if (page_test(page, PG_reserved))
		census->reserved++;
	else if (page_test(page, PG_table))
		census->tables++;
	else if (page_anon(page))
		census->anonymous++;
	else if (page_mapping(page))
		census->cached++;
	else if (page_test(page, PG_swapcache))
		census->swap_cache++;
	else
		census->unknown++;
}

static void validate_frames(struct quire *quire, struct check_report *report)
{
	struct zone *zone = &quire->zone;
	struct frame_census census = {0};
	uint64_t tables = 0;
	uint64_t cached = 0;
	struct mm_struct *mm;
	struct inode *inode;

	zone_validate(zone, report);
	for (pfn_t pfn = 0; pfn < zone_end_pfn(zone); pfn++)
		count_frame(&census, pfn_to_page(zone, pfn));
	census.free += (uint64_t)zone_nr_offline(zone);
	tables = atomic_load(&quire->stale_tables.count);
	list_for_each_entry (mm, &quire->mms, mm_list)
		tables += atomic_load(&mm->pgtables);
	list_for_each_entry (inode, &quire->inodes, i_list)
		cached += atomic_load(&inode->i_data.nrpages);

	CHECK_THAT(report, census.free == zone_nr_free(zone),
		   "%llu frames have no reference, but the allocator has %llu",
		   (unsigned long long)census.free, (unsigned long long)zone_nr_free(zone));
	CHECK_THAT(report, census.tables == tables,
		   "%llu frames are page tables, but the mms and the stale ones are %llu",
		   (unsigned long long)census.tables, (unsigned long long)tables);
	CHECK_THAT(report, census.cached == cached,
		   "%llu frames belong to files, but the files count %llu",
		   (unsigned long long)census.cached, (unsigned long long)cached);
	CHECK_THAT(report, !census.unknown, "%llu frames belong to nobody",
		   (unsigned long long)census.unknown);
}

/* Readahead and background writeback that nobody waits for may be under way still, in a store with
 * threads of its own. */
static void wait_for_io(struct quire *quire)
{
	struct zone *zone = &quire->zone;

	for (pfn_t pfn = 0; pfn < zone_end_pfn(zone); pfn++) {
		struct page *page = pfn_to_page(zone, pfn);

		if ((!page_locked(page) && !page_test(page, PG_writeback)) ||
		    !get_page_unless_zero(page))
			continue;
		lock_page(page);
		wait_on_page_writeback(page);
		unlock_page(page);
		swap_cache_release(quire, page);
		put_page(quire, page);
	}
}

void instance_validate(struct quire *quire, struct check_report *report)
{
	struct mm_struct *mm;
	struct inode *inode;

	wait_for_io(quire);
	swap_wait_idle(quire);
	lru_add_drain_all(quire);
	mutex_lock(&quire->lock);
	list_for_each_entry (mm, &quire->mms, mm_list) {
		mmap_read_lock(mm);
		mm_validate(mm, report);
		mmap_read_unlock(mm);
	}
	list_for_each_entry (inode, &quire->inodes, i_list)
		address_space_validate(&inode->i_data, report);
	inodes_validate(quire, report);
	validate_frames(quire, report);
	mutex_unlock(&quire->lock);
	swap_validate(quire, report);
	memcg_validate(quire->root_memcg, report);
}

int quire_check(struct quire *quire, char *message, size_t bytes)
{
	struct check_report report = {0};

	instance_validate(quire, &report);
	if (!report.violations)
		return 0;
	if (message && bytes)
		snprintf(message, bytes, "%s (%u in all)", report.first, report.violations);
	return api_status(-EUCLEAN);
}
