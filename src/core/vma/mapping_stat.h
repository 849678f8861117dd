/* SPDX-License-Identifier: MIT */
/*
 * What happened to mappings, for a report: counters for each file (all its mappings, in all mms),
 * and for each mm its heap, its stacks and the rest of its anonymous memory.
 *
 * VMAs come, split, merge and go all the time; what they are mappings *of* stays. So the counters
 * of a file hang on its inode and those of anonymous memory on the mm, a fault finds them without a
 * search, and no merge or move of VMAs of one kind has to carry anything over. When inode or mm go,
 * their counts are added, by name, to a list of the instance, which has a bounded number of
 * entries, the last being "[other]".
 */
#ifndef QUIRE_CORE_VMA_MAPPING_STAT_H
#define QUIRE_CORE_VMA_MAPPING_STAT_H

#include "base/types.h"

struct quire;

/* All counts of events, but `resident`. A mapping is known by its name: a path, "[anon]", "[heap]",
 * "[stack]", "/dev/zero (deleted)" (shared anonymous memory), "/memfd:NAME (deleted)", "[vdso]". */
struct mapping_report {
	const char *name;
	uint64_t mapped;        /* pages of VMAs, now */
	uint64_t resident;      /* pages that entries map, now; shared ones as often as mapped */
	uint64_t peak_resident; /* at most; the sum of the peaks where several have one name */
	uint64_t minor_faults, major_faults;
	uint64_t copies;              /* private pages copied on a write */
	uint64_t swap_ins, evictions; /* pages, out of one page table each */
	uint64_t writebacks;          /* pages: to the file, or to swap for memory */
	uint64_t pages_read;          /* from the file, or from swap for memory */
};

/*
 * Calls `show` once for each name, in no order, with sums over all files and mms of that name,
 * those that are gone included. Takes inodes_lock and each mmap_lock for reading, one after the
 * other. 0 or -ENOMEM; what `show` returns when not 0 ends it and is returned.
 */
QUIRE_MUST_CHECK int mapping_report(struct quire *quire,
				    int (*show)(void *context, const struct mapping_report *report),
				    void *context);

#endif
