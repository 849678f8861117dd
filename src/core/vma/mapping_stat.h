/* SPDX-License-Identifier: MIT */
/*
 * What happened to mappings, for a report: counters for each file (all its mappings, in all mms),
 * and for each mm its heap, its stacks and the rest of its anonymous memory.
 *
 * VMAs come, split, merge and go all the time; what they are mappings *of* stays. So the counters
 * of a file hang on its inode and those of anonymous memory on the mm: a fault finds them without a
 * search, and no split or move of a VMA has anything to carry over. When inode or mm go, their
 * counts are added, by name, to a list of the instance that has a bounded number of entries, the
 * last being "[other]".
 *
 * One thing is lost: where a mapping is put between the heap and other anonymous memory that has
 * pages already, so that all become one VMA, those pages end as the heap's.
 */
#ifndef QUIRE_CORE_VMA_MAPPING_STAT_H
#define QUIRE_CORE_VMA_MAPPING_STAT_H

#include "base/types.h"

#include <stdatomic.h>

struct quire;

enum mapping_event {
	MAPPING_MINOR_FAULT,
	MAPPING_MAJOR_FAULT,
	MAPPING_COPY,      /* private pages copied on a write */
	MAPPING_SWAP_IN,   /* pages, into one page table each */
	MAPPING_EVICTION,  /* pages, out of one page table each */
	MAPPING_WRITEBACK, /* pages: to the file, or to swap */
	MAPPING_READ,      /* pages: from the file */
	MAPPING_EVENTS
};

/* Amounts of pages; the peaks are brought up to date when the amounts shrink. */
struct mapping_stat {
	_Atomic int64_t resident, peak_resident; /* A: entries that map a page */
	_Atomic int64_t mapped, peak_mapped;     /* A: of VMAs */
	_Atomic uint64_t events[MAPPING_EVENTS]; /* A */
};

/* The parts of an mm's anonymous memory. */
enum mm_part {
	MM_PART_ANON,
	MM_PART_HEAP,
	MM_PART_STACK,
	MM_PARTS
};

static inline void mapping_stat_event(struct mapping_stat *stat, enum mapping_event event,
				      uint64_t count)
{
	atomic_fetch_add_explicit(&stat->events[event], count, memory_order_relaxed);
}

static inline void mapping_stat_add(_Atomic int64_t *amount, _Atomic int64_t *peak, int64_t pages)
{
	const int64_t before = atomic_fetch_add_explicit(amount, pages, memory_order_relaxed);

	/* Whoever shrinks it at the same time may have seen less: the greater peak wins later. */
	if (pages < 0 && before > atomic_load_explicit(peak, memory_order_relaxed))
		atomic_store_explicit(peak, before, memory_order_relaxed);
}

/* What is known by one name: a path, "[anon]", "[heap]", "[stack]", "/dev/zero (deleted)" (shared
 * anonymous memory), "/memfd:NAME (deleted)", "[vdso]". */
struct mapping_report {
	const char *name;
	/* Pages. Peaks are sums where several files, objects or mms have one name. */
	uint64_t mapped, peak_mapped; /* of VMAs */
	uint64_t resident;            /* that entries map; a page as often as it is mapped */
	uint64_t peak_resident;
	uint64_t events[MAPPING_EVENTS];
};

/*
 * Calls `show` once for each name, in their order, with sums over all files and mms of that name,
 * those that are gone included; what it returns when not 0 ends it and is returned. Takes the
 * instance's lock. 0 or -ENOMEM.
 */
QUIRE_MUST_CHECK int mapping_report(struct quire *quire,
				    int (*show)(void *context, const struct mapping_report *report),
				    void *context);

/* Inode or mm goes: adds its counts to those that are kept. */
void mapping_stat_keep(struct quire *quire, const char *name, const struct mapping_stat *stat);
/* Frees what is kept. */
void mapping_stats_destroy(struct quire *quire);

#endif
